"""Real engine, real provider, real API server; only the node is simulated (by kwok)."""

import dataclasses
import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from pulumi import automation as auto
from pulumi.automation import events

from tools.cluster import Cluster
from tools.local import CHECKOUT, LocalStack


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()


@pytest.fixture
def core(control_plane: Cluster) -> Iterator[client.CoreV1Api]:
    with control_plane.api() as api:
        yield client.CoreV1Api(api)


@contextmanager
def account_api(cluster: Cluster, account: str, namespace: str) -> Generator[client.ApiClient]:
    """A client with the token of a ServiceAccount."""
    with cluster.api() as administrator:
        token = client.CoreV1Api(administrator).create_namespaced_service_account_token(
            account,
            namespace,
            {"spec": {"expirationSeconds": 600}},
        )
        configuration = client.Configuration()
        configuration.host = administrator.configuration.host
        configuration.ssl_ca_cert = administrator.configuration.ssl_ca_cert
        configuration.api_key = {"authorization": f"Bearer {token.status.token}"}
        with client.ApiClient(configuration) as api:
            yield api


def allowed(api: client.ApiClient, namespace: str, call: tuple[str, str, str]) -> bool:
    """Whether the account may do ``call``: a verb, an API group and a resource."""
    verb, group, resource = call
    name, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": name, "subresource": subresource}
    review = client.AuthorizationV1Api(api).create_self_subject_access_review(
        {"spec": {"resourceAttributes": {**attributes, "namespace": namespace}}},
    )
    return review.status.allowed


@dataclasses.dataclass
class Outcome:
    """What one operation of the engine did, and everything that it printed."""

    operations: dict[str, list[str]]
    output: str


@dataclasses.dataclass
class Site:
    """A stack with namespaces of its own on the session's cluster."""

    prefix: str
    folder: Path
    stack: LocalStack

    def write(self, strategy: Any, **changes: Any) -> None:  # noqa: ANN401 - YAML
        """Write the stack file."""
        runner = {"tags": ["build"], "strategy": strategy, **changes.pop("runner", {})}
        settings = {
            "gitlab": {"url": "https://gitlab.example.com"},
            "cluster": {
                "kind": "onPrem",
                "nodes": {
                    "os": "ubuntu",
                    "dockerSocket": True,
                    "trusted": True,
                    "userNamespaces": True,
                    "selector": {"image-builds/docker-socket": "true"},
                },
            },
            "namespace": self.prefix,
            "registries": [{"host": "registry.example.com:5000", "pull": "in", "push": "out"}],
            "targetNamespaces": {f"{self.prefix}-apps": {"create": True}},
            "runners": {"builds": runner},
            **changes,
        }
        content = {"config": {"image-builds:settings": settings}}
        self.stack.stack_file.write_text(yaml.safe_dump(content), encoding="utf-8")

    def plant(self, **values: str) -> None:
        """Choose the secrets' values by config path, with ``__`` for the dot."""
        self.stack.state.mkdir(parents=True, exist_ok=True)
        planted = {path.replace("__", "."): value for path, value in values.items()}
        file = self.stack.state / "secrets.json"
        known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        file.write_text(json.dumps({**known, **planted}), encoding="utf-8")

    def up(self) -> Outcome:
        return self._run(lambda stack, see, say: stack.up(on_event=see, on_output=say))

    def preview(self) -> Outcome:
        return self._run(
            lambda stack, see, say: stack.preview(on_event=see, on_output=say, diff=True),
        )

    def destroy(self) -> Outcome:
        return self._run(
            lambda stack, see, say: stack.destroy(on_event=see, on_output=say, remove=True),
        )

    def state(self) -> str:
        """The stack's state as it lies in the backend, with its history and backups."""
        files = (self.stack.state / "backend").rglob("*.json*")
        return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)

    def start(self) -> subprocess.Popen[str]:
        """Start ``up`` in a process group of its own, so that a test can kill all of it."""
        return subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).parent / "drive.py"),
                str(self.stack.state),
                str(self.stack.kubeconfig),
                str(self.stack.stack_file),
            ],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _run(
        self,
        operation: Callable[
            [auto.Stack, Callable[[events.EngineEvent], Any], Callable[[str], Any]],
            object,
        ],
    ) -> Outcome:
        operations: dict[str, list[str]] = {}
        lines: list[str] = []

        def see(event: events.EngineEvent) -> None:
            done = event.resource_pre_event
            if done and done.metadata.op != events.OpType.SAME:
                operations.setdefault(done.metadata.op, []).append(done.metadata.urn)

        try:
            with self.stack.open() as stack:
                operation(stack, see, lines.append)
        except auto.CommandError as error:
            lines.append(str(error))
            return Outcome({**operations, "failed": [str(error)]}, "\n".join(lines))
        return Outcome(operations, "\n".join(lines))


@pytest.fixture
def site(control_plane: Cluster, tmp_path: Path) -> Iterator[Site]:
    """A fresh stack; whatever it left behind is removed."""
    prefix = f"t{secrets.token_hex(4)}"
    stack = LocalStack(
        "test",
        tmp_path / "state",
        control_plane.kubeconfig,
        stack_file=tmp_path / "Pulumi.test.yaml",
    )
    yield Site(prefix, tmp_path, stack)
    with control_plane.api() as api:
        namespaces = client.CoreV1Api(api)
        for namespace in namespaces.list_namespace().items:
            if namespace.metadata.name.startswith(prefix):
                namespaces.delete_namespace(namespace.metadata.name)
