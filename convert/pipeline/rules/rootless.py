"""What only root may, and what only a privileged container may, in jobs that have neither."""

import itertools
import re
from collections.abc import Iterator

from convert.pipeline.job import Line, at
from convert.pipeline.rule import Case, Edit, Match, PipelineRule, removal

_ROOT = re.compile(
    r"apk .*\badd\b|(apt|apt-get|yum|dnf|microdnf|zypper|tdnf) .*\b(install|update|upgrade)\b|"
    r"update-ca-(certificates|trust)|(add|del)(user|group) |(user|group)(add|mod|del) |chown |"
    r"setcap |chmod .*[ug]\+s"
)
_OF_ROOT = re.compile(r"/(?!(tmp|var/tmp|builds|home|dev|proc|certs)(/|$))[\w.-]+")
"""A path that another user cannot write to."""
_WRITES = re.compile(
    r"(mkdir|touch|rm|rmdir|tee|chmod|cp|mv|install|ln)\b|sed .*(-i|--in-place)|"
    r"(tar|unzip|bsdtar) .*-\w*[Cd]\b|(curl|wget) .*(-\w*[oOP]\b|--output)"
)
_LAST = frozenset({"cp", "mv", "install", "ln", "sed"})
"""Programs that write to the last path that they are given."""
_AFTER_OPTION = frozenset({"tar", "unzip", "bsdtar", "curl", "wget"})
_OPTION = re.compile(r"-\w*[CdoOP]|--(output|output-document|directory|directory-prefix)")


@PipelineRule(
    "uid-1000",
    "change",
    "Use an image that has the tool; with `buildah` or `podman`, a runner with `variant: root` "
    "installs it too.",
    "buildah",
    """
build:
  image: quay.io/buildah/stable
  script:
    - dnf install --assumeyes jq
    - buildah build --tag "$CI_REGISTRY_IMAGE" .
""",
)
def uid_1000(case: Case) -> Iterator[Match]:
    """The job changes what belongs to root in its image, and runs as another user."""
    user = case.runner.plan.build.user
    # A script that asks who it is does without root.
    if not user or any(line.command.words[:2] == ("id", "-u") for line in case.job.lines):
        return
    for line in case.job.lines:
        written = next(filter(_OF_ROOT.match, (*line.command.written, *_targets(line))), "")
        if _ROOT.match(line.command.text) or written:
            text = f"'{line.command.text or written}' needs root, and jobs here have uid {user}"
            yield Match(at(line), text, "use an image that has it already")
            return


def _targets(line: Line) -> tuple[str, ...]:
    """Return the paths that a command writes to, as far as its words show them."""
    name, words = line.command.name, line.command.words
    if not _WRITES.match(line.command.text):
        return ()
    if name in _LAST:
        return words[-1:]
    if name in _AFTER_OPTION:
        pairs = itertools.pairwise(words)
        return tuple(path for option, path in pairs if _OPTION.fullmatch(option))
    return words[1:]


_SANDBOX = "--oci-worker-no-process-sandbox"


@PipelineRule(
    "own-isolation",
    "change",
    "Delete the variable or the option: the runner sets what its jobs need.",
    "buildah",
    """
build:
  image: quay.io/buildah/stable
  variables: {BUILDAH_ISOLATION: oci}
  script:
    - buildah build --tag "$CI_REGISTRY_IMAGE" .
""",
)
def own_isolation(case: Case) -> Iterator[Match]:
    """The job chooses how its tool isolates builds or stores layers, and may not do it that way.

    Without privilege, Buildah builds with `chroot`, and BuildKit with
    `--oci-worker-no-process-sandbox`.
    """
    job, runner = case.job, case.runner
    if runner.plan.build.privileged or not runner.has_namespaces:
        return
    do = "delete it"
    isolation = job.environment.get("BUILDAH_ISOLATION", "chroot")
    if isolation != "chroot" and "$" not in isolation:
        place = job.find("BUILDAH_ISOLATION")
        text = f"BUILDAH_ISOLATION is {isolation}, which needs a privileged container"
        yield Match(place, text, do, removal(place))
    flags = job.environment.get("BUILDKITD_FLAGS", _SANDBOX)
    if _SANDBOX in runner.environment.get("BUILDKITD_FLAGS", "") and _SANDBOX not in flags:
        place = job.find("BUILDKITD_FLAGS")
        text = f"BUILDKITD_FLAGS lacks {_SANDBOX}, without which BuildKit needs privilege"
        yield Match(place, text, f"add {_SANDBOX}", Edit(place, flags, f"{_SANDBOX} {flags}"))
    driver = job.environment.get("STORAGE_DRIVER", "")
    if driver not in {"", "vfs", runner.environment.get("STORAGE_DRIVER")} and "$" not in driver:
        text = f"STORAGE_DRIVER is {driver}, and not every kernel lets a container mount that"
        place = job.find("STORAGE_DRIVER")
        yield Match(place, text, "delete it if the build cannot mount", outcome="note")
    for use in case.uses:
        chosen = re.search(r"--isolation[ =](oci|rootless)\b", use.rest)
        if chosen and use.need == "namespaces":
            text = f"{chosen[0]} needs a privileged container, and that of a job is not"
            yield Match(at(use.line), text, do)


@PipelineRule(
    "own-containers",
    "change",
    "Write `podman run --network host --volume /proc:/proc`, or run the program in a job whose "
    "`image` is the one that was built.",
    "buildah",
    """
test:
  image: registry.example.com/tools/podman:5
  script:
    - podman build --tag app .
    - podman run --rm app --version
""",
)
def own_containers(case: Case) -> Iterator[Match]:
    """The job runs containers by Podman in its own container, with a network and a `/proc` of each.

    Only a privileged container may make them; the user of Podman's own image shares those of the
    job (containers/image_build: podman/Containerfile).
    """
    job, plan = case.job, case.runner.plan
    shares = job.image and plan.build.user and _OF_PODMAN.search(job.image.name)
    if plan.build.privileged or not case.runner.has_namespaces or shares:
        return
    for use in case.uses:
        found = _CONTAINERS.match(use.rest)
        if use.line.command.name != "podman" or not found or "/proc:/proc" in use.rest:
            continue
        called = f"podman {use.rest}".split("\n", maxsplit=1)[0][:60]
        text = f"'{called}' makes a network and mounts /proc, which only a privileged container may"
        if found["one"]:
            run = re.search(r"podman (run|create) ", use.line.place.text)
            edit = Edit(use.line.place, run[0], f"{run[0]}{_SHARED} ") if run else None
            yield Match(at(use.line), text, f"add {_SHARED}", edit)
        else:
            do = "give it the tag of a runner with dind, and call docker"
            yield Match(at(use.line), text, do, outcome="cannot")
        return


_SHARED = "--network host --volume /proc:/proc"
_OF_PODMAN = re.compile(r"(^|/)(podman/(stable|testing|upstream)|containers/podman)(:|@|$)")
_CONTAINERS = re.compile(
    r"(-\S+ ([^-]\S* )?)*((container )?(?P<one>run|create)|play|kube play|pod)\b"
)
