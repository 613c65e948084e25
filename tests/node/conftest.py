"""Jobs on a real node: they build, push and pull images.

The node that ``make node-up`` brought is used and stays; where there is none, one is brought for
the run and removed after it, with the stack of the tests, which is removed from a node that stays.
All workers of a run have one node and one stack.
"""

import contextlib
import functools
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dev.local.stack import LocalStack
from dev.node.images.store import Store
from dev.node.node import Node
from dev.node.registry import LOGIN, USER
from dev.paths import STATE_VARIABLE, state_folder
from tests.support.cluster import account, deployed_manager
from tests.support.kubernetes import core_v1
from tests.support.node.jobs import Runner
from tests.support.node.network import add_outside, remove_outside
from tests.support.node.real import BINARY, RealRunner
from tests.support.node.stack import MANAGERS, NodeStack, stack_settings
from tests.support.shared import Shared


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    folder = tmp_path_factory.getbasetemp()
    return Shared(folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder)


@pytest.fixture(autouse=True)
def _turn(request: pytest.FixtureRequest, shared: Shared) -> Iterator[None]:
    """Keep a variant from tests marked ``alone``: they change its namespace, or stop its engine."""
    parameters = getattr(request.node, "callspec", None)
    name = parameters.params.get("name") if parameters else None
    alone = request.node.get_closest_marker("alone") is not None
    assert name or not alone, "a test that is alone must have a parameter called name"
    with shared.undisturbed(name, disturbs=alone) if name else contextlib.nullcontext():
        yield


@pytest.fixture(scope="session")
def node(shared: Shared) -> Iterator[Node]:
    found = Node(state_folder())
    if found.machine.holder:
        # It may have been brought without what the real runner's helper needs.
        bring = functools.partial(Store(found.machine).bring, found.registries)
        with shared.hold("node", bring, lambda: None):
            yield found
        return
    state = shared.once("state", lambda: Path(tempfile.mkdtemp(prefix="image-builds-node-")))
    fresh = Node(state)

    def up() -> None:
        # As a command, which ends: a worker's own children stay as zombies for another to wait for.
        environment = {**os.environ, STATE_VARIABLE: str(state)}
        subprocess.run([sys.executable, "-m", "dev", "node", "up"], check=True, env=environment)

    def down() -> None:
        fresh.down()
        shutil.rmtree(state)

    with shared.hold("node", up, down):
        yield fresh


@pytest.fixture(scope="session")
def stack(
    node: Node, shared: Shared, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeStack]:
    # Beside the cluster's, since it is of the objects there: a node that goes leaves both.
    state = node.cluster.state.parent / "node-tests"
    local = LocalStack(
        "node",
        state,
        node.cluster.kubeconfig,
        stack_file=tmp_path_factory.mktemp("stack") / "Pulumi.node.yaml",
    )
    deployed = NodeStack(local, stack_settings(node))

    def up() -> None:
        state.mkdir(parents=True, exist_ok=True)
        login = {"username": USER, "password": node.registries.password}
        planted = {
            f"registryCredentials.{name}.{key}": value
            for name in ("in", "out")
            for key, value in login.items()
        }
        file = state / "secrets.json"
        known: dict[str, str] = json.loads(file.read_bytes()) if file.exists() else {}
        file.write_text(json.dumps({**known, **planted}), encoding="utf-8")
        # A run that was killed may have removed half of it.
        deployed.up(refresh=True)

    def down() -> None:
        if node.machine.state.parent == state_folder().resolve():
            deployed.down()
            shutil.rmtree(state)

    with shared.hold("stack", up, down):
        yield deployed


@pytest.fixture(scope="session")
def runner(
    node: Node,
    stack: NodeStack,  # noqa: ARG001 - it deploys the runners
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Runner]:
    """Find a runner by its name, with the credentials of its manager."""
    folder = tmp_path_factory.mktemp("runners")

    def find(name: str, registry: str = LOGIN.address, namespace: str = MANAGERS) -> Runner:
        with node.cluster.api() as api:
            deployed = deployed_manager(core_v1(api), namespace, name)
        of_gitlab = {
            "CI_REGISTRY": registry,
            "CI_REGISTRY_IMAGE": f"{registry}/group/app",
            "CI_REGISTRY_PASSWORD": node.registries.password,
            "CI_REGISTRY_USER": USER,
        }
        manager = account(node.cluster, f"gitlab-runner-{name}", namespace)
        if BINARY:
            return RealRunner(BINARY, deployed, manager, folder, of_gitlab)
        return Runner(deployed.template, manager, folder, of_gitlab)

    return find


@pytest.fixture(scope="session")
def outside(node: Node, shared: Shared) -> Iterator[None]:
    """Give this machine addresses of the internet and of a cloud's metadata service."""
    with shared.hold(
        "outside", functools.partial(add_outside, node), functools.partial(remove_outside, node)
    ):
        yield


@pytest.fixture
def tag() -> str:
    """A tag that no other job pushes."""
    return secrets.token_hex(4)
