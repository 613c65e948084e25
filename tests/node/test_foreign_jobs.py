"""Jobs that were written for Docker-in-Docker elsewhere run here as they are.

docs/how-to/move-a-pipeline.md says which engine each of them gets.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from dev.node.images.catalogue import BASE, CLIENT, ENGINES
from dev.node.node import Node
from dev.node.registry import LOGIN
from tests.support.node.jobs import Pipeline, Result, Runner
from tests.support.node.project import assert_explained
from tests.support.node.registries import inspect
from tests.support.node.stack import DATABASES
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
LOGIN_FIRST, MAKE, PUSH = BUILD
IT = "$CI_REGISTRY_IMAGE:$CI_COMMIT_SHORT_SHA"
# Elsewhere no runner has a login.
FORGET = 'rm -f "$DOCKER_CONFIG/config.json"'
BY_PIPE = (
    'echo "$CI_REGISTRY_PASSWORD" | '
    'docker login -u "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY"'
)
AUTH = "$(printf %s $CI_REGISTRY_USER:$CI_REGISTRY_PASSWORD | base64 | tr -d '\\n')"
WRITTEN = f'echo "{{\\"auths\\":{{\\"$CI_REGISTRY\\":{{\\"auth\\":\\"{AUTH}\\"}}}}}}"'
# What Compose asks of an engine: a network, a volume, and a service that others call by its name.
TOGETHER = (
    "docker network create app_default && docker volume create app_data",
    "docker run -d --name app-db-1 --network app_default --network-alias db -v app_data:/data "
    f"--health-cmd 'test -d /data' --health-interval 1s {IMAGE} httpd -f -p 5432 -h /etc",
    'until docker inspect app-db-1 | grep \'"Status": "healthy"\'; do sleep 1; done',
    f"docker run --rm --network app_default {IMAGE} sh -c "
    "\"printf 'GET /passwd HTTP/1.0\\r\\n\\r\\n' | nc db 5432 | grep root\"",
)
BUILDX = f"docker buildx build --push -t {IT} ."
CREATE = "docker buildx create --use --driver docker-container --buildkitd-config buildkitd.toml"
FILES: dict[str, str | bytes] = {
    "Dockerfile": f"FROM {IMAGE}\nRUN echo hello > /hello\n",
    "buildkitd.toml": f'[registry."{LOGIN.address}"]\nhttp = true\n',
    "docker-bake.hcl": 'variable "NAME" {}\ntarget "default" { tags = [NAME] }\n',
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Foreign:
    """A job, and the engine that it gets; ``says`` is what the log says before its script."""

    runner: str = "dind"
    image: str = CLIENT
    service: str = ""
    alias: str = ""
    command: Sequence[str] = ()
    of_service: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    script: Sequence[str] = BUILD
    engine: str = OF_JOB
    says: str = ""

    def services(self) -> list[dict[str, Any]]:
        """Return its service as GitLab sends it."""
        alias = {"alias": self.alias} if self.alias else {}
        own = [{"key": key, "value": value} for key, value in self.of_service.items()]
        entry = {"name": self.service, "command": list(self.command), "variables": own, **alias}
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
        # Without one it has no name, since that of its image has an underscore, and the engine of
        # the runner does not wait for what it does not know.
        alias="docker",
        command=("--tls=false", *PLAIN),
        variables=WITHOUT_TLS,
        script=(
            "export DOCKER_HOST=tcp://docker:2375",
            "timeout 120 sh -c 'until docker version >/dev/null 2>&1; do sleep 1; done'",
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
    "an engine whose flags it sets": Foreign(
        service=DIND,
        command=("--tls=false", "--mtu=1300", *PLAIN),
        variables={"DOCKER_HOST": "tcp://docker:2375", **WITHOUT_TLS},
        script=(*BUILD, "docker network inspect bridge | grep 'driver.mtu.*1300'"),
    ),
    "an engine whose service has the variables": Foreign(
        service=DIND_28,
        alias="engine",
        command=("--tls=false", *PLAIN),
        of_service=WITHOUT_TLS,
        variables={"DOCKER_HOST": "tcp://engine:2375"},
    ),
    "an address of the loopback without an engine": Foreign(
        variables={"DOCKER_HOST": "tcp://127.0.0.1:2375", **WITHOUT_TLS},
        engine=OF_RUNNER,
        says="DOCKER_HOST=tcp://127.0.0.1:2375 is set by the job, and no engine answers there.",
    ),
    "an empty address": Foreign(
        service=DIND, variables={"DOCKER_HOST": "", **WITHOUT_TLS}, engine=OF_RUNNER
    ),
    "certificates that nobody made": Foreign(
        variables={"DOCKER_TLS_VERIFY": "", "DOCKER_CERT_PATH": "/certs/none"}, engine=OF_RUNNER
    ),
    "a loop until an engine answers": Foreign(
        script=("until docker info >/dev/null 2>&1; do sleep 1; done", *BUILD), engine=OF_RUNNER
    ),
    "a login by a pipe": Foreign(script=(FORGET, BY_PIPE, MAKE, PUSH), engine=OF_RUNNER),
    "a login that it writes": Foreign(
        script=(FORGET, "mkdir -p ~/.docker", f"{WRITTEN} >~/.docker/config.json", MAKE, PUSH),
        engine=OF_RUNNER,
    ),
    "a folder of logins": Foreign(
        variables={"DOCKER_CONFIG": "$CI_PROJECT_DIR/.docker"},
        script=(FORGET, BY_PIPE, MAKE, PUSH),
        engine=OF_RUNNER,
    ),
    "an option for the folder of logins": Foreign(
        script=(
            FORGET,
            *(
                line.replace("docker ", "docker --config /tmp/own ")
                for line in (BY_PIPE, MAKE, PUSH)
            ),
        ),
        engine=OF_RUNNER,
    ),
    "the builder before BuildKit": Foreign(variables={"DOCKER_BUILDKIT": "0"}, engine=OF_RUNNER),
    "an API that it chooses": Foreign(variables={"DOCKER_API_VERSION": "1.44"}, engine=OF_RUNNER),
    "a cache in an image": Foreign(
        script=(
            LOGIN_FIRST,
            "docker pull $CI_REGISTRY_IMAGE:latest || true",
            f"docker build --cache-from $CI_REGISTRY_IMAGE:latest"
            f" --build-arg BUILDKIT_INLINE_CACHE=1 -t {IT} .",
            PUSH,
        ),
        engine=OF_RUNNER,
    ),
    "an image in a file, and a second tag": Foreign(
        script=(
            LOGIN_FIRST,
            "docker build -t built .",
            "docker save -o image.tar built && docker rmi built && docker load -i image.tar",
            f"docker tag built {IT} && docker tag built $CI_REGISTRY_IMAGE:other",
            "docker push --all-tags $CI_REGISTRY_IMAGE",
        ),
        engine=OF_RUNNER,
    ),
    "a test of its image": Foreign(
        script=(LOGIN_FIRST, MAKE, f"docker run --rm {IT} grep hello /hello", PUSH),
        engine=OF_RUNNER,
    ),
    "a list of images": Foreign(
        script=(
            *BUILD,
            f"docker manifest create --insecure $CI_REGISTRY_IMAGE:list {IT}",
            "docker manifest push --insecure $CI_REGISTRY_IMAGE:list",
        ),
        engine=OF_RUNNER,
    ),
    "containers that call each other": Foreign(script=(*TOGETHER, *BUILD), engine=OF_RUNNER),
    "a file for bake": Foreign(
        script=(LOGIN_FIRST, f"NAME={IT} docker buildx bake --push"), engine=OF_RUNNER
    ),
    "a builder with a cache": Foreign(
        script=(
            LOGIN_FIRST,
            f"{CREATE} --bootstrap",
            f"{BUILDX} --cache-to type=registry,ref=$CI_REGISTRY_IMAGE:cache,mode=max",
            f"docker buildx imagetools create -t $CI_REGISTRY_IMAGE:copy {IT}",
        ),
        engine=OF_RUNNER,
    ),
    "a builder of a context, on an engine with TLS": Foreign(
        runner="dind-tls",
        script=(LOGIN_FIRST, "docker context create here", f"{CREATE} here", BUILDX),
        engine=OF_RUNNER,
    ),
    "an engine where only that of the runner may start": Foreign(
        runner=DATABASES,
        service=DIND,
        alias="docker",
        variables={"DOCKER_HOST": "tcp://docker:2375", **WITHOUT_TLS},
        engine=OF_RUNNER,
        says="DOCKER_HOST=tcp://docker:2375 is set by the job, and no engine answers there.",
    ),
    "an engine without root": Foreign(runner="dind-rootless", engine=OF_RUNNER),
    "no image, as on a host": Foreign(runner="dood", image="", engine=OF_NODE),
    "an engine that it does not ask for, on a node's": Foreign(
        runner="dood", service=DIND, engine=OF_NODE
    ),
    "a builder on a node's engine": Foreign(
        runner="dood",
        script=(
            LOGIN_FIRST,
            f"{CREATE} --name b$CI_COMMIT_SHORT_SHA",
            BUILDX,
            "docker buildx rm b$CI_COMMIT_SHORT_SHA",
        ),
        engine=OF_NODE,
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
        image=foreign.image,
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


def test_a_database_beside_an_engine_has_no_privilege(
    node: Node, run: Callable[..., Result], tag: str
) -> None:
    """It says what it may do; so does a container that the engine gives everything."""
    may = "grep CapEff /proc/self/status >/tmp/may && httpd -f -p 5432 -h /tmp"
    ask = "printf 'GET /may HTTP/1.0\\r\\n\\r\\n' | nc 127.0.0.1 5432 | grep CapEff"
    database = {"name": IMAGE, "alias": "db", "entrypoint": ["sh", "-c", may]}
    script = [
        *BUILD,
        f'docker run --rm --network host {IMAGE} sh -c "{ask}"',
        f"docker run --rm --privileged {IMAGE} sh -c 'sed -n s/^CapEff/All/p /proc/self/status'",
        "grep db /etc/hosts",
    ]
    pipeline = Pipeline(image=CLIENT, services=[database], script=script, files=FILES, commit=tag)

    result = run(DATABASES, pipeline)

    assert result.status == "success"
    assert inspect(node, f"group/app:{tag}", LOGIN)["Name"]
    (service,) = re.findall(r"^CapEff:\s+(\w+)", result.trace, re.MULTILINE)
    (everything,) = re.findall(r"^All:\s+(\w+)", result.trace, re.MULTILINE)
    assert int(service, 16) < int(everything, 16)


def test_a_service_that_is_not_allowed_is_refused_by_name(run: Callable[..., Result]) -> None:
    database = Pipeline(services=[{"name": "postgres:18"}], script=["true"], files={})

    result = run("dind", database)

    assert result.status == "system failure"
    assert '"postgres:18" image' in result.trace
    assert_explained("image is not present on list of allowed services", result.trace)
