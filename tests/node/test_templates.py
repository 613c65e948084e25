"""Templates on GitLab's own registry: a job's token logs it in, and later jobs find the image."""

import dataclasses
import json
import re
from collections.abc import Callable

import pytest

from dev.node.node import Node
from dev.node.registry import LOGIN
from tests.support.node.jobs import Pipeline, Result, Runner
from tests.support.node.project import FILES, TEMPLATES, TOOLS, pipeline, run_image
from tests.support.node.registries import inspect
from tests.support.shared import Shared

DOCKERFILE = """\
ARG BASE
FROM ${BASE} AS wanted
RUN echo wanted > /stage
RUN MOUNT wc -c <SECRET >> /stage
CMD ["cat", "/stage"]
FROM wanted
RUN false
"""
WITHOUT_SECRETS = ["kaniko"]
"""Tools whose steps get none."""


def _as_token(inputs: dict[str, str], template: str, name: str, tag: str, text: str) -> Pipeline:
    job = pipeline(template, name, tag, LOGIN, {"Dockerfile": text}, **inputs)
    # The stack's runners may push there, and this job is to be of one that may not.
    script = ['rm "$DOCKER_CONFIG/config.json"', *job.script, "cat image.env"]
    variables = {**job.variables, "API_TOKEN": "twelve chars"}
    return dataclasses.replace(job, script=script, variables=variables)


@pytest.mark.parametrize("name", TOOLS)
def test_a_jobs_token_pushes_what_its_inputs_say(
    name: str, node: Node, runner: Callable[..., Runner], tag: str
) -> None:
    secrets = name not in WITHOUT_SECRETS
    mount = ("--mount=type=secret,id=token", "/run/secrets/token") if secrets else ("", "/stage")
    dockerfile = DOCKERFILE.replace("MOUNT", mount[0]).replace("SECRET", mount[1])
    inputs = {
        "image": f"$CI_REGISTRY_IMAGE/{name}",
        **({"secrets": "id=token,env=API_TOKEN"} if secrets else {}),
        "more_tags": f"{tag}-more",
        "destinations": f"{LOGIN.address}/elsewhere/{name}:{tag}",
        "labels": "team=a b",
        "target": "wanted",
        "output": "APP",
    }

    result = runner(name).run(_as_token(inputs, TEMPLATES[name], name, tag, dockerfile))

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
    said = run_image(node, f"{LOGIN.address}/group/app/{name}:{tag}", f"{name}-{tag}")
    assert said.split() == ["wanted", "12" if secrets else "7"]
    assert node.registries.password not in result.trace
    assert "twelve chars" not in result.trace


@pytest.fixture(scope="module")
def snapshot(runner: Callable[..., Runner], shared: Shared) -> str:
    """An image that a build left, by its digest."""

    def build() -> str:
        job = pipeline("kaniko", "group/app/snapshot", "one", LOGIN, FILES)
        result = runner("kaniko").run(job)
        assert result.status == "success", result.trace
        (reference,) = re.findall(r"^(\S+@sha256:\w{64})$", result.trace, re.MULTILINE)
        return str(reference)

    return shared.once("snapshot", build)


@pytest.mark.parametrize("name", TOOLS)
def test_a_snapshot_is_promoted_on_the_runner_of_any_strategy(
    name: str, node: Node, runner: Callable[..., Runner], snapshot: str, tag: str
) -> None:
    inputs = {"source": snapshot, "more_tags": f"{name}-latest", "insecure_registry": "true"}

    def promoted(**others: str) -> Result:
        job = pipeline("promote", "group/app/release", tag, LOGIN, {}, **{**inputs, **others})
        return runner(name).run(job)

    result = promoted()

    assert result.status == "success", result.trace
    found = {
        inspect(node, f"group/app/release:{it}", LOGIN)["Digest"] for it in (tag, f"{name}-latest")
    }
    assert found == {snapshot.partition("@")[2]}


def test_a_list_has_what_is_built_and_says_what_is_missing(
    node: Node, runner: Callable[..., Runner], snapshot: str, tag: str
) -> None:
    inputs = {"sources": snapshot, "insecure_registry": "true"}

    def made(platforms: str) -> Result:
        options = {**inputs, "platforms": platforms}
        return runner("kaniko").run(
            pipeline("manifest", "group/app/list", tag, LOGIN, {}, **options)
        )

    missing = made("linux/amd64,linux/arm64")
    assert missing.status == "failed"
    assert "platforms: none of the sources is for linux/arm64" in missing.trace
    result = made("linux/amd64")

    assert result.status == "success", result.trace
    (entry,) = json.loads(_raw(node, f"group/app/list:{tag}"))["manifests"]
    assert entry["digest"] == snapshot.partition("@")[2]
    assert entry["platform"]["architecture"] == "amd64"


def test_a_tag_is_looked_for_before_a_build(runner: Callable[..., Runner], snapshot: str) -> None:
    assert snapshot

    def looked(tag: str) -> str:
        job = pipeline("exists", "group/app/snapshot", tag, LOGIN, {}, insecure_registry="true")
        job = dataclasses.replace(job, script=[*job.script, "cat image.env"])
        return runner("kaniko").run(job).trace

    assert "IMAGE_EXISTS=true\n" in looked("one")
    assert "IMAGE_EXISTS=false\n" in looked("two")


def _raw(node: Node, image: str) -> str:
    options = node.registries.options(LOGIN)
    name = f"docker://{LOGIN.address}/{image}"
    return node.machine.call("skopeo", "inspect", "--raw", *options, name)
