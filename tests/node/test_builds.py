"""Each strategy builds the same project and pushes it; the image is pulled, compared and run."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from kubernetes import client

from tests.configured import STRATEGIES
from tests.node.conftest import APPS
from tests.node.jobs import Pipeline, Runner
from tools.local import CHECKOUT
from tools.node.images import BASE
from tools.node.node import Node
from tools.node.registry import LOGIN, Kind

TEMPLATES = {
    "buildkit-service-buildx": "buildx",
    **{name: name.partition("-")[0] for name in STRATEGIES if "service" not in name},
    "buildkit-service": "buildkit-service",
}
OUT_OF_REACH = {"buildah-profiles", "buildkit-profiles", "buildkit-rootful"}
"""Variants whose nodes must have what this node has not."""

DOCKERFILE = """\
ARG BASE
FROM ${BASE} AS compile
ARG GREETING=nobody
COPY . /source
RUN mkdir /out \\
 && sed "s/NAME/$GREETING/" /source/hello.txt > /out/hello.txt \\
 && ls -A /source > /out/listing.txt
FROM ${BASE}
COPY --from=compile /out/ /app/
RUN id -u > /app/builder.txt
USER 1001:1001
WORKDIR /app
HEALTHCHECK --interval=30s CMD test -s /app/hello.txt
CMD ["sh", "-c", "id -u; cat hello.txt listing.txt builder.txt"]
"""
FILES: dict[str, str | bytes] = {
    "Dockerfile": DOCKERFILE,
    ".dockerignore": "secret.txt\n",
    "hello.txt": "hello NAME\n",
    "secret.txt": "not for the image\n",
}


def pipeline(template: str, repository: str, tag: str, kind: Kind, **inputs: str) -> Pipeline:
    """Resolve the inputs of a template as GitLab does, and take its job."""
    text = (CHECKOUT / "templates" / f"{template}.yml").read_text(encoding="utf-8")
    head, body = yaml.safe_load_all(text)
    values = {name: entry.get("default") for name, entry in head["spec"]["inputs"].items()} | {
        "image": f"{kind.address}/{repository}",
        "tag": tag,
        "build_args": f"BASE={kind.address}/{BASE}\nGREETING=world",
        **inputs,
    }
    (job,) = body.values()
    variables = {
        name: re.sub(r"\$\[\[ inputs\.(\w+) ]]", lambda found: str(values[found[1]]), value)
        for name, value in job["variables"].items()
    }
    return Pipeline(
        script=job["script"],
        files=FILES,
        image=job["image"]["name"],
        variables=variables,
    )


def run_image(node: Node, image: str, name: str) -> str:
    """Run a pushed image in the target namespace, with the stack's pull secret."""
    manifest = {
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "imagePullSecrets": [{"name": "registry-pull"}],
            "containers": [{"name": "app", "image": image}],
        },
    }
    with node.cluster.api() as api:
        core = client.CoreV1Api(api)
        core.create_namespaced_pod(APPS, manifest)
        try:
            deadline = time.monotonic() + 120
            while core.read_namespaced_pod(name, APPS).status.phase not in ("Succeeded", "Failed"):
                assert time.monotonic() < deadline, core.read_namespaced_pod(name, APPS).status
                time.sleep(0.5)
            return str(core.read_namespaced_pod_log(name, APPS))
        finally:
            core.delete_namespaced_pod(name, APPS)


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in OUT_OF_REACH])
def test_a_job_builds_and_pushes_an_image_that_runs(
    name: str,
    node: Node,
    runner: Callable[[str], Runner],
    tag: str,
) -> None:
    result = runner(name).run(pipeline(TEMPLATES[name], name, tag, LOGIN))

    assert result.status == "success", result.trace
    config: Any = node.registries.inspect(f"{name}:{tag}", LOGIN, config=True)["config"]
    assert config["User"] == "1001:1001"
    assert config["WorkingDir"] == "/app"
    assert config["Cmd"][:2] == ["sh", "-c"]
    assert config["Healthcheck"]["Test"] == ["CMD-SHELL", "test -s /app/hello.txt"]
    said = run_image(node, f"{LOGIN.address}/{name}:{tag}", f"{name}-{tag}")
    assert said.split() == [
        "1001",
        "hello",
        "world",
        ".dockerignore",
        "Dockerfile",
        "hello.txt",
        "0",
    ]
