"""Templates on GitLab's own registry: a job's token logs it in, and later jobs find the image."""

import dataclasses
import re
from collections.abc import Callable

import pytest

from dev.node.node import Node
from dev.node.registry import LOGIN
from tests.support.node.jobs import Pipeline, Runner
from tests.support.node.project import TEMPLATES, TOOLS, pipeline, run_image
from tests.support.node.registries import inspect

DOCKERFILE = """\
ARG BASE
FROM ${BASE} AS wanted
RUN echo wanted > /stage
CMD ["cat", "/stage"]
FROM wanted
RUN false
"""
SECRET = """\
ARG BASE
FROM ${BASE}
RUN --mount=type=secret,id=token wc -c </run/secrets/token >/length
CMD ["cat", "/length"]
"""


def _as_token(inputs: dict[str, str], template: str, name: str, tag: str, text: str) -> Pipeline:
    job = pipeline(template, name, tag, LOGIN, {"Dockerfile": text}, **inputs)
    # The stack's runners may push there, and this job is to be of one that may not.
    script = ['rm "$DOCKER_CONFIG/config.json"', *job.script, "cat image.env image-builds/*"]
    variables = {**job.variables, "API_TOKEN": "twelve chars"}
    return dataclasses.replace(job, script=script, variables=variables)


@pytest.mark.parametrize("name", TOOLS)
def test_a_jobs_token_pushes_what_its_inputs_say(
    name: str, node: Node, runner: Callable[..., Runner], tag: str
) -> None:
    inputs = {
        "image": f"$CI_REGISTRY_IMAGE/{name}",
        "more_tags": f"{tag}-more",
        "destinations": f"{LOGIN.address}/elsewhere/{name}:{tag}",
        "labels": "team=a b",
        "target": "wanted",
        "output": "APP",
    }

    result = runner(name).run(_as_token(inputs, TEMPLATES[name], name, tag, DOCKERFILE))

    assert result.status == "success", result.trace
    found = [
        inspect(node, image, LOGIN)
        for image in (
            f"group/app/{name}:{tag}",
            f"group/app/{name}:{tag}-more",
            f"elsewhere/{name}:{tag}",
        )
    ]
    (digest,) = {image["Digest"] for image in found}
    assert f"APP_DIGEST={digest}\n" in result.trace
    assert f"APP_REFERENCE={LOGIN.address}/group/app/{name}@{digest}\n" in result.trace
    labels = found[0]["Labels"]
    assert (labels["team"], labels["org.opencontainers.image.version"]) == ("a b", "main")
    assert run_image(node, f"{LOGIN.address}/group/app/{name}:{tag}", f"{name}-{tag}") == "wanted\n"
    assert not re.search("password", result.trace, re.IGNORECASE)


@pytest.mark.parametrize("name", [name for name in TOOLS if name != "kaniko"])
def test_a_step_reads_a_secret_that_the_image_does_not_keep(
    name: str, node: Node, runner: Callable[..., Runner], tag: str
) -> None:
    inputs = {"image": f"$CI_REGISTRY_IMAGE/{name}", "secrets": "id=token,env=API_TOKEN"}

    result = runner(name).run(_as_token(inputs, TEMPLATES[name], name, tag, SECRET))

    assert result.status == "success", result.trace
    assert "twelve chars" not in result.trace
    assert run_image(node, f"{LOGIN.address}/group/app/{name}:{tag}", f"{name}-{tag}") == "12\n"
