"""The programs of a node, in the machine's namespaces, in the order in which they start."""

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from components.site import Registry
from components.strategies.docker import files
from dev.background import end_of
from dev.certificates import Authority
from dev.cluster.control_plane import ControlPlane
from dev.cluster.kubeconfig import NAME
from dev.node.cgroups import CGROUP
from dev.node.machine import NODE, Machine, NodeError
from dev.node.settings import SOCKET, configuration
from dev.toolchain.ensure import ensure

PACKAGES = {
    "iptables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
    "ip": "iproute2",
    "docker-registry": "docker-registry",
    "htpasswd": "apache2-utils",
    "skopeo": "skopeo",
    "tinyproxy": "tinyproxy-bin",
    "mmdebstrap": "mmdebstrap",
    "gcc": "gcc",
    "/usr/include/stdio.h": "libc6-dev",
    "/usr/include/seccomp.h": "libseccomp-dev",
    "pkg-config": "pkg-config",
    "/bin/busybox": "busybox-static",
    "/usr/bin/newuidmap": "uidmap",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
"""What must be on the machine, by Debian's name for its package; gcc compiles Buildah and runc."""

NAMES = ("containerd", "dockerd", "coredns", "kube-proxy", "kubelet", "kube-router")
"""The programs, in the order in which they start."""

_PATIENCE = 120.0

_DISK = "1Ti"
"""What pods may ask for in all; how much there is depends on the machine, and is not tried."""


def missing_packages() -> list[str]:
    """Name the packages that have to be installed first."""
    return sorted(
        package
        for file, package in PACKAGES.items()
        if not (shutil.which(file) or Path(file).is_file())
    )


def start(machine: Machine, hosts: dict[str, str]) -> None:
    """Start the container runtime; ``hosts`` are addresses by name, for the node itself."""
    if "containerd" in machine.running():
        return
    lines = [f"{address} {name}" for name, address in hosts.items()]
    machine.cover("/etc/hosts", "\n".join([f"127.0.0.1 localhost {NAME}", *lines, ""]))
    machine.cover("/etc/resolv.conf", f"nameserver {NODE}\n")
    _write(machine.state / "cni" / "10-pods.conflist", configuration("10-pods.conflist"))
    _configure(machine, "containerd.toml")
    machine.spawn(
        "containerd",
        [_program("containerd"), f"--config={machine.state}/containerd.toml"],
        PATH=_runtime_path(),
    )
    ctr = _program("ctr")
    _wait(lambda: machine.call(ctr, f"--address={SOCKET}", "version"), machine, "containerd")


def start_docker(
    machine: Machine, insecure: Sequence[str], certificates: Mapping[str, str], mirror: str
) -> None:
    """Start the node's own Docker engine, whose socket DooD mounts.

    Its settings are those that a preview with DooD asks the nodes' owner for.
    """
    private = [Registry(host=host, ca_certificates=text) for host, text in certificates.items()]
    for name, text in files(private, [mirror]).items():
        file = Path("/etc/docker/certs.d") / name
        machine.call("sh", "-c", f"mkdir -p {file.parent} && cat > {file}", text=text)
    first = machine.state / "docker-init"
    _write(first, '#!/bin/sh\nshift\nexec "$@"\n')
    first.chmod(0o755)
    machine.spawn(
        "dockerd",
        [
            _program("dockerd"),
            # Where a container is to have a first process (docker run --init).
            f"--init-path={first}",
            f"--data-root={machine.state}/docker",
            f"--cgroup-parent=/{CGROUP}/docker",
            f"--userland-proxy-path={_program('docker-proxy')}",
            *(f"--insecure-registry={host}" for host in insecure),
            f"--registry-mirror=https://{mirror}",
        ],
        PATH=_runtime_path(),
    )
    docker = _program("docker")
    _wait(lambda: machine.call(docker, "version"), machine, "dockerd")


def join(machine: Machine, cluster: ControlPlane, hosts: dict[str, str]) -> None:
    """Start what talks to the API server, and wait until the node is Ready."""
    _configure(machine, "Corefile")
    _configure(machine, "test.zone", hosts=hosts)
    accounts = {
        "coredns": ("coredns", "system:masters"),
        "kube-proxy": ("system:kube-proxy", "system:node-proxier"),
        "kube-router": ("kube-router", "system:masters"),
        "kubelet": (f"system:node:{NAME}", "system:nodes"),
    }
    for name, account in accounts.items():
        cluster.write_kubeconfig(machine.state / f"{name}.kubeconfig", f"node-{name}", *account)
    machine.spawn("coredns", [_program("coredns"), "-conf", f"{machine.state}/Corefile"])
    _configure(machine, "kube-proxy.yaml")
    machine.spawn(
        "kube-proxy", [_program("kube-proxy"), f"--config={machine.state}/kube-proxy.yaml"]
    )
    authority = Authority(cluster.state / "pki")
    certificate, key = authority.issue("kubelet-server", "kubelet", hosts=[NODE])
    # Whom this authority vouches for may ask the kubelet.
    vouching = authority.certificate_file
    _configure(machine, "kubelet.yaml", authority=vouching, certificate=certificate, key=key)
    machine.spawn(
        "kubelet",
        [
            _program("kubelet"),
            f"--config={machine.state}/kubelet.yaml",
            f"--kubeconfig={machine.state}/kubelet.kubeconfig",
            f"--root-dir={machine.state}/kubelet",
            f"--hostname-override={NAME}",
            # The name of the node resolves nowhere.
            f"--node-ip={NODE}",
            "--node-labels=image-builds/docker-socket=true",
        ],
    )
    _wait(lambda: _ready(cluster), machine, "kubelet")
    # This kubelet counts no disk (kubelet.yaml), and pods that ask for some would find no node.
    room = {"ephemeral-storage": _DISK}
    with cluster.api() as api:
        core = cast("Any", client.CoreV1Api(api))
        core.patch_node_status(NAME, {"status": {"capacity": room, "allocatable": room}})
    _enforce_policies(machine)


def _enforce_policies(machine: Machine) -> None:
    """Start kube-router for network policies alone.

    kube-proxy has the Services, and the bridge plugin the routes.
    """
    machine.spawn(
        "kube-router",
        [
            _program("kube-router"),
            "--run-firewall=true",
            "--run-router=false",
            "--run-service-proxy=false",
            f"--kubeconfig={machine.state}/kube-router.kubeconfig",
            f"--hostname-override={NAME}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--health-port=0",
        ],
    )
    chain = "KUBE-ROUTER-FORWARD"
    _wait(lambda: machine.call("iptables", "--wait", "--list", chain), machine, "kube-router")


def forget(cluster: ControlPlane) -> None:
    """Take the node out of the cluster: the next one may be another."""
    with cluster.api() as api:
        core = cast("Any", client.CoreV1Api(api))
        try:
            core.delete_node(NAME, _request_timeout=5)
        except ApiException as failure:
            if cast("Any", failure).status != 404:
                raise


def _runtime_path() -> str:
    """Where containerd and Docker's engine find what they start, before the machine's own."""
    names = ("containerd", "containerd-shim-runc-v2", "runc")
    own = [str(Path(_program(name)).parent) for name in names]
    return os.pathsep.join([*own, os.environ["PATH"]])


def _program(name: str) -> str:
    return str(ensure(name).file)


def _configure(machine: Machine, name: str, **values: object) -> None:
    _write(machine.state / name, configuration(name, state=machine.state, **values))


def _write(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")


def _wait(check: Any, machine: Machine, program: str) -> None:  # noqa: ANN401 - any callable
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            if check():
                return
            reason = "it is not ready"
        except (NodeError, ApiException, HTTPError) as error:
            reason = str(error)
        if time.monotonic() > deadline:
            log = machine.state / f"{program}.log"
            message = f"{program} did not start: {reason}; {log} ends with:\n{end_of(log)}"
            raise NodeError(message)
        time.sleep(0.5)


def _ready(cluster: ControlPlane) -> bool:
    with cluster.api() as api:
        node = cast("Any", client.CoreV1Api(api)).read_node(NAME, _request_timeout=5)
    conditions: list[Any] = node.status.conditions or []
    return any(item.type == "Ready" and item.status == "True" for item in conditions)
