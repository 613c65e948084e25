"""Faults of a real node and its network, each named by its check alone.

They are of stacks, servers and paths that nobody else uses, but for a registry, so other tests go
on beside.
"""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dev.certificates import Authority
from dev.node.machine import HOST
from dev.node.node import Node
from dev.node.registry import LOGIN, MIRROR, OPEN, PRIVATE
from dev.toolchain import gitlab_runner
from doctor.diagnosis import Fault
from doctor.every import EVERY
from doctor.examine import Visit, examine
from doctor.kubernetes_api import Api
from doctor.observed import Observed
from doctor.wanted import WantedStack
from tests.support.configured import STRATEGIES
from tests.support.node.canaries import LITTLE, api_of, canary, changed, laid_out, put
from tests.support.shared import Shared

SOCKET = "/var/run/docker.sock"
STALE = "/run/doctor/docker.sock"
LARGE = 5000
Table = dict[str, Any]


def _no_socket(table: Table) -> None:
    _move_socket(table, "/run/doctor/none.sock")


def _stopped_engine(table: Table) -> None:
    _move_socket(table, STALE)


def _move_socket(table: Table, path: str) -> None:
    table["volumes"]["host_path"][0]["host_path"] = path
    for entry in table["pod_spec"]:
        entry["patch"] = entry["patch"].replace(SOCKET, path)


def _no_user_namespaces(table: Table) -> None:
    """As on a node that forbids them, by the system call."""
    table["build_container_security_context"]["seccomp_profile"] = {"type": "RuntimeDefault"}


def _full_disk(table: Table) -> None:
    (volume,) = [item for item in table["volumes"]["empty_dir"] if item["name"] == "buildkit-state"]
    volume.update(medium="Memory", size_limit="1Mi")


def _large_packets(table: Table) -> None:
    (service,) = table["services"]
    service["entrypoint"] = [text.replace("=$mtu", "=1500") for text in service["entrypoint"]]


Provoked = tuple[dict[str, Any], Callable[[Table], None], str, str]
"""A runner, a change of its config.toml, the registry that it pushes to, and the check."""


def _nothing(_: Table) -> None:
    pass


PROFILES = {"seccomp": "doctor.json", "appArmor": "doctor"}
MISSING = f"{LOGIN.address}/nothing:1"
BUILDS: dict[str, Provoked] = {
    "socket": ({"strategy": STRATEGIES["dood"]}, _no_socket, "", "build-start"),
    "engine": ({"strategy": STRATEGIES["dood"]}, _stopped_engine, "", "build-engine"),
    "image": ({"strategy": {"kind": "kaniko", "image": MISSING}}, _nothing, "", "build-start"),
    "profile": (
        {"strategy": {"kind": "buildkit", "nodeProfiles": PROFILES}},
        _nothing,
        "",
        "build-start",
    ),
    "namespaces": ({"strategy": "buildkit"}, _no_user_namespaces, "", "build-user-namespaces"),
    "disk": ({"strategy": "buildkit"}, _full_disk, "", "build-disk"),
    "packets": ({"strategy": STRATEGIES["dind"]}, _large_packets, "", "job-mtu"),
    "push": ({"strategy": "kaniko"}, _nothing, "closed", "build-login"),
    "plain": ({"strategy": "buildkit"}, _nothing, OPEN.address, "build-plain"),
    "tls": ({"strategy": "buildkit"}, _nothing, PRIVATE.address, "build-tls"),
    "ca": ({"strategy": "buildkit"}, _nothing, MIRROR.address, "build-certificate"),
}
"""Faults that a build meets, each with a separate runner."""


class _Closed(http.server.BaseHTTPRequestHandler):
    """A registry that lets nobody write, and answers at length."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200, b"{" + b" " * LARGE + b"}")

    def do_POST(self) -> None:
        self._answer(403, b'{"errors": [{"code": "DENIED", "message": "read only"}]}')

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Print nothing."""


