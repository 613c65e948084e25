"""From a strategy's options to its plan: the one place that tells strategies apart."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, assert_never

from pydantic import Field

from components.plan import BuildPlan
from components.site import Cluster, Registry
from components.strategies import (
    buildah,
    buildkit,
    buildkit_service,
    buildx,
    deploy,
    dind,
    dood,
    kaniko,
)
from components.strategies.auto import Auto, choose
from components.strategies.buildah import Buildah
from components.strategies.buildkit import Buildkit
from components.strategies.buildkit_service import BuildkitService
from components.strategies.buildx import Buildx
from components.strategies.deploy import Deploy
from components.strategies.dind import Dind
from components.strategies.dood import Dood
from components.strategies.kaniko import Kaniko

Strategy = Kaniko | Dood | Dind | Buildkit | BuildkitService | Buildx | Buildah | Deploy | Auto
AnyStrategy = Annotated[Strategy, Field(discriminator="kind")]


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
            return deploy.plan(strategy)
        case Auto():
            return _plan(choose(cluster), cluster, registries, mirrors)
        case _:
            assert_never(strategy)
