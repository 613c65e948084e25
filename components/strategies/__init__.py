"""From a strategy's options to its plan: the one place that tells strategies apart."""

from collections.abc import Sequence
from typing import assert_never

from components.config import Auto, Cluster, Dind, Dood, Kaniko, Registry, Strategy
from components.strategies import dind, dood, kaniko
from components.strategies.plan import BuildPlan


def plan_for(
    strategy: Strategy,
    cluster: Cluster,
    registries: Sequence[Registry],
    mirrors: Sequence[str],
) -> BuildPlan:
    """Return the plan of ``strategy`` on ``cluster``, which reaches these registries."""
    match strategy:
        case Kaniko():
            return kaniko.plan(strategy, cluster, registries, mirrors)
        case Dood():
            return dood.plan(strategy, cluster, registries, mirrors)
        case Dind():
            return dind.plan(strategy, cluster, registries, mirrors)
        case Auto():
            return plan_for(choose(cluster), cluster, registries, mirrors)
        case _:
            assert_never(strategy)


def choose(cluster: Cluster) -> Kaniko | Dood:
    """Pick for ``strategy: auto``: DooD where all it needs is declared, Kaniko anywhere else."""
    nodes = cluster.nodes
    if cluster.kind == "onPrem" and nodes.os == "ubuntu" and nodes.docker_socket and nodes.trusted:
        return Dood(accept_node_root=True)
    return Kaniko()