@pytest.fixture(scope="module")
def servers() -> Iterator[list[str]]:
    """Yield the addresses of three servers beyond the node."""
    listening = [http.server.ThreadingHTTPServer((HOST, 0), _Closed) for _ in range(3)]
    for server in listening:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield [f"{HOST}:{server.server_port}" for server in listening]
    for server in listening:
        server.shutdown()


@pytest.fixture
def open_registry(shared: Shared) -> Iterator[None]:
    """Keep another test from stopping the registry meanwhile."""
    with shared.undisturbed(OPEN.host, disturbs=False):
        yield


def _names(found: list[Any]) -> list[str]:
    return [item.check.name for item in found if isinstance(item, Fault)]


@pytest.mark.usefixtures("open_registry")
def test_what_a_build_meets_on_a_node_is_named(
    node: Node, servers: list[str], tmp_path: Path
) -> None:
    closed = servers[0]
    another = Authority(tmp_path / "pki").certificate_file.read_text(encoding="ascii")
    registries = [
        {"host": LOGIN.address, "insecure": True, "pull": "in", "push": "out"},
        {"host": closed, "insecure": True},
        {"host": OPEN.address},
        {"host": PRIVATE.address, "insecure": True},
        {"host": MIRROR.address, "caCertificates": another},
    ]
    bind = f"import os,socket; os.makedirs('/run/doctor'); socket.socket(1).bind('{STALE}')"
    node.machine.call("sh", "-c", f'test -S {STALE} || python3 -c "{bind}"')
    runners = {name: {**LITTLE, **fault[0]} for name, fault in BUILDS.items()}
    api = api_of(node.cluster.kubeconfig)

    def found(name: str, stack: WantedStack) -> list[str]:
        _, change, registry, _ = BUILDS[name]
        host = closed if registry == "closed" else registry or LOGIN.address
        one = canary(api, stack, changed(stack, name, change), f"{host}/ill/{name}")
        # GitLab has no name on the node, and no registry here is as the stack file says.
        looked = {"job-name", "job-reach", "job-stalls"}
        faults = [item for item in one.run() if item.check.name not in looked]
        said[name] = str(faults)
        return _names(faults)

    said: dict[str, str] = {}
    settings = {"registries": registries, "registryMirrors": []}
    with laid_out(node, "ill", runners, settings) as stack, ThreadPoolExecutor(5) as threads:
        names = threads.map(found, BUILDS, [stack] * len(BUILDS))
        all_found = dict(zip(BUILDS, names, strict=True))

    wrong = [name for name, names in all_found.items() if names != [BUILDS[name][3]]]
    # pytest cuts off what it says itself.
    assert not wrong, "\n".join(f"{name}: {said[name]}" for name in wrong)


@pytest.mark.usefixtures("open_registry")
def test_what_jobs_do_not_reach_on_a_node_is_named(node: Node, servers: list[str]) -> None:
    """One server is cut off, one loses large packets, and the other one is well."""
    cut, losing, well = (address.rpartition(":")[2] for address in servers)
    rules = [
        ("-p", "tcp", "--dport", cut, "-j", "DROP"),
        ("-p", "tcp", "--sport", losing, "-m", "length", "--length", "1000:65535", "-j", "DROP"),
    ]
    runners = {
        "well": {"strategy": "kaniko"},
        "nameless": {"strategy": "kaniko", "dns": {"servers": [HOST]}},
    }
    registries = [
        {"host": f"{HOST}:{losing}", "insecure": True},
        {"host": f"{HOST}:{well}", "insecure": True},
        {"host": OPEN.address, "insecure": True},
    ]
    gitlab = f"http://{HOST}:{cut}"
    settings: dict[str, Any] = {
        "gitlab": {"url": gitlab},
        "registries": registries,
        "registryMirrors": [],
    }
    api = api_of(node.cluster.kubeconfig)
    # Before the filters, where kube-router accepts what policies allow.
    table = ("iptables", "--wait", "--table", "mangle")
    for rule in rules:
        node.machine.call(*table, "-I", "FORWARD", *rule)
    try:
        with laid_out(node, "cut", runners, settings) as stack:
            found = [
                item
                for runner in stack.runners.values()
                for item in canary(api, stack, runner, "").run()
                if isinstance(item, Fault)
            ]
    finally:
        for rule in rules:
            node.machine.call(*table, "-D", "FORWARD", *rule)

    addresses = [gitlab, *(f"http://{item['host']}/v2/" for item in registries)]
    seen = {
        (item.runner, item.check.name, address)
        for item in found
        for address in addresses
        if address in item.message
    }
    both = [("job-reach", gitlab), ("job-stalls", f"http://{HOST}:{losing}/v2/")]
    expected = {(name, *pair) for name in runners for pair in both}
    assert seen == expected | {("nameless", "job-name", f"http://{OPEN.address}/v2/")}
    assert len(found) == len(seen)


