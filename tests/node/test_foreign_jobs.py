"""Jobs that were written for Docker-in-Docker elsewhere run here as they are.

docs/how-to/move-a-pipeline.md says which engine each of them gets.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from dev.node.images.catalogue import BASE, CLIENT, ENGINES
from dev.node.node import Node
from dev.node.registry import LOGIN
from tests.support.node.jobs import Pipeline, Result, Runner
from tests.support.node.project import assert_explained
from tests.support.node.registries import inspect
from tests.support.shared import Shared

DIND, DIND_28, DIGEST, HUB, MIRRORED, PROXIED = ENGINES
OF_JOB, OF_RUNNER, OF_NODE = "/var/lib/docker", "/var/lib/image-builds/docker", ""
"""Where an engine keeps its data, by which it is known."""
PLAIN = (f"--insecure-registry={LOGIN.address}",)
WITHOUT_TLS = {"DOCKER_TLS_CERTDIR": ""}
WITH_TLS = {
    "DOCKER_HOST": "tcp://docker:2376",
    "DOCKER_TLS_CERTDIR": "/certs",
    "DOCKER_TLS_VERIFY": "1",
    "DOCKER_CERT_PATH": "$DOCKER_TLS_CERTDIR/client",
}
BUILD = (
    "docker login -u $CI_REGISTRY_USER -p $CI_REGISTRY_PASSWORD $CI_REGISTRY",
    "docker build -t $CI_REGISTRY_IMAGE:$CI_COMMIT_SHORT_SHA .",
    "docker push $CI_REGISTRY_IMAGE:$CI_COMMIT_SHORT_SHA",
)
IMAGE = f"{LOGIN.address}/{BASE}"
# What tests with containers ask of an engine: the socket in a container, by the variable and where
# all look for it, folders of the project, ports, clients of long ago, and of another user.
CONTAINERS = (
    f"docker run --rm -v ${{DOCKER_HOST#unix://}}:/the.sock {IMAGE} test -S /the.sock",
    f"docker run --rm -v /var/run/docker.sock:/the.sock {IMAGE} test -S /the.sock",
    f"docker run --rm -v $CI_PROJECT_DIR:/project {IMAGE} grep -q hello /project/Dockerfile",
    f"docker run --detach --publish 8080:80 {IMAGE} httpd -f -p 80 -h /etc",
    "until busybox wget -q -O - http://docker:8080/passwd | grep root; do sleep 1; done",
    "perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(substr($ENV{DOCKER_HOST}, 7));"
    ' print $s "GET /v1.24/info HTTP/1.0\\r\\n\\r\\n"; print grep /200 OK/, <$s>\' | grep OK',
    "setpriv --reuid=1000 --clear-groups env HOME=/tmp docker version",
    "env -u DOCKER_HOST docker version",
)
BUILDX = "docker buildx build --push -t $CI_REGISTRY_IMAGE:$CI_COMMIT_SHORT_SHA ."
CREATE = "docker buildx create --use --driver docker-container --buildkitd-config buildkitd.toml"
FILES: dict[str, str | bytes] = {
    "Dockerfile": f"FROM {IMAGE}\nRUN echo hello > /hello\n",
    "buildkitd.toml": f'[registry."{LOGIN.address}"]\nhttp = true\n',
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Foreign:
    """A job, and the engine that it gets; ``says`` is what the log says before its script."""

    runner: str = "dind"
    service: str = ""
    alias: str = ""
    command: Sequence[str] = ()
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    script: Sequence[str] = BUILD
    engine: str = OF_JOB
    says: str = ""

    def services(self) -> list[dict[str, Any]]:
        """Return its service as GitLab sends it."""
        alias = {"alias": self.alias} if self.alias else {}
        entry = {"name": self.service, "command": list(self.command), **alias}
        return [entry] if self.service else []


JOBS = {
    "an engine that it does not ask for": Foreign(
        service=DIND, script=(*BUILD, *CONTAINERS), engine=OF_RUNNER
    ),
    "an engine with TLS": Foreign(service=DIND_28, command=PLAIN, variables=WITH_TLS),
    "an engine without TLS, which says so for 16 s": Foreign(
        service=DIGEST,
        command=PLAIN,
        variables={"DOCKER_HOST": "tcp://docker:2375", **WITHOUT_TLS, "DOCKER_DRIVER": "overlay2"},
    ),
    "an engine under an alias": Foreign(
        service=HUB,
        alias="dockerdaemon",
        command=("--tls=false", *PLAIN),
        variables={"DOCKER_HOST": "tcp://dockerdaemon:2375", **WITHOUT_TLS},
    ),
    "an engine whose port it waits for": Foreign(
        service=MIRRORED,
        alias="docker",
        command=("--tls=false", *PLAIN),
        variables={"DOCKER_HOST": "tcp://localhost:2375", **WITHOUT_TLS},
        script=("until bash -c 'echo >/dev/tcp/localhost/2375' 2>&-; do sleep 1; done", *BUILD),
    ),
    "an engine that only its script names": Foreign(
        service=PROXIED,
        command=("--tls=false", *PLAIN),
        variables=WITHOUT_TLS,
        script=(
            "export DOCKER_HOST=tcp://docker:2375",
            "until docker version >/dev/null 2>&1; do sleep 1; done",
            *BUILD,
        ),
    ),
    "an engine with a socket in the folder of certificates": Foreign(
        service=DIND,
        command=("dockerd", "--host=unix:///certs/client/docker.sock", *PLAIN),
        variables={"DOCKER_HOST": "unix:///certs/client/docker.sock"},
    ),
    "an address without an engine": Foreign(
        variables={"DOCKER_HOST": "tcp://docker:2375", "DOCKER_TLS_VERIFY": "1"},
        engine=OF_RUNNER,
        says="DOCKER_HOST=tcp://docker:2375 is set by the job, and no engine answers there.",
    ),
    "a builder as GitLab's pages make it": Foreign(
        service=DIND,
        variables={"DOCKER_TLS_CERTDIR": "/certs"},
        script=(BUILDX, f"{CREATE} --name builder", "docker buildx inspect --bootstrap", BUILDX),
        engine=OF_RUNNER,
    ),
    "a builder of a context": Foreign(
        service=DIND_28,
        command=PLAIN,
        variables=WITH_TLS,
        script=("docker context create here", f"{CREATE} here", BUILDX),
    ),
    "an engine that cannot start": Foreign(
        runner="dood",
        service=DIND,
        variables=WITH_TLS,
        engine=OF_NODE,
        says="DOCKER_HOST=tcp://docker:2376 is set by the job, and no engine answers there.",
    ),
    "an address without an engine, for TLS": Foreign(
        runner="dind-tls",
        variables={"DOCKER_HOST": "tcp://docker:2375", **WITHOUT_TLS},
        engine=OF_RUNNER,
        says="DOCKER_HOST=tcp://docker:2375 is set by the job, and no engine answers there.",
    ),
}


@pytest.fixture
def run(runner: Callable[..., Runner], shared: Shared) -> Callable[..., Result]:
    """Run a job on a runner that other tests leave as it is until this one ends."""

    def _run(name: str, pipeline: Pipeline) -> Result:
        with shared.undisturbed(name, disturbs=False):
            return runner(name).run(pipeline)

    return _run


@pytest.mark.parametrize("job", JOBS)
def test_a_job_with_something_of_elsewhere_builds_and_pushes(
    job: str, node: Node, run: Callable[..., Result], tag: str
) -> None:
    foreign = JOBS[job]
    pipeline = Pipeline(
        image=CLIENT,
        services=foreign.services(),
        variables=foreign.variables,
        script=[*foreign.script, "docker info --format 'data in {{.DockerRootDir}}.'"],
        files=FILES,
        commit=tag,
    )

    result = run(foreign.runner, pipeline)

    assert result.status == "success"
    assert inspect(node, f"group/app:{tag}", LOGIN)["Name"]
    assert f"data in {foreign.engine}" in result.trace
    assert foreign.says in result.trace
    assert ("is set by the job" in result.trace) is bool(foreign.says)


def test_a_service_that_is_not_allowed_is_refused_by_name(run: Callable[..., Result]) -> None:
    database = Pipeline(services=[{"name": "postgres:18"}], script=["true"], files={})

    result = run("dind", database)

    assert result.status == "system failure"
    assert '"postgres:18" image' in result.trace
    assert_explained("image is not present on list of allowed services", result.trace)
