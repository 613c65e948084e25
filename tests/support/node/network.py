"""Servers and pods that network policies let each other reach, or do not."""

import contextlib
import http.server
import secrets
import subprocess
import threading
import time
from collections.abc import Generator, Mapping

from dev.node.machine import CABLE, HOST
from dev.node.node import Node
from dev.node.settings import PAUSE
from dev.toolchain.ensure import ensure
from tests.support.kubernetes import core_v1

METADATA = "169.254.169.254"
"""Where clouds serve the credentials of nodes (components/network/addresses.py)."""
PUBLIC = "192.0.2.7"
"""An address of the internet, which is for documentation (RFC 5737)."""
_OUTSIDE = (f"{METADATA}/32", f"{PUBLIC}/32")
PORT = 8080
"""Where the servers in pods listen."""
_PATIENCE = 60.0


def add_outside(node: Node) -> None:
    """Give this machine the addresses, which the node then reaches by its cable."""
    for address in _OUTSIDE:
        subprocess.run(["ip", "address", "replace", address, "dev", CABLE], check=True)
        node.machine.call("ip", "route", "replace", address, "via", HOST)


def remove_outside(node: Node) -> None:
    """Take them away."""
    for address in _OUTSIDE:
        subprocess.run(["ip", "address", "delete", address, "dev", CABLE], check=True)
        node.machine.call("ip", "route", "delete", address, "via", HOST)


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer that there is nothing."""
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Print nothing."""


@contextlib.contextmanager
def serve(*addresses: str, port: int = 0) -> Generator[int]:
    """Serve on addresses of this machine, all at one port, and return it."""
    with contextlib.ExitStack() as servers:
        for address in addresses:
            listening = http.server.ThreadingHTTPServer((address, port), _Answer)
            servers.enter_context(listening)
            port = listening.server_port
            threading.Thread(target=listening.serve_forever, daemon=True).start()
            servers.callback(listening.shutdown)
        yield port


def script(targets: Mapping[str, tuple[str, int]]) -> list[str]:
    """Return lines that say of each target whether they reach it."""
    return [
        f"if {_connects(host, port)}; then echo '{what}: yes'; else echo '{what}: no'; fi"
        for what, (host, port) in targets.items()
    ]


def until_closed(host: str, port: int) -> str:
    """Return a line that waits until something is closed: a pod starts before its rules are there.

    (cloudnativelabs/kube-router: pkg/controllers/netpol/network_policy_controller.go)
    """
    return f"for _ in $(seq 20); do {_connects(host, port)} || break; sleep 0.5; done"


def _connects(host: str, port: int) -> str:
    return f"timeout 5 nc {host} {port} </dev/null >/dev/null 2>&1"


class Pods:
    """Pods that serve and ask."""

    def __init__(self, node: Node) -> None:
        self.node = node

    @contextlib.contextmanager
    def run(self, namespace: str) -> Generator[tuple[str, str]]:
        """Run a pod that serves, and return its name and address."""
        name = f"network-{secrets.token_hex(4)}"
        serving = f"while true; do nc -l -p {PORT} </dev/null >/dev/null; done"
        context = {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        container = {
            "name": "main",
            "image": PAUSE,
            "command": ["sh", "-c", serving],
            "securityContext": context,
        }
        spec = {
            "automountServiceAccountToken": False,
            "containers": [container],
            "terminationGracePeriodSeconds": 0,
        }
        with self.node.cluster.api() as api:
            core = core_v1(api)
            core.create_namespaced_pod(namespace, {"metadata": {"name": name}, "spec": spec})
            try:
                deadline = time.monotonic() + _PATIENCE
                while (
                    found := core.read_namespaced_pod(name, namespace)
                ).status.phase != "Running":
                    assert time.monotonic() < deadline, found.status
                    time.sleep(0.3)
                self._wait_for_rules(f"-d {found.status.pod_ip}/32 ")
                yield name, found.status.pod_ip
            finally:
                core.delete_namespaced_pod(name, namespace)

    def reached(self, namespace: str, pod: str, targets: Mapping[str, tuple[str, int]]) -> set[str]:
        """Return which targets a pod reaches."""
        command = [
            *(str(ensure("kubectl").file), f"--kubeconfig={self.node.cluster.kubeconfig}"),
            *("--namespace", namespace, "exec", pod, "--", "sh", "-c"),
            "\n".join(script(targets)),
        ]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        said = dict(line.split(": ") for line in answer.stdout.splitlines())
        assert said.keys() == targets.keys(), answer
        return {what for what, reaches in said.items() if reaches == "yes"}

    def wait_for_policy(self, name: str) -> None:
        """Wait until a pod has the rules of a policy, whose name is unique."""
        self._wait_for_rules(f'"run through nw policy {name}"')

    def _wait_for_rules(self, text: str) -> None:
        """Wait for kube-router, which makes all rules of a pod at once."""
        deadline = time.monotonic() + _PATIENCE
        while text not in self.node.machine.call("iptables-save"):
            assert time.monotonic() < deadline, text
            time.sleep(0.2)
