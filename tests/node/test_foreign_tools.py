"""Jobs that were written elsewhere for tools without an engine run here as they are.

Those that need an engine where there is none say so, and where to read on.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from components.settings.models import Settings
from components.strategies.kaniko import Kaniko
from components.strategies.shared import PIPELINES
from dev.node.images.catalogue import BASE, BUILDX_DEFAULT, CLIENT
from dev.node.machine import NODE
from dev.node.node import Node
from dev.node.registry import LOGIN
from tests.support.checks import checked, rules
from tests.support.node.jobs import Pipeline, Runner
from tests.support.node.project import TEMPLATES
from tests.support.node.registries import inspect
from tests.support.node.stack import NodeStack

PLAIN = f"{NODE}:{LOGIN.port}"
"""What Kaniko takes for a registry without TLS, by its address."""
IT = "$CI_REGISTRY_IMAGE:$CI_COMMIT_SHORT_SHA"
AUTH = "$(printf %s $CI_REGISTRY_USER:$CI_REGISTRY_PASSWORD | base64 | tr -d '\\n')"
LOGINS = f'{{\\"auths\\":{{\\"$CI_REGISTRY\\":{{\\"auth\\":\\"{AUTH}\\"}}}}}}'
# Elsewhere no runner has a login.
FORGET = 'echo "{}" >"$DOCKER_CONFIG/config.json"'
IN_HOME = (FORGET, "mkdir -p ~/.docker", f'echo "{LOGINS}" >~/.docker/config.json')
IN_KANIKO = ("mkdir -p /kaniko/.docker", f'echo "{LOGINS}" >/kaniko/.docker/config.json')
EXECUTOR = "/kaniko/executor --context $CI_PROJECT_DIR --dockerfile Dockerfile"
BUILDCTL = "build --frontend dockerfile.v0 --local context=. --local dockerfile=."
NAMED = f"--output type=image,name={IT},push=true"
CREDENTIALS = '--creds "$CI_REGISTRY_USER:$CI_REGISTRY_PASSWORD"'
BUILDAH_LOGIN = (
    'echo "$CI_REGISTRY_PASSWORD" | '
    'buildah login -u "$CI_REGISTRY_USER" --password-stdin $CI_REGISTRY'
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Foreign:
    """A job of a tool, on a runner of it."""

    runner: str
    script: Sequence[str]
    image: str = ""
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])


JOBS = {
    "Kaniko, with a login that it writes": Foreign(
        runner="kaniko", image=Kaniko().image, script=(*IN_KANIKO, f"{EXECUTOR} --destination {IT}")
    ),
    "Kaniko, with a cache and a file of the digest": Foreign(
        runner="kaniko",
        script=(
            *IN_KANIKO,
            f"{EXECUTOR} --cache=true --cache-repo $CI_REGISTRY_IMAGE/layers --destination {IT}"
            " --destination $CI_REGISTRY_IMAGE:latest --digest-file digest.txt",
            "grep sha256: digest.txt",
        ),
    ),
    "Kaniko, with a stage, arguments and an image in a file": Foreign(
        runner="kaniko",
        script=(
            *IN_KANIKO,
            f"{EXECUTOR} --no-push --tar-path image.tar --destination {IT} --target stage"
            " --build-arg NAME=other",
            "test -s image.tar",
            f"{EXECUTOR} --single-snapshot --cleanup --destination {IT}",
        ),
    ),
    "Buildah, by its older command": Foreign(
        runner="buildah",
        variables={"STORAGE_DRIVER": "vfs", "BUILDAH_FORMAT": "oci"},
        script=(
            FORGET,
            BUILDAH_LOGIN,
            f"buildah bud -f Dockerfile --build-arg NAME=other -t {IT} .",
            f"buildah push {IT}",
        ),
    ),
    "Buildah in another home, with a login on each push": Foreign(
        runner="buildah",
        variables={"HOME": "/builds/home"},
        script=(
            FORGET,
            f"buildah build {CREDENTIALS} -t built .",
            f"buildah push {CREDENTIALS} built docker://{IT}",
        ),
    ),
    "Buildah, without a Dockerfile": Foreign(
        runner="buildah",
        script=(
            *IN_HOME,
            f"made=$(buildah from {LOGIN.address}/{BASE})",
            'buildah run "$made" sh -c "echo hello >/hello"',
            "buildah config --cmd 'cat /hello' \"$made\"",
            f'buildah commit "$made" {IT} && buildah push {IT}',
        ),
    ),
    "Buildah, with a list of images, as root": Foreign(
        runner="buildah-root",
        script=(
            FORGET,
            BUILDAH_LOGIN,
            "buildah manifest create all",
            "buildah build --manifest all .",
            f"buildah manifest push --all all docker://{IT}",
        ),
    ),
    "BuildKit, with a login in its folder": Foreign(
        runner="buildkit",
        variables={"DOCKER_CONFIG": "$CI_PROJECT_DIR/.docker"},
        script=(
            f'mkdir -p .docker && echo "{LOGINS}" >.docker/config.json',
            f"buildctl-daemonless.sh {BUILDCTL} {NAMED} --opt target=stage",
        ),
    ),
    "BuildKit, with a cache and an image in a file": Foreign(
        runner="buildkit",
        variables={"BUILDKITD_FLAGS": "--oci-worker-no-process-sandbox"},
        script=(
            *IN_HOME,
            f"buildctl-daemonless.sh {BUILDCTL} --output type=oci,dest=image.tar",
            "test -s image.tar",
            f"buildctl-daemonless.sh {BUILDCTL} {NAMED}"
            " --export-cache type=registry,ref=$CI_REGISTRY_IMAGE:cache",
        ),
    ),
    "a client of a BuildKit daemon": Foreign(
        runner="buildkit-service", script=(*IN_HOME, f"buildctl $BUILDKIT_FLAGS {BUILDCTL} {NAMED}")
    ),
    "a client of a BuildKit daemon at its address": Foreign(
        runner="buildkit-service",
        script=(f'buildctl --addr "$BUILDKIT_HOST" $BUILDKIT_FLAGS {BUILDCTL} {NAMED}',),
    ),
    "Buildx, with the builder of its runner": Foreign(
        runner="buildkit-service-buildx",
        image=CLIENT,
        script=(
            FORGET,
            f'echo "{LOGINS}" >"$DOCKER_CONFIG/config.json"',
            f"docker buildx build --push -t {IT} .",
        ),
    ),
    "Buildx, with pods that it makes": Foreign(
        runner="buildx",
        image=CLIENT,
        script=("docker buildx inspect --bootstrap", f"docker buildx build --push -t {IT} ."),
    ),
}


@pytest.mark.parametrize("job", JOBS)
def test_a_job_of_a_tool_builds_and_pushes(
    job: str, node: Node, runner: Callable[..., Runner], tag: str
) -> None:
    foreign = JOBS[job]
    registry = PLAIN if foreign.runner == "kaniko" else LOGIN.address
    dockerfile = (
        f"FROM {registry}/{BASE} AS stage\nARG NAME=it\nRUN echo $NAME > /hello\nFROM stage\n"
    )
    pipeline = Pipeline(
        image=foreign.image,
        variables=foreign.variables,
        script=foreign.script,
        files={"Dockerfile": dockerfile},
        commit=tag,
    )

    result = runner(foreign.runner, registry).run(pipeline)

    assert result.status == "success"
    assert inspect(node, f"group/app:{tag}", LOGIN)["Name"]


@pytest.mark.parametrize("name", ["kaniko", "buildah", "buildkit", "buildkit-service"])
def test_a_job_for_an_engine_that_is_not_there_says_why(
    name: str, runner: Callable[..., Runner]
) -> None:
    job = Pipeline(image=CLIENT, script=["docker build -t app ."], files={"Dockerfile": "FROM a\n"})

    result = runner(name).run(job)

    assert result.status == "failed"
    assert f"This runner (strategy {TEMPLATES[name]}) has no Docker engine" in result.trace
    assert PIPELINES in result.trace


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refused(Foreign):
    """A job in which the check finds ``rule``, and what its log ``says``."""

    rule: str
    says: str
    service: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])


_PROC = "mount src=proc, dst=/proc"
REFUSED = {
    "an isolation of Buildah's that needs privilege": Refused(
        runner="buildah",
        variables={"BUILDAH_ISOLATION": "oci"},
        script=("buildah build .",),
        rule="own-isolation",
        says=_PROC,
    ),
    "flags of BuildKit's without those of the runner": Refused(
        runner="buildkit",
        variables={"BUILDKITD_FLAGS": "--debug"},
        script=(f"buildctl-daemonless.sh {BUILDCTL}",),
        rule="own-isolation",
        says=_PROC,
    ),
    "files of root": Refused(
        runner="buildah",
        script=("echo a | tee /etc/environment", "buildah build ."),
        rule="uid-1000",
        says="Permission denied",
    ),
    "an option with the address of an engine": Refused(
        runner="dind",
        image=CLIENT,
        script=("docker --host tcp://docker:2375 info",),
        rule="docker-host",
        says="tcp://docker:2375",
    ),
    "a port that a container has on the node": Refused(
        runner="dood",
        image=CLIENT,
        script=(
            f"docker run --rm --detach --name asked$CI_COMMIT_SHORT_SHA --publish 18080:80"
            f" {LOGIN.address}/{BASE} timeout 20 httpd -f -p 80",
            "docker exec asked$CI_COMMIT_SHORT_SHA true && echo it runs",
            "wget -q -O - http://127.0.0.1:18080",
        ),
        rule="node-port",
        says="Connection refused",
    ),
    "BuildKit as a service": Refused(
        runner="kaniko",
        image=BUILDX_DEFAULT,
        service={
            "name": BUILDX_DEFAULT,
            "alias": "daemon",
            "command": ["--addr", "tcp://0.0.0.0:1234"],
        },
        script=(
            "timeout 60 sh -c 'until buildctl --addr tcp://daemon:1234 debug workers; do sleep 1;"
            " done'",
            f"buildctl --addr tcp://daemon:1234 {BUILDCTL}",
        ),
        rule="builder-service",
        says="failed to mount",
    ),
}


@pytest.mark.parametrize("job", REFUSED)
def test_a_job_fails_by_what_the_check_finds_in_it(
    job: str, stack: NodeStack, runner: Callable[..., Runner], tag: str, tmp_path: Path
) -> None:
    refused = REFUSED[job]
    services = [refused.service] if refused.service else []
    written: dict[str, Any] = {
        "tags": [refused.runner],
        "variables": {**refused.variables},
        "script": [*refused.script],
        "services": services,
        **({"image": refused.image} if refused.image else {}),
    }
    pipeline = Pipeline(
        image=refused.image,
        services=services,
        variables=refused.variables,
        script=refused.script,
        files={"Dockerfile": f"FROM {LOGIN.address}/{BASE}\nRUN true\n"},
        commit=tag,
    )

    found = checked(tmp_path, {"job": written}, Settings.model_validate(stack.settings))
    result = runner(refused.runner).run(pipeline)

    assert refused.rule in rules(found)
    assert result.status == "failed"
    assert refused.says in result.trace
