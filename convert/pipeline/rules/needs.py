"""What a job needs that the runner's jobs do not have: an engine, root, namespaces, a daemon."""

from collections.abc import Iterator

from convert.pipeline.job import at
from convert.pipeline.rule import Case, Edit, Match, PipelineRule
from convert.pipeline.tools import only_builds

_TEMPLATE = "include the template of the runner's strategy"


@PipelineRule(
    "tags",
    "change",
    "Give the job a tag of the runner. With `registration: token`, GitLab decides whether a runner "
    "takes jobs without tags.",
    "kaniko",
    """
build:
  tags: [shell]
  script:
    - /kaniko/executor --context "$CI_PROJECT_DIR" --destination "$CI_REGISTRY_IMAGE"
""",
)
def tags(case: Case) -> Iterator[Match]:
    """No runner of the stack that builds images is known to take a job with these tags."""
    job, runner = case.job, case.runner
    if not runner.name or runner.takes(job):
        return
    wanted = ", ".join(tag.text for tag in job.tags)
    known = {tag.text for tag in job.tags if "$" not in tag.text}
    if len(known) < len(job.tags) and known <= {*runner.tags}:
        text = f"the tags [{wanted}] come from variables of the project"
        yield Match(job.tags[0], text, f"see that they are [{runner.tags[0]}]", outcome="note")
        return
    if not job.tags:
        text = "the job has no tags, and no runner of the stack is known to take such jobs"
        edit = Edit(job.place, "", f"tags: [{runner.tags[0]}]")
    else:
        text = f"no runner of the stack that builds has the tags [{wanted}]"
        only = job.tags[0] if len(job.tags) == 1 and job.tags[0].text else None
        edit = Edit(only, only.text, runner.tags[0]) if only else None
    place = job.tags[0] if job.tags else job.place
    yield Match(place, text, f"write tags: [{runner.tags[0]}]", edit)


@PipelineRule(
    "template-strategy",
    "change",
    "Include the template of the runner's strategy, or give it the tag of another runner.",
    "buildah",
    """
include:
  - component: $CI_SERVER_FQDN/platform/image-builds/build-image@0.1.0
    inputs: {image: registry.example.com/team/app, strategy: kaniko, tags: [build]}
""",
)
def template_strategy(case: Case) -> Iterator[Match]:
    """A template of this project is included that is of another strategy than its runner."""
    job, runner = case.job, case.runner
    if job.template and job.template != runner.plan.strategy:
        text = f"the template is of {job.template}, and its runner has {runner.plan.strategy}"
        yield Match(job.place, text, f"take the template of {runner.plan.strategy}")


@PipelineRule(
    "no-engine",
    "cannot",
    "Give the job the tag of a runner with `dind`, or build by the template of the runner's own "
    "strategy; plain builds need no engine.",
    "kaniko",
    """
build:
  script:
    - docker build --tag "$CI_REGISTRY_IMAGE" .
""",
)
def no_engine(case: Case) -> Iterator[Match]:
    """The job calls a Docker engine, and the runner's jobs have none."""
    runner = case.runner
    if runner.has_engine:
        return
    for use in case.uses:
        if use.emulates and runner.has_builder:
            continue
        if use.need == "engine" or (use.need == "builder" and not runner.has_builder):
            called = use.line.command.text.split("\n", maxsplit=1)[0][:60]
            if only_builds(case.job):
                do = f"{_TEMPLATE}, or give it the tag of a runner with dind"
            else:
                do = "give it the tag of a runner with dind"
            text = f"'{called}' needs a Docker engine, and jobs of this runner have none"
            yield Match(at(use.line), text, do)
            return
    asks = case.job.engine or (
        case.job.image if case.job.image and case.job.image.is_engine else None
    )
    if asks and not case.uses:
        text = f"{asks.name} is for a Docker engine, and jobs of this runner have none"
        yield Match(asks.place, text, "give it the tag of a runner with dind")


