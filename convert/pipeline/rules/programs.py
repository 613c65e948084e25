"""Programs, files and images that a job expects, and that were on the host that it ran on."""

import re
from collections.abc import Iterator

from components.image_reference import ImageReference
from convert.pipeline.job import Line, PipelineJob, at, expand
from convert.pipeline.rule import Case, Match, PipelineRule
from convert.pipeline.tools import uses

_SHELL = (
    ". : [ [[ alias bg break cd command continue echo eval exec exit export false fg getopts "
    "hash help history jobs kill let local printf pwd read readonly return set shift source test "
    "times trap true type ulimit umask unalias unset wait declare shopt pushd popd pipefail"
)
_BUSYBOX = (
    "[ adduser arch ash awk base64 basename bc bunzip2 bzip2 cal cat chgrp chmod chown cksum clear "
    "cmp comm cp cpio cut date dc dd df diff dirname dmesg dos2unix du egrep env expand expr "
    "factor fgrep find fold free fuser getopt grep groups gunzip gzip head hexdump hostname id "
    "install ip kill killall less link ln ls lsof lzma md5sum mkdir mkfifo mktemp more mount mv nc "
    "nice nl nohup nproc nslookup od paste patch pgrep ping pidof pkill printenv ps readlink "
    "realpath reset rev rm rmdir sed seq setsid sh sha1sum sha256sum sha512sum shred shuf sleep "
    "sort split stat strings stty sum sync tac tail tar tee time timeout top touch tr truncate tty "
    "uname uniq unix2dos unlink unxz unzip uptime usleep vi wc wget which who whoami xargs xxd xz "
    "yes zcat umount su sysctl crond service"
)
_IN_IMAGES = {
    "docker": "docker docker-compose docker-buildx dockerd dockerd-entrypoint.sh git ssh scp "
    "ssh-keygen ssh-agent ssh-add ssh-keyscan apk update-ca-certificates",
    "kaniko": "executor warmer",
    "buildkit": "buildctl buildctl-daemonless.sh buildkitd rootlesskit git ssh apk",
    "buildah": "buildah bash dnf microdnf rpm git-core python3 curl gpg",
}
"""What is in the default images beside the shell and Busybox or coreutils."""


@PipelineRule(
    "host-tools",
    "change",
    "Name an `image` that has the programs, or install them in the script.",
    "dood",
    """
build:
  script:
    - aws ecr get-login-password | docker login --username AWS --password-stdin "$ECR"
    - docker build --tag "$ECR/app" .
""",
)
def host_tools(case: Case) -> Iterator[Match]:
    """The job names no image and calls programs that the runner's default image lacks.

    Such jobs ran by a shell executor, with the programs of the host.
    """
    job = case.job
    if job.image:
        return
    image = ImageReference.parse(case.runner.plan.image).repository.rpartition("/")[2]
    if image not in _IN_IMAGES:
        return
    runner = case.runner
    elsewhere = {
        use.line.command.name  # which another rule finds
        for use in case.uses
        if use.need in {"engine", "builder"} and not runner.has_engine and not runner.has_builder
    }
    known = {*elsewhere, *f"{_SHELL} {_BUSYBOX} {_IN_IMAGES[image]}".split(), *_defined(job)}
    seen: set[str] = set()
    for line in job.lines:
        name = line.command.name
        path = line.command.words[0] if line.command.words else ""
        plain = re.fullmatch(r"[A-Za-z][\w.+-]*", path)
        if plain and name not in known and name not in seen:
            seen.add(name)
            text = f"the default image, {case.runner.plan.image.partition('@')[0]}, has no {name}"
            yield Match(at(line), text, f"name an image that has {name}")


def _defined(job: PipelineJob) -> Iterator[str]:
    """Yield the functions that a job defines, and what it installs."""
    for text in (*(place.text for place in job.script), *job.files.values()):
        for plain, short in re.findall(
            r"^\s*(?:function\s+([\w-]+)|([\w-]+)\s*\(\))", text, re.MULTILINE
        ):
            yield plain or short
    for line in job.lines:
        words = line.command.words
        if line.command.name in {"apk", "apt-get", "apt", "dnf", "microdnf", "yum", "pip", "pip3"}:
            yield from (_PROGRAMS.get(word, word) for word in words[1:])
            yield from _BESIDE if "add" in words or "install" in words else ()
        # What is fetched to a folder of programs or made executable.
        if line.command.name in {"chmod", "install", "mv", "cp", "ln"}:
            yield from (word.rpartition("/")[2] for word in words)


_PROGRAMS = {"aws-cli": "aws", "awscli": "aws", "python3": "python3", "nodejs": "node"}
_BESIDE = ("python", "pip", "pip3", "npm", "npx", "envsubst")
"""Programs that come with packages of other names."""


_KNOWN = re.compile(r"(^|/)(docker|alpine|buildah|podman|buildkit|executor|kaniko)(:|@|$)")
"""Images of which it is known what is in them."""
_FOREIGN = re.compile(
    r"/(?!(kaniko|busybox|bin|usr|sbin|tmp|builds|dev|etc|proc|cnb)/)[\w.-]+/.*\w"
)
_VOLUMES = re.compile(r"/(mnt|media|srv|volumes?|shared|cache|[\w-]*runner[\w-]*)/.*\w")


