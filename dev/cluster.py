"""The local control plane: etcd, Kubernetes' own programs and one simulated node, on loopback.

It owns its processes, certificates, ports and kubeconfig in one folder, which outlives a stop.
It reads no kubeconfig of the user's, and runs no container: kwok only says that pods run. Where
dev/node brings a real node, kwok stays away and the API server listens where that node is.
"""

import contextlib
import dataclasses
import http
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import filelock
import psutil
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from dev import toolchain
from dev.certificates import Authority
from dev.files import write_privately

NAME = "image-builds-local"
"""The name of the kubeconfig's context, cluster and user."""

_ORDER = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
_PORTS = {
    "etcd": "etcd",
    "etcd-peer": "etcd",
    "kube-apiserver": "kube-apiserver",
    "kube-controller-manager": "kube-controller-manager",
    "kube-scheduler": "kube-scheduler",
}
"""The ports and which program listens on each."""
_SERVICE_RANGE = "10.96.0.0/16"
_SERVICE_ADDRESS = "10.96.0.1"
_STARTED: list[subprocess.Popen[bytes]] = []
"""Keeps the handles, whose destructor would warn of processes that are meant to go on."""
_PATIENCE = 60.0
_GRACE = 10.0


class ClusterError(Exception):
    """The cluster cannot be started or used; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class ProcessStatus:
    """One program of the cluster: the id of its process if it runs."""

    name: str
    pid: int | None
    address: str


def api_of(kubeconfig: Path) -> client.ApiClient:
    """A client of the local cluster that a kubeconfig names, and of no other."""
    configuration = client.Configuration()
    # Whoever waits for the cluster asks again; urllib3 would warn of each attempt.
    configuration.retries = 0
    cast("Any", config).load_kube_config(str(kubeconfig), NAME, client_configuration=configuration)
    return client.ApiClient(configuration)


class Cluster:
    """A control plane whose state is in ``state``; several may run side by side."""

    def __init__(self, state: Path) -> None:
        """Remember the folder; nothing is read or started yet."""
        # Processes are told by their working folder, in which links are resolved.
        self.state = state.resolve()
        self.kubeconfig = self.state / "kubeconfig"
        self._ports_file = self.state / "ports.json"
        self._address_file = self.state / "address"

    def up(self) -> None:
        """Start what is not running and wait until the cluster can be used.

        Raises:
            ClusterError: a program died or did not become ready within 60 s.
        """
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with filelock.FileLock(self.state / "cluster.lock"):
            self._choose_ports()
            self._write_kubeconfigs()
            for name in ("etcd", "kube-apiserver"):
                self._spawn(name)
            self._await("the API server", self._api_ready, _ORDER[:2])
            for name in self._programs()[2:]:
                self._spawn(name)
            if self._address_file.exists():
                self._await("the default account", self._account_ready, self._programs())
            else:
                self._await("the node", self._node_ready, _ORDER)

    def listen(self, address: str) -> None:
        """Let the API server listen on ``address``, where a real node reaches it; "" ends that.

        The next start heeds it; nothing may run now.
        """
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        if address:
            self._address_file.write_text(address, encoding="ascii")
        else:
            self._address_file.unlink(missing_ok=True)

    def down(self) -> None:
        """Stop every process that this folder started; the state stays."""
        if not self.state.exists():
            return
        with filelock.FileLock(self.state / "cluster.lock"):
            for name in reversed(_ORDER):
                self.stop(name)

    def status(self) -> list[ProcessStatus]:
        """Return one entry for each program."""
        running, ports = self._running(), self._ports()
        return [
            ProcessStatus(
                name,
                running[name].pid if name in running else None,
                f"{self._host(name)}:{ports[name]}" if name in ports else "",
            )
            for name in _ORDER
        ]

    def start(self, name: str) -> None:
        """Start one program again, and wait for the API server if it is that."""
        self._spawn(name)
        self._await("the API server", self._api_ready, _ORDER[:2])

    def stop(self, name: str) -> None:
        """Stop one program, politely first."""
        process = self._running().get(name)
        if process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_GRACE)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(_GRACE)
        for handle in _STARTED:
            handle.poll()

    def api(self) -> client.ApiClient:
        """A client of this cluster, and of no other, with the administrator's certificate."""
        return api_of(self.kubeconfig)

    @property
    def address(self) -> str:
        """The one on which the API server listens."""
        if self._address_file.exists():
            return self._address_file.read_text(encoding="ascii")
        return "127.0.0.1"

    def _programs(self) -> tuple[str, ...]:
        return _ORDER[:-1] if self._address_file.exists() else _ORDER

    def _ports(self) -> dict[str, int]:
        if self._ports_file.exists():
            return json.loads(self._ports_file.read_text(encoding="utf-8"))
        return {}

    def _running(self) -> dict[str, psutil.Process]:
        """The cluster's live processes, by program.

        They are looked for, not recorded: a record could miss one whose starter was killed.
        """
        found: dict[str, psutil.Process] = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, IndexError):
                name = Path(process.cmdline()[0]).name
                if name in _ORDER and process.cwd() == str(self.state):
                    found[name] = process
        return found

    def _choose_ports(self) -> None:
        """Keep the ports as long as they are free; a changed one needs every program anew."""
        running, ports = self._running(), self._ports()
        with contextlib.ExitStack() as held:
            for name, program in _PORTS.items():
                if program in running:
                    continue
                listener = held.enter_context(socket.socket())
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    listener.bind(("127.0.0.1", ports.get(name, 0)))
                except OSError:
                    for other in reversed(_ORDER):
                        self.stop(other)
                    listener.bind(("127.0.0.1", 0))
                ports[name] = listener.getsockname()[1]
        write_privately(self._ports_file, json.dumps(ports, indent=1))

    def _authority(self) -> Authority:
        return Authority(self.state / "pki")

    def _write_kubeconfigs(self) -> None:
        # The group passes every authorization check, as the first administrator must: there is
        # no binding yet that another group could have.
        self.write_kubeconfig(self.kubeconfig, "admin", "image-builds-admin", "system:masters")
        for name in ("kube-controller-manager", "kube-scheduler"):
            self.write_kubeconfig(self.state / f"{name}.kubeconfig", name, f"system:{name}")
        self.write_kubeconfig(self.state / "kwok.kubeconfig", "kwok", "kwok", "system:masters")

    def write_kubeconfig(self, file: Path, name: str, user: str, *groups: str) -> None:
        """Write a kubeconfig with a certificate of ``user``, kept as ``name``."""
        authority = self._authority()
        certificate, key = authority.issue(name, user, groups)
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": NAME,
                    "cluster": {
                        "server": self.server,
                        "certificate-authority": str(authority.certificate_file),
                    },
                },
            ],
            "users": [
                {
                    "name": NAME,
                    "user": {"client-certificate": str(certificate), "client-key": str(key)},
                },
            ],
            "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
            "current-context": NAME,
        }
        write_privately(file, yaml.safe_dump(content))

    @property
    def server(self) -> str:
        """The API server's address."""
        return f"https://{self.address}:{self._ports()['kube-apiserver']}"

    def _host(self, program: str) -> str:
        return self.address if program == "kube-apiserver" else "127.0.0.1"

    def _spawn(self, name: str) -> None:
        if name in self._running():
            return
        program = toolchain.ensure(name).file
        command = [str(program), *self._arguments(name)]
        environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        with (self.state / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.state,
                env=environment,
                start_new_session=True,
            )
        _STARTED.append(process)
        # A moment passes between the start and the kernel's telling the process's arguments.
        while process.poll() is None and name not in self._running():
            time.sleep(0.01)

    def _arguments(self, name: str) -> list[str]:
        makers: dict[str, Callable[[], dict[str, str]]] = {
            "etcd": self._etcd,
            "kube-apiserver": self._apiserver,
            "kube-controller-manager": self._controller_manager,
            "kube-scheduler": self._scheduler,
            "kwok": self._kwok,
        }
        return [f"--{flag}={value}" for flag, value in makers[name]().items()]

    def _etcd(self) -> dict[str, str]:
        ports, authority = self._ports(), self._authority()
        certificate, key = authority.issue("etcd", "etcd", hosts=["127.0.0.1", "localhost"])
        address = f"https://127.0.0.1:{ports['etcd']}"
        peer = f"https://127.0.0.1:{ports['etcd-peer']}"
        tls = {
            "cert-file": str(certificate),
            "key-file": str(key),
            "trusted-ca-file": str(authority.certificate_file),
            "client-cert-auth": "true",
        }
        return {
            "name": NAME,
            "data-dir": str(self.state / "etcd"),
            "listen-client-urls": address,
            "advertise-client-urls": address,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"{NAME}={peer}",
            **tls,
            **{f"peer-{flag}": value for flag, value in tls.items()},
            # A crash of the machine may lose the last writes, which a throwaway cluster can bear;
            # a stop does not.
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }

    def _apiserver(self) -> dict[str, str]:
        ports, authority = self._ports(), self._authority()
        hosts = [
            self.address,
            "localhost",
            _SERVICE_ADDRESS,
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
        ]
        name = f"kube-apiserver-{self.address}"
        certificate, key = authority.issue(name, "kube-apiserver", hosts=hosts)
        etcd_certificate, etcd_key = authority.issue("kube-apiserver-etcd", "kube-apiserver")
        to_kubelet = authority.issue("kube-apiserver-kubelet", "kube-apiserver", ["system:masters"])
        real_node = self._address_file.exists()
        signing_key = str(authority.signing_key("service-accounts"))
        return {
            "etcd-servers": f"https://127.0.0.1:{ports['etcd']}",
            "etcd-cafile": str(authority.certificate_file),
            "etcd-certfile": str(etcd_certificate),
            "etcd-keyfile": str(etcd_key),
            "bind-address": self.address,
            "advertise-address": self.address,
            # The endpoints of the default Service may not be on loopback, where nobody uses them.
            "endpoint-reconciler-type": "lease" if real_node else "none",
            "kubelet-certificate-authority": str(authority.certificate_file),
            "kubelet-client-certificate": str(to_kubelet[0]),
            "kubelet-client-key": str(to_kubelet[1]),
            # The node's name resolves nowhere.
            "kubelet-preferred-address-types": "InternalIP",
            "secure-port": str(ports["kube-apiserver"]),
            "tls-cert-file": str(certificate),
            "tls-private-key-file": str(key),
            "client-ca-file": str(authority.certificate_file),
            "anonymous-auth": "false",
            "authorization-mode": "Node,RBAC",
            # Real clusters admit privileged pods where Pod Security does.
            "allow-privileged": "true",
            "enable-admission-plugins": "NodeRestriction,PodSecurity",
            "service-cluster-ip-range": _SERVICE_RANGE,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": signing_key,
            "service-account-signing-key-file": signing_key,
        }

    def _controller_manager(self) -> dict[str, str]:
        authority = self._authority()
        return {
            **self._component("kube-controller-manager"),
            "root-ca-file": str(authority.certificate_file),
            "service-account-private-key-file": str(authority.signing_key("service-accounts")),
            "use-service-account-credentials": "true",
            "service-cluster-ip-range": _SERVICE_RANGE,
            # A namespace is emptied sooner with more workers and no back-off between them.
            "concurrent-namespace-syncs": "20",
        }

    def _scheduler(self) -> dict[str, str]:
        return self._component("kube-scheduler")

    def _component(self, name: str) -> dict[str, str]:
        """The flags that the controller manager and the scheduler share."""
        authority = self._authority()
        certificate, key = authority.issue(f"{name}-server", name, hosts=["127.0.0.1"])
        kubeconfig = str(self.state / f"{name}.kubeconfig")
        return {
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "bind-address": "127.0.0.1",
            "secure-port": str(self._ports()[name]),
            "tls-cert-file": str(certificate),
            "tls-private-key-file": str(key),
            "leader-elect": "false",
        }

    def _kwok(self) -> dict[str, str]:
        return {
            "kubeconfig": str(self.state / "kwok.kubeconfig"),
            "config": str(Path(__file__).parent / "kwok-stages.yaml"),
            "manage-single-node": NAME,
            "node-ip": "127.0.0.1",
            "node-lease-duration-seconds": "40",
        }

    def _await(self, what: str, ready: Callable[[], bool], needed: Sequence[str]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(ApiException, HTTPError):
                if ready():
                    return
            running = self._running()
            dead = [name for name in needed if name not in running]
            if dead or time.monotonic() > deadline:
                name = dead[0] if dead else "kube-apiserver"
                reason = f"{name} ended" if dead else f"{what} is not ready after {_PATIENCE:.0f} s"
                log = self.state / f"{name}.log"
                tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
                message = (
                    f"the local cluster did not start: {reason}; see {log}, which ends with:\n"
                    + "\n".join(tail)
                    + "\nthen run make cluster-down and make cluster-up"
                )
                raise ClusterError(message)
            time.sleep(0.1)

    def _api_ready(self) -> bool:
        with self.api() as api:
            untyped = cast("Any", api)
            answer = untyped.call_api("GET", f"{self.server}/readyz", _request_timeout=2)
        return bool(answer.status == http.HTTPStatus.OK)

    def _account_ready(self) -> bool:
        with self.api() as api:
            core = cast("Any", client.CoreV1Api(api))
            core.read_namespaced_service_account("default", "default", _request_timeout=2)
        return True

    def _node_ready(self) -> bool:
        with self.api() as api:
            core = cast("Any", client.CoreV1Api(api))
            core.read_namespaced_service_account("default", "default", _request_timeout=2)
            try:
                node = core.read_node(NAME, _request_timeout=2)
            except ApiException as failure:
                error = cast("Any", failure)
                if error.status != http.HTTPStatus.NOT_FOUND:
                    raise
                core.create_node(_node())
                return False
            conditions: list[Any] = node.status.conditions or []
            return any(item.type == "Ready" and item.status == "True" for item in conditions)


def _node() -> dict[str, Any]:
    """The simulated node: roomy, and with the label that the dev stack selects."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    capacity = {"cpu": "64", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "1Ti"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NAME,
            "labels": {
                "kubernetes.io/arch": machine,
                "kubernetes.io/hostname": NAME,
                "kubernetes.io/os": "linux",
                "image-builds/docker-socket": "true",
            },
        },
        "status": {"capacity": capacity, "allocatable": capacity},
    }


def main(arguments: list[str], state: Path) -> int:
    """Run ``up``, ``down`` or ``status``."""
    cluster = Cluster(state)
    try:
        if arguments == ["up"]:
            cluster.up()
        elif arguments == ["down"]:
            cluster.down()
    except (ClusterError, toolchain.ToolchainError) as error:
        print(error, file=sys.stderr)
        return 1
    for entry in cluster.status():
        state_text = f"running, pid {entry.pid}" if entry.pid else "stopped"
        print(f"{entry.name:24} {state_text:22} {entry.address}")
    return 0
