"""Where the programs of one control plane listen, kept in its folder."""

import contextlib
import functools
import json
import secrets
import socket
from collections.abc import Callable, Container
from pathlib import Path

from dev.files import write_private

_PORTS = {
    "etcd": "etcd",
    "etcd-peer": "etcd",
    "kube-apiserver": "kube-apiserver",
    "kube-controller-manager": "kube-controller-manager",
    "kube-scheduler": "kube-scheduler",
}
"""The ports and which program listens on each."""
_CHOICE = range(20_000, 32_768)
"""Below what Linux gives to outgoing connections (ip(7), ip_local_port_range): one of those could
take a port before its program listens."""


class Addresses:
    """Ports on loopback, and the address on which a real node reaches the API server."""

    def __init__(self, state: Path) -> None:
        self._ports_file = state / "ports.json"
        self._address_file = state / "address"

    @property
    def real_node(self) -> bool:
        """Whether a real node is to join, in place of the simulated one."""
        return self._address_file.exists()

    @property
    def address(self) -> str:
        """The address on which the API server listens."""
        return self._address_file.read_text(encoding="ascii") if self.real_node else "127.0.0.1"

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return f"https://{self.address}:{self.ports()['kube-apiserver']}"

    def of(self, program: str) -> str:
        """Return host and port of a program; empty where it has none."""
        host = self.address if program == "kube-apiserver" else "127.0.0.1"
        ports = self.ports()
        return f"{host}:{ports[program]}" if program in ports else ""

    def listen(self, address: str) -> None:
        """Let the API server listen on ``address`` from the next start on; "" means loopback.

        No program of the cluster may run now.
        """
        if address:
            self._address_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._address_file.write_text(address, encoding="ascii")
        else:
            self._address_file.unlink(missing_ok=True)

    def ports(self) -> dict[str, int]:
        """Return each port by its name."""
        if self._ports_file.exists():
            return json.loads(self._ports_file.read_text(encoding="utf-8"))
        return {}

    def choose_ports(self, running: Container[str], stop_all: Callable[[], None]) -> None:
        """Keep the ports as long as they are free; a changed one needs every program anew."""
        ports = self.ports()
        with contextlib.ExitStack() as held:
            for name, program in _PORTS.items():
                if program in running:
                    continue
                listener = held.enter_context(socket.socket())
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if name in ports and _bind(listener, ports[name]):
                    continue
                if name in ports:
                    stop_all()
                candidates = iter(lambda: secrets.choice(_CHOICE), None)
                ports[name] = next(filter(functools.partial(_bind, listener), candidates))
        write_private(self._ports_file, json.dumps(ports, indent=1))


def _bind(listener: socket.socket, port: int) -> bool:
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