@PipelineRule(
    "not-root",
    "cannot",
    "Give the job the tag of a runner with `kaniko`.",
    "buildah",
    """
build:
  image: {name: "ghcr.io/osscontainertools/kaniko:debug", entrypoint: [""]}
  script:
    - /kaniko/executor --context "$CI_PROJECT_DIR" --destination "$CI_REGISTRY_IMAGE"
""",
)
def not_root(case: Case) -> Iterator[Match]:
    """The job calls Kaniko, which must run as root, and the runner's jobs run as another user."""
    if case.runner.is_root:
        return
    for use in case.uses:
        if use.need == "root":
            text = f"Kaniko must run as root, and jobs here have uid {case.runner.plan.build.user}"
            do = f"give it the tag of a runner with kaniko, or {_TEMPLATE}"
            yield Match(at(use.line), text, do)
            return


_OWN_SETTINGS = {"buildah": "BUILDAH_ISOLATION", "podman": "BUILDAH_ISOLATION"}
_OF_BUILDKIT = "BUILDKITD_FLAGS"


@PipelineRule(
    "no-user-namespace",
    "cannot",
    "Give the job the tag of a runner with `buildah` or `buildkit`, whichever it calls.",
    "kaniko",
    """
build:
  image: quay.io/buildah/stable
  script:
    - buildah build --tag "$CI_REGISTRY_IMAGE" .
""",
)
def no_user_namespace(case: Case) -> Iterator[Match]:
    """The job calls a tool that makes user namespaces, which the runner's jobs may not.

    Such tools also need settings for containers, which the runner has for its own tool.
    """
    runner = case.runner
    known = {**runner.environment, **case.job.environment}
    for use in case.uses:
        name = use.line.command.name
        if use.need != "namespaces":
            continue
        setting = _OWN_SETTINGS.get(name, _OF_BUILDKIT)
        if runner.has_namespaces and setting in known:
            continue
        if runner.has_namespaces:
            text = f"{name} needs ${setting}, which this runner does not set"
        else:
            text = f"{name} makes a user namespace, which jobs of this runner may not"
        tool = "buildah" if name in _OWN_SETTINGS else "buildkit"
        yield Match(at(use.line), text, f"give it the tag of a runner with {tool}")
        return


@PipelineRule(
    "no-daemon",
    "cannot",
    "Call `buildctl-daemonless.sh` on a runner with `buildkit`, or give the job the tag of a "
    "runner with `buildkit-service`.",
    "kaniko",
    """
build:
  image: moby/buildkit:rootless
  script:
    - buildctl build --frontend dockerfile.v0 --local context=. --local dockerfile=.
""",
)
def no_daemon(case: Case) -> Iterator[Match]:
    """The job calls `buildctl`, and neither the runner nor the job has a BuildKit daemon."""
    starts = any(use.line.command.name in {"buildkitd", "rootlesskit"} for use in case.uses)
    if case.runner.plan.daemon or case.job.environment.get("BUILDKIT_HOST") or starts:
        return
    for use in case.uses:
        named = "--addr" in use.rest and "BUILDKIT_HOST" not in use.rest
        if use.need == "daemon" and not named:
            text = "buildctl needs a BuildKit daemon, and jobs of this runner have none"
            do = "call buildctl-daemonless.sh, on a runner with buildkit"
            yield Match(at(use.line), text, do)
            return


@PipelineRule(
    "daemon-tls",
    "change",
    "Write `buildctl $BUILDKIT_FLAGS`, which has the certificates; `buildctl` reads no variable.",
    "buildkit-service",
    """
build:
  script:
    - buildctl --addr "$BUILDKIT_HOST" build --frontend dockerfile.v0 --local context=.
""",
)
def daemon_tls(case: Case) -> Iterator[Match]:
    """The job calls `buildctl` without the certificates that the runner's daemon asks for."""
    if not case.runner.plan.daemon:
        return
    for use in case.uses:
        given = "BUILDKIT_FLAGS" in use.rest or "--tls" in use.rest
        if use.need == "daemon" and not given and use.rest:
            text = "the runner's BuildKit daemon asks for certificates, which buildctl is not given"
            edit = Edit(use.line.place, "buildctl ", "buildctl $BUILDKIT_FLAGS ")
            yield Match(at(use.line), text, "write buildctl $BUILDKIT_FLAGS", edit)
