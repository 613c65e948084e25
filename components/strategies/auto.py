"""The strategy ``auto``: the cluster's facts pick one that builds."""

from typing import Literal

from components.site import Cluster
from components.strategies.dood import Dood
from components.strategies.kaniko import Kaniko
from components.types import Model


class Auto(Model):
    """Let the cluster decide: its facts pick one of the strategies that build."""

    kind: Literal["auto"] = "auto"


def choose(cluster: Cluster) -> Kaniko | Dood:
    """Pick for ``strategy: auto``: DooD where all it needs is declared, Kaniko anywhere else."""
    nodes = cluster.nodes
    admitted = cluster.platform == "other" and cluster.pod_security_limit == "privileged"
    own = cluster.kind == "onPrem" and nodes.os == "ubuntu"
    if admitted and own and nodes.docker_socket and nodes.trusted:
        return Dood(accept_node_root=True)
    return Kaniko()
