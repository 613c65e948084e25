"""Each strategy builds the same project and pushes it; the image is pulled, compared and run.

What each tool compiles in is of Docker Hub, which only the mirror of the stack has.
"""

import dataclasses
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from dev.node.images.catalogue import BASE
from dev.node.node import Node
from dev.node.registry import LOGIN
from tests.support.node.jobs import Result, Runner
from tests.support.node.project import (
    TEMPLATES,
    TOOLS,
    WITHIN_REACH,
    Member,
    contents,
    pipeline,
    run_image,
)
from tests.support.node.registries import inspect
from tests.support.shared import Shared

DOCKERFILE = """\
ARG BASE
ARG FIRST
FROM ${FIRST} AS compile
ARG GREETING=nobody
COPY . /source
RUN mkdir /out \\
 && sed "s/NAME/$GREETING/" /source/hello.txt > /out/hello.txt \\
 && ls -A /source > /out/listing.txt \\
 && seq 99999999 | head -c 20971520 > /out/large
FROM ${BASE}
COPY --from=compile /out/ /app/
RUN id -u > /app/builder.txt
USER 1001:1001
WORKDIR /app
HEALTHCHECK --interval=30s CMD test -s /app/hello.txt
CMD ["sh", "-c", "id -u; cat hello.txt listing.txt builder.txt; wc -c <large"]
"""
FILES: dict[str, str | bytes] = {
    "Dockerfile": DOCKERFILE,
    ".dockerignore": "secret.txt\n",
    "hello.txt": "hello NAME\n",
    "secret.txt": "not for the image\n",
}


@dataclasses.dataclass(frozen=True)
class Built:
    """A build's job, and what it pushed."""

    result: Result
    image: str


@pytest.fixture(scope="module")
def built(runner: Callable[..., Runner], shared: Shared) -> Callable[[str], Built]:
    """Build with a variant, once."""

    def build(name: str) -> Built:
        tag = secrets.token_hex(4)
        job = pipeline(TEMPLATES[name], name, tag, LOGIN, FILES)
        if name == "buildkit-rootful":
            # The template names the rootless image, whose uids do not fit into a pod's namespace.
            job = dataclasses.replace(job, image="")
        # Docker Hub itself cannot be reached, and has no such image.
        first = BASE if name in TOOLS else f"{LOGIN.address}/{BASE}"
        arguments = f"{job.variables['BUILD_ARGS']}\nFIRST={first}\nGREETING=world"
        job = dataclasses.replace(job, variables={**job.variables, "BUILD_ARGS": arguments})
        return Built(runner(name).run(job), f"{name}:{tag}")

    return lambda name: shared.once(f"built-{name}", lambda: build(name))


@pytest.mark.parametrize("name", WITHIN_REACH)
def test_a_job_builds_and_pushes_an_image_that_runs(
    name: str, node: Node, built: Callable[[str], Built]
) -> None:
    build = built(name)

    assert build.result.status == "success", build.result.trace
    said = run_image(node, f"{LOGIN.address}/{build.image}", build.image.replace(":", "-"))
    assert said.split() == [
        "1001",
        "hello",
        "world",
        ".dockerignore",
        "Dockerfile",
        "hello.txt",
        "0",
        "20971520",
    ]


@pytest.mark.parametrize("name", WITHIN_REACH)
def test_all_strategies_push_the_same_image(
    name: str, node: Node, shared: Shared, built: Callable[[str], Built], tmp_path: Path
) -> None:
    config = inspect(node, built(name).image, LOGIN, config=True)["config"]

    assert config["User"] == "1001:1001"
    assert config["WorkingDir"] == "/app"
    assert config["Cmd"][:2] == ["sh", "-c"]
    assert config["Healthcheck"] == {
        "Test": ["CMD-SHELL", "test -s /app/hello.txt"],
        "Interval": 30_000_000_000,
    }

    def pushed(variant: str) -> dict[str, Member]:
        return contents(node, built(variant).image, LOGIN, tmp_path)

    first = WITHIN_REACH[0]
    assert pushed(name) == shared.once(f"contents-{first}", lambda: pushed(first))
