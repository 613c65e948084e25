"""The configuration of each program of the node.

Where it differs from what a distribution says, a machine with cgroup v1 and without
CAP_SYS_RESOURCE needs it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dev.cluster import NAME
from dev.node.cgroups import CGROUP
from dev.node.machine import NODE, PODS

PAUSE = "registry.k8s.io/pause:3.10"
"""The image of a pod's own process."""

SOCKET = "/run/containerd/containerd.sock"

DOCKER = {"features": {"time-namespaces": False}}
"""What every Docker engine reads: Debian's runc 1.1 knows no such namespaces."""


def network() -> dict[str, Any]:
    """Return the network of the pods (containernetworking/cni:SPEC.md)."""
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods",
                "isGateway": True,
                # The API server has no route to pods.
                "ipMasq": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": "/run/cni",
                },
            },
        ],
    }


def containerd(state: Path) -> dict[str, Any]:
    """Return what containerd reads, in the form of its version 1.6 (containerd:docs/cri)."""
    runc = {"runtime_type": "io.containerd.runc.v2", "options": {"SystemdCgroup": False}}
    return {
        "version": 2,
        "root": f"{state}/containerd",
        "state": "/run/containerd",
        "grpc": {"address": SOCKET},
        "plugins": {
            "io.containerd.grpc.v1.cri": {
                "sandbox_image": PAUSE,
                # Without CAP_SYS_RESOURCE nobody may lower a score, and runc stops where it tries.
                "restrict_oom_score_adj": True,
                "netns_mounts_under_state_dir": True,
                "cni": {"bin_dir": "/usr/lib/cni", "conf_dir": f"{state}/cni"},
                "containerd": {"default_runtime_name": "runc", "runtimes": {"runc": runc}},
                "registry": {"config_path": f"{state}/registries"},
            },
        },
    }


def kubelet(state: Path, authority: Path, certificate: Path, key: Path) -> dict[str, Any]:
    """Return the KubeletConfiguration; whom ``authority`` vouches for may ask it."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE,
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": str(authority)},
        },
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "clusterDNS": [NODE],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "enforceNodeAllocatable": ["pods"],
        # A full disk of the machine is not what is tried here.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "healthzPort": 0,
        # Images come by import, and nobody could pull one again.
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": False,
        "podLogsDir": "/var/log/pods",
        "resolvConf": "/etc/resolv.conf",
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "volumePluginDir": f"{state}/kubelet-plugins",
    }


def proxy(state: Path) -> dict[str, Any]:
    """Return the KubeProxyConfiguration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": NODE,
        "clientConnection": {"kubeconfig": f"{state}/kube-proxy.kubeconfig"},
        "clusterCIDR": PODS,
        # A network namespace may not set the kernel's own limits.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpCloseWaitTimeout": "0s",
            "tcpEstablishedTimeout": "0s",
        },
        "healthzBindAddress": "127.0.0.1:10256",
        "hostnameOverride": NAME,
        "metricsBindAddress": "127.0.0.1:10249",
        "mode": "iptables",
    }


def corefile(state: Path) -> str:
    """Return the Corefile: Services, and the zone of the registries; nobody else is known."""
    return f"""\
cluster.local {{
  bind {NODE}
  kubernetes {{
    kubeconfig {state}/coredns.kubeconfig
    pods disabled
  }}
  errors
}}
test {{
  bind {NODE}
  file {state}/test.zone
  errors
}}
. {{
  bind {NODE}
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
"""


def zone(hosts: Mapping[str, str]) -> str:
    """Return the zone ``test``, with the addresses of ``hosts`` by name (RFC 1035)."""
    records = [f"{name}. 60 IN A {address}" for name, address in hosts.items()]
    start = "test. 60 IN SOA ns.test. root.test. 1 7200 3600 1209600 60"
    return "\n".join([start, "test. 60 IN NS ns.test.", *records, ""])
