"""The configuration of each program of the node, made from the templates in ``files``.

Where it differs from what a distribution says, a machine with cgroup v1 and without
CAP_SYS_RESOURCE needs it.
"""

from pathlib import Path

from dev.cluster.kubeconfig import NAME
from dev.files import fill
from dev.node.cgroups import CGROUP
from dev.node.machine import MTU, NODE, PODS

PAUSE = "registry.k8s.io/pause:3.10"
"""The image of a pod's own process."""

SOCKET = "/run/containerd/containerd.sock"

FILES = Path(__file__).parent / "files"
_SHARED = {
    "name": NAME,
    "node": NODE,
    "pods": PODS,
    "mtu": MTU,
    "cgroup": CGROUP,
    "socket": SOCKET,
    "pause": PAUSE,
}


def configuration(name: str, **values: object) -> str:
    """Return the configuration file ``name``, with what only its own template asks for."""
    return fill(FILES / f"{name}.j2", **_SHARED, **values)
