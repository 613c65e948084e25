"""The command lines of the control plane's programs, and the certificates that they need."""

from pathlib import Path

import yaml

from dev.certificates import Authority
from dev.cluster.addresses import Addresses
from dev.cluster.kubeconfig import NAME
from dev.files import fill

_HERE = Path(__file__).parent
_SERVICE_ADDRESS = "10.96.0.1"
"""The first of the range of Services in flags.yaml.j2."""


def flags(name: str, state: Path, addresses: Addresses, authority: Authority) -> list[str]:
    """Return what the program ``name`` of the control plane in ``state`` is started with."""
    address = addresses.address
    service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    hosts = [address, "localhost", _SERVICE_ADDRESS, *service]
    issue = authority.issue
    apiserver, manager, scheduler = "kube-apiserver", "kube-controller-manager", "kube-scheduler"
    text = fill(
        _HERE / "flags.yaml.j2",
        name=NAME,
        state=state,
        ports=addresses.ports(),
        address=address,
        real_node=addresses.real_node,
        stages=_HERE / "kwok-stages.yaml",
        authority=authority.certificate_file,
        signing_key=authority.signing_key("service-accounts"),
        etcd=issue("etcd", "etcd", hosts=["127.0.0.1", "localhost"]),
        apiserver=issue(f"{apiserver}-{address}", apiserver, hosts=hosts),
        to_etcd=issue(f"{apiserver}-etcd", apiserver),
        to_kubelet=issue(f"{apiserver}-kubelet", apiserver, ["system:masters"]),
        controller_manager=issue(f"{manager}-server", manager, hosts=["127.0.0.1"]),
        scheduler=issue(f"{scheduler}-server", scheduler, hosts=["127.0.0.1"]),
    )
    return [f"--{flag}={value}" for flag, value in yaml.safe_load(text)[name].items()]
