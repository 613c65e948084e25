"""From a strategy's options to its plan: the one place that tells strategies apart."""

import dataclasses
from collections.abc import Sequence
from typing import assert_never

from components.config import (
    Auto,
    Buildah,
    Buildkit,
    BuildkitService,
    Buildx,
    Cluster,
    Deploy,
    Dind,
    Dood,
    Kaniko,
    Registry,
    Strategy,
)
from components.strategies import (
    buildah,
    buildkit,
    buildkit_service,
    buildx,
    dind,
    dood,
    kaniko,
    none,
)
from components.strategies.plan import BuildPlan


def plan_for(
    strategy: Strategy,
    cluster: Cluster,
    registries: Sequence[Registry],
    mirrors: Sequence[str],
) -> BuildPlan:
    """Return the plan of ``strategy`` on ``cluster``, which reaches these registries."""
    plan = _plan(strategy, cluster, registries, mirrors)
    if cluster.platform != "openShift":
        return plan
    line = f"the job account must have the SCC {_security_context_constraint(plan)}"
    return dataclasses.replace(plan, node_setup=(*plan.node_setup, line))


def _security_context_constraint(plan: BuildPlan) -> str:
    """The narrowest of OpenShift's own that admits the plan's pod."""
    if plan.privileged or plan.host_paths:
        return "privileged"
    if plan.restricted:
        return "nonroot-v2"
    return "nested-container" if plan.unshares else "anyuid"


def _plan(  # noqa: PLR0911 - one for each strategy
    strategy: Strategy,
    cluster: Cluster,
    registries: Sequence[Registry],
    mirrors: Sequence[str],
) -> BuildPlan:
    match strategy:
        case Kaniko():
            return kaniko.plan(strategy, cluster, registries, mirrors)
        case Dood():
            return dood.plan(strategy, cluster, registries, mirrors)
        case Dind():
            return dind.plan(strategy, cluster, registries, mirrors)
        case Buildkit():
            return buildkit.plan(strategy, cluster, registries, mirrors)
        case BuildkitService():
            return buildkit_service.plan(strategy, cluster, registries, mirrors)
        case Buildx():
            return buildx.plan(strategy, cluster, registries, mirrors)
        case Buildah():
            return buildah.plan(strategy, cluster, registries, mirrors)
        case Deploy():
            return none.plan(strategy)
        case Auto():
            return _plan(choose(cluster), cluster, registries, mirrors)
        case _:
            assert_never(strategy)


def choose(cluster: Cluster) -> Kaniko | Dood:
    """Pick for ``strategy: auto``: DooD where all it needs is declared, Kaniko anywhere else."""
    nodes = cluster.nodes
    admitted = cluster.platform == "other" and cluster.pod_security_limit == "privileged"
    own = cluster.kind == "onPrem" and nodes.os == "ubuntu"
    if admitted and own and nodes.docker_socket and nodes.trusted:
        return Dood(accept_node_root=True)
    return Kaniko()
