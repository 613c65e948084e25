"""The node as a whole: its machine, its programs, its images and its registries, in order."""

import os
import platform
from pathlib import Path

from dev.cluster.control_plane import ControlPlane
from dev.node import programs, registry
from dev.node.images.store import Store
from dev.node.machine import HOST, Machine, NodeError
from dev.toolchain.ensure import ensure_all
from dev.toolchain.programs import select


class Node:
    """A real node of the control plane in ``state``, in place of the simulated one."""

    def __init__(self, state: Path) -> None:
        self.machine = Machine(state / "node")
        self.cluster = ControlPlane(state / "cluster")
        self.registries = registry.Registries(self.machine)

    def up(self) -> None:
        """Start everything and wait until the node is Ready.

        Raises:
            NodeError: this machine cannot have a node, or a program did not start.
        """
        check(self)
        ensure_all(select("cluster", "node"))
        hosts = self.registries.hosts()
        self.machine.up()
        programs.start(self.machine, hosts)
        self.registries.up()
        Store(self.machine).bring(self.registries)
        self.start_docker()
        if self.cluster.addresses.address != HOST:
            self.cluster.down()
            self.cluster.addresses.listen(HOST)
            self.cluster.up()
            programs.forget(self.cluster)
        self.cluster.up()
        programs.join(self.machine, self.cluster, hosts)

    def start_docker(self) -> None:
        """Start the node's own Docker engine, which DooD uses."""
        certificates = {
            kind.address: self.registries.certificate for kind in registry.KINDS if kind.tls
        }
        insecure = [kind.address for kind in registry.KINDS if not kind.tls]
        mirror = registry.MIRROR.address
        programs.start_docker(self.machine, insecure, certificates, mirror)

    def down(self) -> None:
        """Stop everything that is of the node, and let kwok simulate one from now on."""
        if self.machine.holder and self.cluster.addresses.address == HOST:
            self.cluster.up()
            programs.forget(self.cluster)
        self.cluster.down()
        self.cluster.addresses.listen("")
        self.machine.down()

    def status(self) -> list[tuple[str, int | None]]:
        """Return each program and the id of its process, if it runs."""
        running = self.machine.running()
        names = (*programs.NAMES, *(f"registry-{kind.host}" for kind in registry.KINDS))
        return [(name, running[name].pid if name in running else None) for name in names]


def check(node: Node) -> None:
    """Say what this machine lacks for ``node``, before anything is built or started.

    Raises:
        NodeError: something is missing; the message says what and what to do.
    """
    if platform.system() != "Linux":
        message = "a node needs Linux; use a virtual machine, or your own cluster"
        raise NodeError(message)
    if os.geteuid() != 0:
        message = "a node needs root, since it makes namespaces and mounts; run it as root"
        raise NodeError(message)
    if missing := programs.missing_packages():
        message = f"packages are missing; run: apt-get install {' '.join(missing)}"
        raise NodeError(message)
    node.machine.check()
