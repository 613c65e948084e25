"""Jobs on a real node: they build, push and pull images.

The node that ``make node-up`` brought is used and stays; where there is none, one is brought for
the run and removed after it. The stack of the tests is removed in any case. All workers of a run
have one node and one stack, and take turns at each variant.
"""

import contextlib
import copy
import dataclasses
import functools
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from pulumi import automation as auto

from dev.local import LocalStack
from dev.node.images import Store
from dev.node.node import Node
from dev.node.registry import (
    LOGIN,
    MIRROR,
    OPEN,
    PRIVATE,
    USER,
)
from dev.paths import STATE_VARIABLE, state_folder
from tests.engine.conftest import account, deployed_manager
from tests.executor.binary import find as find_binary
from tests.support.configured import SETTINGS, STRATEGIES
from tests.support.node.jobs import Runner
from tests.support.node.real import RealRunner
from tests.support.node.shared import Shared

BINARY = find_binary()
MANAGERS = "node"
APPS = "node-apps"


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    folder = tmp_path_factory.getbasetemp()
    return Shared(folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder)


@pytest.fixture(autouse=True)
def _turn(request: pytest.FixtureRequest, shared: Shared) -> Iterator[None]:
    """Let one test at a time have a variant: some change its namespace, or stop its engine."""
    parameters = getattr(request.node, "callspec", None)
    name = parameters.params.get("name") if parameters else None
    with shared.undisturbed(name, disturbs=True) if name else contextlib.nullcontext():
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
        subprocess.run([sys.executable, "-m", "dev.node", "up"], check=True, env=environment)

    def down() -> None:
        fresh.down()
        shutil.rmtree(state)

    with shared.hold("node", up, down):
        yield fresh


@dataclasses.dataclass
class Deployed:
    """The stack of the tests, as the code of ``make up`` brings it up."""

    local: LocalStack
    settings: dict[str, Any]

    def up(self, *, refresh: bool = False) -> None:
        with self._open() as opened:
            # All at once, since a manager is ready a minute after it has started.
            opened.up(on_output=print, refresh=refresh, parallel=2 * len(self.settings["runners"]))

    def down(self) -> None:
        """Remove it, which another worker may have brought up."""
        with self._open() as opened:
            opened.destroy(on_output=print, remove=True)

    @contextlib.contextmanager
    def _open(self) -> Generator[auto.Stack]:
        content = {"config": {"image-builds:settings": self.settings}}
        self.local.stack_file.write_text(yaml.safe_dump(content), encoding="utf-8")
        with self.local.open() as opened:
            yield opened


def _settings(node: Node) -> dict[str, Any]:
    """Return a stack with each variant, a runner with little memory, and one that changes."""
    certificate = node.registries.certificate
    runners: dict[str, Any] = {name: {"strategy": entry} for name, entry in STRATEGIES.items()} | {
        "small": {"strategy": "kaniko"},
        "switching": {"strategy": "kaniko"},
    }
    # So that six jobs at once find room on a node with two processors.
    little: dict[str, Any] = {"requests": {"cpu": "50m"}}
    for runner in runners.values():
        runner["resources"] = {**little, "service": little}
    runners["small"]["resources"]["limits"] = {"memory": "128Mi"}
    return {
        "gitlab": {"url": "https://gitlab.example.com"},
        "cluster": copy.deepcopy(SETTINGS["cluster"]),
        "namespace": MANAGERS,
        "registries": [
            {"host": OPEN.address, "insecure": True},
            {"host": LOGIN.address, "insecure": True, "pull": "in", "push": "out"},
            {"host": PRIVATE.address, "caCertificates": certificate, "pull": "in", "push": "out"},
            {"host": MIRROR.address, "caCertificates": certificate},
        ],
        "registryMirrors": [MIRROR.address],
        "targetNamespaces": {APPS: {"create": True}},
        "runners": {name: {"tags": [name], **entry} for name, entry in runners.items()},
    }


@pytest.fixture(scope="session")
def stack(
    node: Node,
    shared: Shared,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployed]:
    # Beside the cluster's, since it is of the objects there: a node that goes leaves both.
    state = node.cluster.state.parent / "node-tests"
    local = LocalStack(
        "node",
        state,
        node.cluster.kubeconfig,
        stack_file=tmp_path_factory.mktemp("stack") / "Pulumi.node.yaml",
    )
    deployed = Deployed(local, _settings(node))

    def up() -> None:
        state.mkdir(parents=True, exist_ok=True)
        login = {"username": USER, "password": node.registries.password}
        planted = {
            f"registryCredentials.{name}.{key}": value
            for name in ("in", "out")
            for key, value in login.items()
        }
        file = state / "secrets.json"
        known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        file.write_text(json.dumps({**known, **planted}), encoding="utf-8")
        # A run that was killed may have removed half of it.
        deployed.up(refresh=True)

    def down() -> None:
        deployed.down()
        shutil.rmtree(state)

    with shared.hold("stack", up, down):
        yield deployed


@pytest.fixture(scope="session")
def runner(
    node: Node,
    stack: Deployed,  # noqa: ARG001 - it deploys the runners
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Runner]:
    """Find a runner by its name, with the credentials of its manager."""
    folder = tmp_path_factory.mktemp("runners")

    def find(name: str, registry: str = LOGIN.address) -> Runner:
        with node.cluster.api() as api:
            deployed = deployed_manager(client.CoreV1Api(api), MANAGERS, name)
        of_gitlab = {
            "CI_REGISTRY": registry,
            "CI_REGISTRY_IMAGE": f"{registry}/group/app",
            "CI_REGISTRY_PASSWORD": node.registries.password,
            "CI_REGISTRY_USER": USER,
        }
        manager = account(node.cluster, f"gitlab-runner-{name}", MANAGERS)
        if BINARY:
            return RealRunner(BINARY, deployed, manager, folder, of_gitlab)
        return Runner(deployed.template, manager, folder, of_gitlab)

    return find


@pytest.fixture
def tag() -> str:
    """A tag that no other job pushes."""
    return secrets.token_hex(4)
