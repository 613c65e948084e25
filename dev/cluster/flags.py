"""The command lines of the control plane's programs."""

from collections.abc import Callable
from pathlib import Path

from dev.certificates import Authority
from dev.cluster.addresses import Addresses
from dev.cluster.kubeconfig import NAME

_SERVICE_RANGE = "10.96.0.0/16"
_SERVICE_ADDRESS = "10.96.0.1"


class Flags:
    """What the programs of the control plane in ``state`` are started with."""

    def __init__(self, state: Path, addresses: Addresses, authority: Authority) -> None:
        self._state = state
        self._addresses = addresses
        self._authority = authority

    def of(self, name: str) -> list[str]:
        """Return the flags of a program."""
        makers: dict[str, Callable[[], dict[str, str]]] = {
            "etcd": self._etcd,
            "kube-apiserver": self._apiserver,
            "kube-controller-manager": self._controller_manager,
            "kube-scheduler": self._scheduler,
            "kwok": self._kwok,
        }
        return [f"--{flag}={value}" for flag, value in makers[name]().items()]

    def _etcd(self) -> dict[str, str]:
        ports, authority = self._addresses.ports(), self._authority
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
            "data-dir": str(self._state / "etcd"),
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
        ports, authority = self._addresses.ports(), self._authority
        hosts = [
            self._addresses.address,
            "localhost",
            _SERVICE_ADDRESS,
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
        ]
        name = f"kube-apiserver-{self._addresses.address}"
        certificate, key = authority.issue(name, "kube-apiserver", hosts=hosts)
        etcd_certificate, etcd_key = authority.issue("kube-apiserver-etcd", "kube-apiserver")
        to_kubelet = authority.issue("kube-apiserver-kubelet", "kube-apiserver", ["system:masters"])
        real_node = self._addresses.real_node
        signing_key = str(authority.signing_key("service-accounts"))
        return {
            "etcd-servers": f"https://127.0.0.1:{ports['etcd']}",
            "etcd-cafile": str(authority.certificate_file),
            "etcd-certfile": str(etcd_certificate),
            "etcd-keyfile": str(etcd_key),
            "bind-address": self._addresses.address,
            "advertise-address": self._addresses.address,
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
        authority = self._authority
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
        authority = self._authority
        certificate, key = authority.issue(f"{name}-server", name, hosts=["127.0.0.1"])
        kubeconfig = str(self._state / f"{name}.kubeconfig")
        return {
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "bind-address": "127.0.0.1",
            "secure-port": str(self._addresses.ports()[name]),
            "tls-cert-file": str(certificate),
            "tls-private-key-file": str(key),
            "leader-elect": "false",
        }

    def _kwok(self) -> dict[str, str]:
        return {
            "kubeconfig": str(self._state / "kwok.kubeconfig"),
            "config": str(Path(__file__).parent / "kwok-stages.yaml"),
            "manage-single-node": NAME,
            "node-ip": "127.0.0.1",
            "node-lease-duration-seconds": "40",
        }
