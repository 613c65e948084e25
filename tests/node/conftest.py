"""Jobs on a real node: they build, push and pull images.

The node that ``make node-up`` brought is used and stays; where there is none, one is brought for
the run and removed after it.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from kubernetes import client

from tests.configured import SETTINGS, STRATEGIES
from tests.engine.conftest import account, runner_config
from tests.node.jobs import Runner
from tools.local import LocalStack, state_folder
from tools.node.node import Node
from tools.node.registry import LOGIN, OPEN, PRIVATE, USER

MANAGERS = "node"
APPS = "node-apps"


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    found = Node(state_folder())
    stays = found.machine.holder is not None
    if not stays:
        found.up()
    try:
        yield found
    finally:
        if not stays:
            found.down()


def _settings(node: Node) -> dict[str, Any]:
    certificate = node.registries.certificate
    return {
        "gitlab": {"url": "https://gitlab.example.com"},
        "cluster": SETTINGS["cluster"],
        "namespace": MANAGERS,
        "registries": [
            {"host": OPEN.address, "insecure": True},
            {"host": LOGIN.address, "insecure": True, "pull": "in", "push": "out"},
            {"host": PRIVATE.address, "certificates": certificate, "pull": "in", "push": "out"},
        ],
        "targetNamespaces": {APPS: {"create": True}},
        "runners": {
            name: {"tags": [name], "strategy": strategy} for name, strategy in STRATEGIES.items()
        },
    }


@pytest.fixture(scope="session")
def stack(node: Node, tmp_path_factory: pytest.TempPathFactory) -> LocalStack:
    """Every variant in one stack, brought up by the code of ``make up``."""
    folder = tmp_path_factory.mktemp("stack")
    stack_file = folder / "Pulumi.node.yaml"
    content = {"config": {"image-builds:settings": _settings(node)}}
    stack_file.write_text(yaml.safe_dump(content), encoding="utf-8")
    local = LocalStack(
        "node",
        node.machine.state / "local",
        node.cluster.kubeconfig,
        stack_file=stack_file,
    )
    local.state.mkdir(parents=True, exist_ok=True)
    login = {"username": USER, "password": node.registries.password}
    planted = {
        f"registryCredentials.{name}.{key}": value
        for name in ("in", "out")
        for key, value in login.items()
    }
    file = local.state / "secrets.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(json.dumps({**known, **planted}), encoding="utf-8")
    with local.open() as opened:
        opened.up(on_output=print)
    return local


@pytest.fixture(scope="session")
def runner(
    node: Node,
    stack: LocalStack,  # noqa: ARG001 - it deploys the runners
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Runner]:
    """Find a runner by its name, with the credentials of its manager."""
    folder = tmp_path_factory.mktemp("runners")

    def find(name: str) -> Runner:
        with node.cluster.api() as api:
            text = runner_config(client.CoreV1Api(api), MANAGERS, name)
        return Runner(text, account(node.cluster, f"gitlab-runner-{name}", MANAGERS), folder)

    return find


@pytest.fixture
def tag() -> str:
    """A tag that no other job pushes."""
    return secrets.token_hex(4)
