"""How a job reaches a Docker engine, and what it asks of it."""

import re
from collections.abc import Iterator

from convert.pipeline.job import at
from convert.pipeline.rule import Case, Edit, Match, PipelineRule, removal
from convert.pipeline.tools import compose_files

_PORT = re.compile(
    r"(localhost|127\.0\.0\.1|docker|dind|\$\{?DOCKER_HOST\}?)(:| |/)*(237[56])?\b.*237[56]|"
    r"(localhost|127\.0\.0\.1|docker|dind):237[56]"
)
_WAITERS = re.compile(r"nc|ncat|netcat|telnet|curl|wget|dockerize|wait-for.*|wait_for.*|wait4.*")


@PipelineRule(
    "docker-host",
    "change",
    "Delete `DOCKER_HOST`: the job then gets the engine of its runner. An engine that a service of "
    "the job has at that address is used, and where none answers, that of the runner.",
    "dind",
    """
build:
  variables: {DOCKER_HOST: "tcp://dockerdaemon:2375"}
  script:
    - docker build --tag "$CI_REGISTRY_IMAGE" .
""",
)
def docker_host(case: Case) -> Iterator[Match]:
    """The job names an engine by a name that none of its services has, or where none listens.

    Where nobody listens, a job gets the engine of its runner, but not in an image without Docker's
    client, with which the runner asks, and not by an option such as `docker --host`.
    """
    job, runner = case.job, case.runner
    if not runner.has_engine or not case.needs_engine:
        return
    if host := job.environment.get("DOCKER_HOST"):
        place = job.find("DOCKER_HOST")
        if text := _unheard(case, host, replaced=_has_client(case)):
            yield Match(
                place, f"DOCKER_HOST is {host}, {text}", "delete DOCKER_HOST", removal(place)
            )
    for use in case.uses:
        asked = _OPTION.search(use.line.command.text) if use.is_docker else None
        if asked and (text := _unheard(case, asked[1], replaced=False)):
            do = "leave it out: the job then gets the engine of its runner"
            yield Match(at(use.line), f"docker asks {asked[1]}, {text}", do)


_OPTION = re.compile(r"(?:-H ?|--host[ =]|\bhost=)(tcp://[^\s,]+)")


def _unheard(case: Case, host: str, *, replaced: bool) -> str:
    """Return why nobody answers at a host, empty where it is unknown or somebody else is asked."""
    name = re.match(r"tcp://([\w-]+|127\.[\d.]+)(:\d+)?/?$", host)
    if not name:
        return ""
    if name[1] not in _names(case) and not name[1].startswith("127."):
        return "and no service of the job has that name"
    if case.own_engine_serves or replaced:
        return ""
    return "where nobody listens"


def _has_client(case: Case) -> bool:
    """Whether the job's image has Docker's client, by its name and the script."""
    image = case.job.image
    named = image and "docker" in image.name.rpartition("/")[2]
    return not image or bool(named) or any(use.is_docker for use in case.uses)


def _names(case: Case) -> set[str]:
    """Return the names that mean this pod (runner:executors/kubernetes/host_aliases.go)."""
    names = {"docker", "localhost"}
    for service in case.job.services:
        plain = re.split("[:@]", service.name.rpartition("/")[2])[0]
        path = service.name.partition("@")[0].partition(":")[0]
        names |= {*service.aliases, plain, path.replace("/", "-"), path.replace("/", "__")}
    return names


@PipelineRule(
    "port-wait",
    "change",
    "Delete the loop: the runner waits for its engine before the script starts.",
    "dood",
    """
build:
  script:
    - until nc -z localhost 2375; do sleep 1; done
    - docker build --tag "$CI_REGISTRY_IMAGE" .
""",
)
def port_wait(case: Case) -> Iterator[Match]:
    """The job waits for an engine's port, on which nobody listens, until its timeout."""
    if case.own_engine_serves or not case.runner.has_engine:
        return
    for line in case.job.lines:
        if _WAITERS.fullmatch(line.command.name) and _PORT.search(line.command.text):
            text = f"'{line.command.text}' waits for a port on which nobody listens"
            do = "delete it: the runner waits for its engine"
            yield Match(at(line), text, do, removal(line.place))


_OLDEST = "1.40"
"""Docker 19.03, for engines since 29.3 (moby: daemon/config/config.go)."""
_API = {1: 24, 17: 30, 18: 39}
"""The newest API of clients that are too old, by their major version."""