@PipelineRule(
    "runner-volume",
    "cannot",
    "Put the scripts into the project or into the job's image: runners here have no volumes for "
    "them.",
    "dood",
    """
build:
  script:
    - /srv/ci/build-image.sh "$CI_REGISTRY_IMAGE"
    - docker push "$CI_REGISTRY_IMAGE"
""",
)
def runner_volume(case: Case) -> Iterator[Match]:
    """The job calls a script by a path that neither the project nor a known image has."""
    image = case.job.image.name if case.job.image else "of the runner"
    known = not case.job.image or _KNOWN.search(image)
    for line in case.job.lines:
        words = line.command.words
        called = words[1:2] if line.command.name in {".", "source", "sh", "bash"} else words[:1]
        for path in called:
            foreign = (_FOREIGN if known else _VOLUMES).match(path)
            if foreign and not _is_made(case.job, path):
                text = f"{path} is neither in the project nor in the image {image}"
                yield Match(at(line), text, "put it into the project, or into an image")
                return


def _is_made(job: PipelineJob, path: str) -> bool:
    """Whether a job makes a path or a folder above it, or an installer does so at home."""
    if job.image and path.startswith(("/root/", "/home/")):
        return True
    return any(
        f"{path}/".startswith(f"{word.rstrip('/')}/")
        for line in job.lines
        if line.command.name not in _MAKES_NOTHING
        for word in line.command.words[1:]
        if re.match(r"/\w", word)
    )


_MAKES_NOTHING = frozenset({".", "source", "sh", "bash", "cd", "ls", "test", "[", "echo", "export"})


_MAKES = re.compile(
    r"(image |builder )?(build|pull|load|import|commit)\b|(buildx )?bake|buildx build|"
    r"compose (build|pull|up|run|create)\b"
)


@PipelineRule(
    "engine-as-store",
    "change",
    "Push the image in the job that builds it, or hand it on by `docker save` as an artifact: the "
    "next job has another engine.",
    "dind",
    """
publish:
  script:
    - docker push "$CI_REGISTRY_IMAGE:$CI_COMMIT_SHORT_SHA"
""",
)
def engine_as_store(case: Case) -> Iterator[Match]:
    """The job uses an image that an earlier job left in its engine, and each has another one.

    With `dood` it may be the engine of another node.
    """
    runner = case.runner
    if not runner.has_engine or (runner.has_node_engine and runner.one_node):
        return
    done = list(uses(case.job))
    unseen = any(use.need == "engine" and not use.is_docker for use in done)
    if unseen or any(map(_hides, case.job.lines)) or any(_MAKES.match(use.rest) for use in done):
        return
    for use in done:
        if use.is_docker and re.match(r"(image )?(push|tag|save)\b|compose push", use.rest):
            text = f"'docker {use.rest[:60]}' uses an image that this job has not made"
            yield Match(at(use.line), text, "push it in the job that builds it")
            return
    yield from _left_by_others(case)


def _hides(line: Line) -> bool:
    """Whether a command may build images unseen: make, or a script."""
    name, words = line.command.name, line.command.words
    return name in _BUILDERS.split() or any(word.endswith((".sh", ".py")) for word in words[:2])


_BUILDERS = (
    "make task just rake mage invoke inv npm npx yarn pnpm nx mvn mvnw gradle gradlew sbt mill "
    "bazel bazelisk goreleaser packer nix nix-build sam tilt devspace molecule ansible-builder"
)
"""Programs that may build images by an engine unseen."""


def _left_by_others(case: Case) -> Iterator[Match]:
    """Yield a ``docker run`` of an image that another job builds and does not push."""
    left: set[str] = set()
    for job in case.jobs:
        kept = [use for use in uses(job) if use.builds and "--push" not in use.rest]
        built = {name for use in kept for name in _names(_filled(job, use.rest))}
        pushes = [_filled(job, use.rest) for use in uses(job) if use.pushes]
        if job is not case.job and not any(_PUSHES_ALL.search(rest) for rest in pushes):
            left |= built - {word for rest in pushes for word in rest.split()}
    for use in uses(case.job):
        words = set(_filled(case.job, use.rest).split())
        if use.is_docker and use.rest.startswith("run ") and words & left:
            text = "this image is built by another job, which does not push it"
            yield Match(at(use.line), text, "push it there, and pull it here")
            return


def _names(rest: str) -> list[str]:
    """Return what an image is to be called, from the options of a build."""
    return re.findall(r"(?:-t|--tag)[ =](\S+)", rest)


_PUSHES_ALL = re.compile(r"--all-tags|(?<!\S)-a(?!\S)|compose push")


def _filled(job: PipelineJob, rest: str) -> str:
    """Return the words of a command with the job's variables, spelled in one way."""
    return re.sub(r"\$\{(\w+)\}", r"$\1", expand(rest, job.environment))