def test_what_a_cluster_with_a_node_refuses_is_named(node: Node) -> None:
    manager = f"registry.gitlab.com/gitlab-org/gitlab-runner:alpine-v{gitlab_runner.pinned()}"
    kaniko: dict[str, Any] = {"strategy": "kaniko", **LITTLE}
    runners: dict[str, Any] = {
        "well": kaniko,
        "tainted": {**kaniko, "nodeSelector": {"doctor": "tainted"}},
        "large": {**kaniko, "resources": {"requests": {"memory": "900Gi"}}},
        "quota": kaniko,
        "limits": kaniko,
        "label": kaniko,
    }
    api = api_of(node.cluster.kubeconfig)
    with laid_out(node, "refused", runners, manager=manager) as stack:
        _wait_for_managers(api, stack)
        try:
            for item in _objects():
                put(api, item, "another")
            before = examine(EVERY, Visit(stack=stack, seen=Observed(api)))
        finally:
            api.ask("DELETE", "/api/v1/nodes/doctor")

    found = {
        (item.check.name, item.runner)
        for item in before.faults
        # Nobody outside of the node knows its registries, and here is no way to others.
        if item.check.group not in {"gitlab", "registries"}
        and item.check.name != "chart-unreachable"
    }
    assert found == {
        ("node-taint", "tainted"),
        ("node-room", "large"),
        ("quota", "quota"),
        ("limit-range", "limits"),
        ("namespace-level", ""),
        ("secret-stale", ""),
    }, before.faults


def _objects() -> Iterator[dict[str, Any]]:
    """Yield what is wrong with the cluster."""
    # Nobody runs it, and its taint keeps all pods away.
    taints = [{"key": "doctor", "effect": "NoSchedule"}]
    labels = {"doctor": "tainted"}
    yield _object("Node", "doctor", None, labels, spec={"taints": taints})
    hard = {"requests.memory": "64Mi"}
    yield _object("ResourceQuota", "small", "refused-quota", spec={"hard": hard})
    limits = [{"type": "Container", "max": {"cpu": "10m"}, "default": {"cpu": "10m"}}]
    yield _object("LimitRange", "small", "refused-limits", spec={"limits": limits})
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    yield _object("Namespace", "refused-label", None, level)
    logins = {"auths": {LOGIN.address: {"username": "old", "password": "old"}}}
    data = {".dockerconfigjson": json.dumps(logins)}
    kind = "kubernetes.io/dockerconfigjson"
    yield _object("Secret", "registry-pull", "refused-apps", type=kind, stringData=data)


def _object(
    kind: str,
    name: str,
    namespace: str | None,
    labels: Mapping[str, str] | None = None,
    **content: Any,  # noqa: ANN401 - JSON
) -> dict[str, Any]:
    metadata = {"name": name, "labels": dict(labels or {})}
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": "v1", "kind": kind, "metadata": {**metadata, **place}, **content}


def _wait_for_managers(api: Api, stack: WantedStack) -> None:
    path = f"/apis/apps/v1/namespaces/{stack.settings.namespace}/deployments"
    deadline = time.monotonic() + 90
    while True:
        items = api.ask("GET", path).body["items"]
        if all(item.get("status", {}).get("availableReplicas") for item in items):
            return
        assert time.monotonic() < deadline
        time.sleep(0.5)