@PipelineRule(
    "old-client",
    "change",
    "Take a client of Docker 19.03 or later, and delete `DOCKER_API_VERSION`.",
    "dood",
    """
build:
  image: docker:18
  script:
    - docker build --tag "$CI_REGISTRY_IMAGE" .
""",
)
def old_client(case: Case) -> Iterator[Match]:
    """The job's client speaks an API that is too old for the engine."""
    job, runner = case.job, case.runner
    if not runner.has_engine or not case.needs_engine or case.own_engine_serves:
        return
    oldest = next(
        (
            service.environment["DOCKER_MIN_API_VERSION"]
            for service in runner.plan.services
            if "DOCKER_MIN_API_VERSION" in service.environment
        ),
        _OLDEST,
    )
    least = int(oldest.partition(".")[2])
    version = job.environment.get("DOCKER_API_VERSION", "")
    asked = re.fullmatch(r"1\.(\d+)", version)
    if asked and int(asked[1]) < least:
        place = job.find("DOCKER_API_VERSION")
        text = f"DOCKER_API_VERSION is {version}, and the engine takes {oldest} or later"
        yield Match(place, text, "delete DOCKER_API_VERSION", removal(place))
    named = re.search(r"(?:^|/)docker:(\d+)\b", job.image.name) if job.image else None
    if job.image and named and _API.get(int(named[1]), least) < least:
        place = job.image.place
        text = f"the client in {job.image.name} is older than the API {oldest} of the engine"
        edit = Edit(place, place.text, runner.plan.image)
        yield Match(place, text, f"use {runner.plan.image}", edit)


_MOUNTS = re.compile(
    r"(container |compose )?(run|create) .*(-v|--volume|--mount)[ =]\S*"
    r"(\$\{?(PWD|CI_PROJECT_DIR)|\$\(pwd|`pwd|\./)"
)

_BEGINS = re.compile(r"compose (up|run|create|start)\b")
_FOLDER = re.compile(
    r"(?:^\s*-\s*[\"']?(?=\S+:/)|\bsource:\s*[\"']?)"
    r"((?:\.{1,2}(?=[/:\s\"'])|\$\{?(?:PWD|CI_PROJECT_DIR)\b)[^:\s\"']*)",
    re.MULTILINE,
)
"""A folder of the project in a file of Compose (compose-spec: 05-services.md, volumes)."""


@PipelineRule(
    "bind-mount",
    "change",
    "Copy files by `docker cp` or build them into an image, or give the job the tag of a runner "
    "with `dind`, whose engine sees the project.",
    "dood",
    """
test:
  script:
    - docker run --rm -v "$CI_PROJECT_DIR:/src" alpine ls /src
""",
)
def bind_mount(case: Case) -> Iterator[Match]:
    """The job mounts a folder of the project by the node's engine, which has no such folder.

    It does so by an option, or by a file of Compose.
    """
    if not case.runner.has_node_engine:
        return
    for use in case.uses:
        if _MOUNTS.match(use.rest):
            text = "the folder is one of the node there, and not the project"
            yield Match(at(use.line), text, "copy the files by docker cp")
    for use in case.uses:
        if use.is_docker and _BEGINS.match(use.rest):
            for path in sorted(compose_files(case.job) & case.job.files.keys()):
                if folder := _FOLDER.search(case.job.files[path]):
                    text = f"{path} mounts {folder[1]}, which is a folder of the node there"
                    yield Match(at(use.line), text, "copy the files by docker compose cp")
            return


_PUBLISHES = re.compile(r"(container )?(run|create) .*(-p|--publish)[ =]?\S|compose up\b")
_ASKERS = re.compile(r"curl|wget|nc|http|hurl|wait-for.*|wait4.*|dockerize")
_LOCAL = re.compile(r"(//|\b)(localhost|127\.0\.0\.1|docker)(:| )\d")


@PipelineRule(
    "node-port",
    "change",
    "Ask the container by `docker exec` or from another one in its network, or give the job the "
    "tag of a runner with `dind`, whose engine is in the job's network.",
    "dood",
    """
test:
  script:
    - docker run --detach --publish 8080:80 nginx
    - wget -q -O- http://localhost:8080
""",
)
def node_port(case: Case) -> Iterator[Match]:
    """The job asks a port that its container has on the node, which is not `localhost` here."""
    published = any(_PUBLISHES.match(use.rest) for use in case.uses)
    if not case.runner.has_node_engine or not published:
        return
    for line in case.job.lines:
        if _ASKERS.fullmatch(line.command.name) and _LOCAL.search(line.command.text):
            text = f"'{line.command.text[:60]}' asks the job's pod, and the port is on the node"
            yield Match(at(line), text, "ask the container by docker exec")
            return
