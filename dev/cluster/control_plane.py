"""Starts and stops a control plane."""

import dataclasses
import functools
from pathlib import Path

import filelock
from kubernetes import client

from dev.certificates import Authority
from dev.cluster import kubeconfig, ready
from dev.cluster.addresses import Addresses
from dev.cluster.flags import flags
from dev.cluster.processes import ORDER, Processes


@dataclasses.dataclass(frozen=True)
class ProcessStatus:
    """One program of the cluster: the id of its process if it runs, and where it listens."""

    name: str
    pid: int | None
    address: str


class ControlPlane:
    """A control plane whose state is in ``state``; several may run side by side."""

    def __init__(self, state: Path) -> None:
        # Processes are known by their working folder, in which links are resolved.
        self.state = state.resolve()
        self.kubeconfig = self.state / "kubeconfig"
        self.addresses = Addresses(self.state)
        self._processes = Processes(self.state)

    def up(self) -> None:
        """Start what is not running and wait until the cluster can be used.

        Raises:
            ClusterError: a program died or did not become ready within 60 s.
        """
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with filelock.FileLock(self.state / "cluster.lock"):
            self.addresses.choose_ports(self._processes.running(), self._processes.stop_all)
            self._write_kubeconfigs()
            for name in ORDER[:2]:
                self._spawn(name)
            self._await_api()
            for name in self._programs()[2:]:
                self._spawn(name)
            with self.api() as api:
                if self.addresses.real_node:
                    what, condition = "the default account", ready.has_account
                else:
                    what, condition = "the node", ready.has_node
                condition = functools.partial(condition, api)
                ready.wait(what, condition, self._processes, self._programs())

    def down(self) -> None:
        """Stop every process that this folder started; the state stays."""
        if self.state.exists():
            with filelock.FileLock(self.state / "cluster.lock"):
                self._processes.stop_all()

    def status(self) -> list[ProcessStatus]:
        """Return one entry for each program."""
        running = self._processes.running()
        return [
            ProcessStatus(
                name, running[name].pid if name in running else None, self.addresses.of(name)
            )
            for name in ORDER
        ]

    def api(self) -> client.ApiClient:
        """A client of this cluster, and of no other, with the administrator's certificate."""
        return kubeconfig.api_of(self.kubeconfig)

    def write_kubeconfig(self, file: Path, name: str, user: str, *groups: str) -> None:
        """Write a kubeconfig with a certificate of ``user``, kept as ``name``."""
        kubeconfig.write(file, self.addresses.server, self._authority(), name, user, *groups)

    def flags(self, name: str) -> list[str]:
        """Return the flags that a program is started with."""
        return flags(name, self.state, self.addresses, self._authority())

    def _programs(self) -> tuple[str, ...]:
        return ORDER[:-1] if self.addresses.real_node else ORDER

    def _authority(self) -> Authority:
        return Authority(self.state / "pki")

    def _write_kubeconfigs(self) -> None:
        # The group passes every authorization check, as the first administrator must: there is
        # no binding yet that another group could have.
        self.write_kubeconfig(self.kubeconfig, "admin", "image-builds-admin", "system:masters")
        for name in ("kube-controller-manager", "kube-scheduler"):
            self.write_kubeconfig(self.state / f"{name}.kubeconfig", name, f"system:{name}")
        self.write_kubeconfig(self.state / "kwok.kubeconfig", "kwok", "kwok", "system:masters")

    def _spawn(self, name: str) -> None:
        if name not in self._processes.running():
            self._processes.start(name, self.flags(name))

    def _await_api(self) -> None:
        with self.api() as api:
            condition = functools.partial(ready.has_api, api, self.addresses.server)
            ready.wait("the API server", condition, self._processes, ORDER[:2])
