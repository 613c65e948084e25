"""What programs need of a runner that build, push or run images."""

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterator
from typing import Literal

from convert.pipeline.job import Line, PipelineJob

Need = Literal["engine", "builder", "root", "namespaces", "daemon", "nothing"]
"""A Docker engine; it or a builder of buildx; root in the container; user namespaces that the
container makes; a BuildKit daemon elsewhere; or only the network."""

_DOCKER = frozenset({"docker", "docker-compose"})
_WITH_VALUE = frozenset({"-H", "--host", "-c", "--context", "--config", "-l", "--log-level"})
_OF_COMPOSE = frozenset(
    {"-f", "--file", "-p", "--project-name", "--project-directory", "--profile", "--env-file"}
    | {"--parallel", "--ansi", "--progress", *_WITH_VALUE}
)
"""Options before the command that have a value, of the client and of Compose."""
_OF_THE_CLIENT = re.compile(
    r"(login|logout|manifest|context|trust|scout|sbom|plugin|help|--version|-v)( |$)|"
    r"buildx (imagetools|version|ls|use|rm|stop|prune|du|install|create|inspect)( |$)|"
    r"compose( (config|convert|version|help|--version|-v)( |$)|$)"
)
_LOADS = re.compile(r"--load\b|type=docker\b(?!\S*,dest=)|type=tar\b.*docker load")
_BUILDS = re.compile(
    r"((image|builder) )?build( |$)|(buildx )?bake( |$)|buildx (build|b)( |$)|compose build( |$)"
)
_PUSHES = re.compile(r"(image )?push( |$)|compose push( |$)|manifest push( |$)|buildx imagetools")
_OTHERS: tuple[tuple[str, str, Need], ...] = (
    ("executor|kaniko", r"", "root"),
    ("buildah|podman|werf|podman-compose", r"(?!(login|logout|version|--version)\b)", "namespaces"),
    ("buildctl-daemonless.sh|buildkitd|rootlesskit|img", r"", "namespaces"),
    ("buildctl", r"", "daemon"),
    ("pack", r"build(?!.* --publish.*--docker-host)", "engine"),
    ("nixpacks|s2i|earthly|dagger|skaffold|kind|k3d|act|dgoss|nerdctl", r"", "engine"),
    ("container-structure-test", r"(?!.*--driver tar)", "engine"),
    (
        r"mvnw?|gradlew?",
        r".*(build-image|bootBuildImage|dockerBuild|docker:build|jibDockerBuild)",
        "engine",
    ),
    (r"mvnw?|gradlew?", r".*\bjib\b", "nothing"),
    (
        "crane|gcrane|regctl|oras",
        r"(--\S+ )*(push|append|copy|cp|mutate|tag|image copy|image import)",
        "nothing",
    ),
    ("skopeo", r".*\b(copy|sync)\b", "nothing"),
    ("ko", r"build|publish|apply|resolve", "nothing"),
    ("creator|apko|umoci", r"", "nothing"),
    ("dotnet", r"publish.*PublishContainer", "nothing"),
    ("depot", r"build|bake", "nothing"),
    # Clouds and clusters that build elsewhere.
    ("az", r"acr (build|import|run|task)", "nothing"),
    ("gcloud", r"((alpha|beta) )?builds submit", "nothing"),
    ("oc", r"start-build|new-build", "nothing"),
    # Targets that say so by their name.
    ("make|task|just", r"(?!.*-C).*docker", "engine"),
)
"""A program, what follows it, and what it then needs."""


@dataclasses.dataclass(frozen=True)
class Use:
    """A command of a job that builds, pushes or runs images.

    ``rest`` follows the program and its options; Compose is "compose" by either of its names.
    """

    line: Line
    need: Need
    rest: str

    @property
    def is_docker(self) -> bool:
        """Whether it is the Docker client, or Compose."""
        return self.line.command.name in _DOCKER

    @property
    def emulates(self) -> bool:
        """Whether it installs emulators of other platforms."""
        return bool(re.search(r"^run .*(binfmt|qemu-user-static)", self.rest))

    @property
    def builds(self) -> bool:
        """Whether it builds an image by the Docker client."""
        return self.is_docker and bool(_BUILDS.match(self.rest))

    @property
    def pushes(self) -> bool:
        """Whether it pushes an image by the Docker client."""
        return self.is_docker and bool(_PUSHES.match(self.rest))


@functools.lru_cache(maxsize=4096)
def uses(job: PipelineJob) -> tuple[Use, ...]:
    """Return each command of a job that needs something of its runner to handle images."""
    return tuple(_uses(job))


def _uses(job: PipelineJob) -> Iterator[Use]:
    for line in job.lines:
        command = line.command
        if command.name in _DOCKER:
            yield _docker(line)
            continue
        rest = " ".join(command.words[1:])
        for name, following, need in _OTHERS:
            if re.fullmatch(name, command.name) and re.match(following, rest):
                yield Use(line, need, rest)
                break


def _docker(line: Line) -> Use:
    name, *words = line.command.words
    words = ["compose", *words] if name.endswith("compose") else _after_options(words, _WITH_VALUE)
    if words[:1] == ["compose"]:
        words = ["compose", *_after_options(words[1:], _OF_COMPOSE)]
    rest = " ".join(words)
    if _OF_THE_CLIENT.match(rest) or not rest:
        return Use(line, "nothing", rest)
    builds = re.match(
        r"(buildx )?bake( |$)|buildx (build|b)( |$)|compose build .*--push( |$)", rest
    )
    if builds and not _LOADS.search(rest):
        return Use(line, "builder", rest)
    return Use(line, "engine", rest)


_COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")


def compose_files(job: PipelineJob) -> set[str]:
    """Return the paths of the files that Compose may read for a job, none if it is not called."""
    found: set[str] = set()
    named = job.environment.get("COMPOSE_FILE", "").split(":")
    for use in uses(job):
        if use.is_docker and use.rest.startswith("compose"):
            words = use.line.command.words
            options = itertools.pairwise(words)
            given = {word for option, word in options if option in {"-f", "--file"}}
            given |= {word[len("--file=") :] for word in words if word.startswith("--file=")}
            found |= given or {*filter(None, named)} or {*_COMPOSE_FILES}
    return {path.removeprefix("./") for path in found}


def _after_options(words: list[str], valued: frozenset[str]) -> list[str]:
    """Return words without the options that come first, and the values of these."""
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] not in {"--version", "-v"}:
        at += 1 + (words[at] in valued)
    return words[at:]


_IMAGES = re.compile(r"(^|/)(executor|buildah|podman|buildkit)(:|@|$)|(docker|kaniko)[^/]*$")


def handles_images(job: PipelineJob) -> bool:
    """Whether a job builds, pushes or runs images, or is in the image of a tool that does."""
    in_tool = job.image is not None and _IMAGES.search(job.image.name)
    return bool(job.template or job.engine or in_tool or uses(job))


def only_builds(job: PipelineJob) -> bool:
    """Whether a job does with its engine what a tool without one does: build, tag and push."""
    simple = re.compile(
        r"((image )?(build|push|tag|pull)|login|logout|info|version|images|image ls|--version|-v|"
        r"(image |system |builder )?prune|rmi|image rm)( |$)"
    )
    found = [use for use in uses(job) if use.need != "nothing" or use.is_docker]
    return any(use.builds for use in found) and all(
        use.is_docker and simple.match(use.rest) for use in found
    )
