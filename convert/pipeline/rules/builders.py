"""The builders of buildx that a job makes itself, in place of the one that its runner has."""

import re
from collections.abc import Iterator

from convert.pipeline.job import at
from convert.pipeline.rule import Case, Edit, Match, PipelineRule, removal


@PipelineRule(
    "buildx-create",
    "change",
    "On a runner with a builder, delete `docker buildx create`. With an engine over TLS, create a "
    "context first: `docker context create x && docker buildx create --use x`.",
    "buildx",
    """
build:
  script:
    - docker buildx create --use
    - docker buildx build --push --tag "$CI_REGISTRY_IMAGE" .
""",
)
def buildx_create(case: Case) -> Iterator[Match]:
    """The job makes a builder that needs an engine, or one over TLS, which buildx rejects.

    The error is "could not create a builder instance with TLS data loaded from environment"
    (docker/buildx: builder/builder.go).
    """
    job, runner = case.job, case.runner
    tls = {**runner.environment, **job.environment}.get("DOCKER_TLS_VERIFY")
    own = case.own_engine_serves and job.environment.get("DOCKER_HOST", "").startswith("tcp:")
    context = any(use.rest.startswith("context create") for use in case.uses)
    for use in case.uses:
        if not re.match(r"buildx create\b(?!.*--driver[ =](kubernetes|remote))", use.rest):
            continue
        place = use.line.place
        if runner.has_builder and not runner.has_engine:
            text = "a builder of this kind needs a Docker engine, and the runner has made a builder"
            yield Match(at(use.line), text, "delete it", removal(place))
        elif (runner.has_engine_over_tls or own) and tls and not context:
            text = "buildx rejects a builder whose TLS settings come from the environment"
            do = "run 'docker context create x' first, and end this command with x"
            yield Match(at(use.line), text, do)


@PipelineRule(
    "emulation",
    "change",
    "Delete it: the images of BuildKit contain the emulators.",
    "buildx",
    """
build:
  script:
    - docker run --privileged --rm tonistiigi/binfmt --install all
    - docker buildx build --platform linux/amd64,linux/arm64 --push --tag "$CI_REGISTRY_IMAGE" .
""",
)
def emulation(case: Case) -> Iterator[Match]:
    """The job installs emulators by `docker run`, and the runner has a builder and no engine."""
    for use in case.uses:
        if case.runner.has_builder and use.emulates:
            text = "there is no engine to install emulators"
            yield Match(at(use.line), text, "delete it", removal(use.line.place))


@PipelineRule(
    "own-builder",
    "change",
    "Name the job namespace in `namespace=`, or delete `docker buildx create`: the runner makes a "
    "builder before the script starts.",
    "buildx",
    """
build:
  script:
    - docker buildx create --use --driver kubernetes --driver-opt namespace=builders
    - docker buildx build --push --tag "$CI_REGISTRY_IMAGE" .
""",
)
def own_builder(case: Case) -> Iterator[Match]:
    """The job makes pods of BuildKit itself, which its account may only in the job namespace."""
    runner = case.runner
    for use in case.uses:
        if not re.match(r"buildx create\b.*--driver[ =]kubernetes", use.rest):
            continue
        if not runner.plan.account_rules:
            text = "jobs of this runner may not make pods"
            do = "delete it" if runner.has_builder else "give it the tag of a runner with buildx"
            yield Match(
                at(use.line), text, do, outcome="change" if runner.has_builder else "cannot"
            )
            continue
        named = re.search(r"namespace=([^\s,\"']+)", use.rest)
        if named and named[1] != runner.job_namespace:
            text = (
                f"the builder is to be in {named[1]}, and the job's account may make pods in "
                f"{runner.job_namespace or 'its own namespace'} only"
            )
            edit = Edit(
                use.line.place, f"namespace={named[1]}", f"namespace={runner.job_namespace}"
            )
            do = f"write namespace={runner.job_namespace}"
            yield Match(at(use.line), text, do, edit)
        maps = any(rule.resource == "configmaps" for rule in runner.plan.account_rules)
        if re.search(r"--(buildkitd-)?config", use.rest) and not maps:
            text = "--buildkitd-config makes a ConfigMap, which the job's account may not"
            yield Match(at(use.line), text, "set registries or registryMirrors in the stack file")
