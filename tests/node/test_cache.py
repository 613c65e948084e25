"""A second build takes from the registry what did not change, says so, and builds the rest."""

import re
from collections.abc import Callable

import pytest

from dev.node.node import Node
from dev.node.registry import LOGIN
from tests.support.node.jobs import Runner
from tests.support.node.project import TEMPLATES, TOOLS, pipeline, run_image

COSTLY = "cat /proc/sys/kernel/random/uuid /fixed.txt > /costly.txt"
"""A step that writes something else each time that it runs."""
DOCKERFILE = f"""\
ARG BASE
FROM ${{BASE}}
COPY fixed.txt /
RUN {COSTLY}
COPY changing.txt /
RUN cat /changing.txt > /cheap.txt
CMD ["cat", "/costly.txt", "/cheap.txt"]
"""
_COSTLY = re.escape(COSTLY)
_OF_BUILDKIT = rf"^#(\d+) \[[^]]*] RUN {_COSTLY}$(?:\n.*)*?\n#\1 (?:CACHED$|extracting )"
"""The layer of a step that is not run is extracted where the next step needs it."""
REUSED = {
    "kaniko": rf"Using caching version of cmd: RUN {_COSTLY}",
    **dict.fromkeys(("dood", "dind", "buildkit", "buildkit-service", "buildx"), _OF_BUILDKIT),
    "buildah": rf"^STEP \d+/\d+: RUN {_COSTLY}\n--> Cache pulled .*\n--> Using cache ",
}
"""Each tool's own words for a step that it did not run."""


@pytest.mark.parametrize("name", TOOLS)
def test_a_second_build_reuses_the_costly_step(
    name: str, node: Node, runner: Callable[..., Runner], tag: str
) -> None:
    """It builds what changed."""
    results = [
        runner(name).run(
            pipeline(
                TEMPLATES[name],
                f"cached-{name}",
                f"{tag}-{text}",
                LOGIN,
                {
                    "Dockerfile": DOCKERFILE,
                    # Another one in each run of the tests, or the first build would find a cache.
                    "fixed.txt": f"{tag}\n",
                    "changing.txt": f"{text}\n",
                },
            )
        )
        for text in ("one", "two")
    ]
    first, second = results

    assert [result.status for result in results] == ["success"] * 2
    assert not re.search(REUSED[name], first.trace, re.MULTILINE)
    assert re.search(REUSED[name], second.trace, re.MULTILINE)
    (one, *_), (two, *rest) = (
        run_image(node, f"{LOGIN.address}/cached-{name}:{tag}-{text}", f"{tag}-{text}").split()
        for text in ("one", "two")
    )
    assert two == one
    assert rest == [tag, "two"]
