"""Each tool reaches each kind of registry by what the stack file says of it."""

from collections.abc import Callable, Iterator

import pytest

from dev.node.node import Node
from dev.node.registry import OPEN, PRIVATE, Kind
from tests.support.node.jobs import Runner
from tests.support.node.project import FILES, TEMPLATES, TOOLS, pipeline, run_image
from tests.support.shared import Shared


@pytest.fixture(params=[OPEN, PRIVATE], ids=["plain-http-for-all", "private-ca-login"])
def kind(request: pytest.FixtureRequest, shared: Shared) -> Iterator[Kind]:
    """A registry that nobody stops meanwhile."""
    with shared.undisturbed(request.param.host, disturbs=False):
        yield request.param


@pytest.mark.parametrize("name", TOOLS)
def test_a_build_pulls_from_and_pushes_to_a_registry(
    name: str, kind: Kind, node: Node, runner: Callable[..., Runner], tag: str
) -> None:
    result = runner(name).run(pipeline(TEMPLATES[name], name, tag, kind, FILES))

    assert result.status == "success"
    assert run_image(node, f"{kind.address}/{name}:{tag}", f"{name}-{tag}") == "hello\n"
