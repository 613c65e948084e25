"""The pipelines of blog posts in docs/how-to/move-a-pipeline.md run as they stand there."""

import base64
import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from dev.node.images.catalogue import BASE
from dev.node.machine import NODE
from dev.node.node import Node
from dev.node.registry import LOGIN, PRIVATE, USER
from tests.support.node.jobs import Pipeline, Runner
from tests.support.node.registries import inspect
from tests.support.pages import MOVE_A_PIPELINE, blocks
from tests.support.shared import Shared

DOCKER, _, KANIKO, BUILDKIT, BUILDAH, *_ = map(yaml.safe_load, blocks(MOVE_A_PIPELINE, "yaml"))


def _pipeline(job: dict[str, Any], registry: str, tag: str) -> Pipeline:
    image = job["image"]
    return Pipeline(
        script=job["script"],
        files={"Dockerfile": f"FROM {registry}/{BASE}\nRUN echo hello > /hello\n"},
        image=image if isinstance(image, str) else image["name"],
        services=[{"name": name} for name in job.get("services", [])],
        variables=job["variables"],
        commit=tag,
    )


@pytest.mark.parametrize("name", ["dind", "dood"])
def test_the_docker_pipeline_pushes_an_image(
    name: str, node: Node, runner: Callable[..., Runner], tag: str, shared: Shared
) -> None:
    # The job's own engine knows the CAs of the stack file, and no plain HTTP.
    address = PRIVATE.address

    with shared.undisturbed(PRIVATE.host, disturbs=False):
        result = runner(name, address).run(_pipeline(DOCKER["build"], address, tag))

    assert result.status == "success"
    assert inspect(node, f"group/app:{tag}", PRIVATE)["Name"]


@pytest.mark.parametrize("name", ["kaniko"])
def test_the_kaniko_pipeline_pushes_an_image(
    name: str, node: Node, runner: Callable[..., Runner], tag: str
) -> None:
    # Without the runner's flags, Kaniko speaks plain HTTP to private addresses and to no names
    # (google/go-containerregistry:pkg/name/registry.go), and no public CA vouches for a test's.
    registry = f"{NODE}:{LOGIN.port}"

    result = runner(name, registry).run(_pipeline(KANIKO["build"], registry, tag))

    assert result.status == "success"
    assert inspect(node, f"group/app:{tag}", LOGIN)["Name"]


@pytest.mark.parametrize(("name", "job"), [("buildkit", BUILDKIT), ("buildah", BUILDAH)])
def test_the_recipe_of_a_tool_pushes_an_image(
    name: str, job: dict[str, Any], node: Node, runner: Callable[..., Runner], tag: str
) -> None:
    result = runner(name).run(_pipeline(job["build"], LOGIN.address, tag))

    assert result.status == "success"
    assert inspect(node, f"group/app:{tag}", LOGIN)["Name"]


WRONG = base64.b64encode(f"{USER}:wrong".encode()).decode()
LOGINS = json.dumps({"auths": {LOGIN.address: {"auth": WRONG}}})


@pytest.mark.parametrize(
    ("name", "job"), [("buildkit", BUILDKIT), ("buildah", BUILDAH), ("dind", DOCKER)]
)
def test_a_job_pushes_with_the_login_of_its_variable(
    name: str, job: dict[str, Any], runner: Callable[..., Runner], tag: str
) -> None:
    """It outranks that of the stack, which may push."""
    pipeline = _pipeline(job["build"], LOGIN.address, tag)
    given = {"DOCKER_AUTH_CONFIG": LOGINS, "KUBERNETES_MEMORY_LIMIT": "1Gi"}
    # The runner's engine knows that this registry speaks plain HTTP.
    own = {key: value for key, value in pipeline.variables.items() if "DOCKER" not in key}
    # The recipes log in themselves, in the first lines.
    script = [line for line in pipeline.script if "config.json" not in line and "login" not in line]

    result = runner(name).run(
        dataclasses.replace(pipeline, script=script, services=[], variables={**own, **given})
    )

    assert result.status == "failed"
    assert re.search("401 Unauthorized|authentication required|no basic auth", result.trace)
    assert f"KUBERNETES_MEMORY_LIMIT has no effect: runners.{name}.resources." in result.trace
