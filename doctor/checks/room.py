"""Whether nodes have room for jobs."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from components.quantity import amount
from doctor.amounts import requests_of
from doctor.checks.placement import admitting, is_ready, name_of
from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, of_runner
from doctor.job_pod import job_pod
from doctor.kubernetes_api import query
from doctor.observed import folder
from doctor.wanted import Manifest, entries, inside

_ON_DEMAND = {"eksAuto", "eksFargate", "gkeAutopilot"}
"""The platforms that make nodes for the pods that ask for them, so what is there says little."""
_PODS = 500
"""How many pods of a cluster are asked for: more take longer than doctor may."""


def see_that_nodes_stay(visit: Visit) -> None:
    """See that the nodes of today are those of tomorrow.

    Raises:
        UnseenError: the platform makes them for pods.
    """
    platform = visit.stack.settings.cluster.platform
    if platform in _ON_DEMAND:
        message = f"{platform} makes nodes for the pods that ask for them"
        raise UnseenError(message)


def grows(visit: Visit) -> bool:
    """Whether the cluster has an autoscaler: Cluster Autoscaler, or Karpenter with a pool."""
    status = ("v1", "ConfigMap", "cluster-autoscaler-status", "kube-system")
    with contextlib.suppress(UnseenError):
        if visit.seen.get(*status):
            return True
    with contextlib.suppress(UnseenError):
        return bool(visit.seen.list("karpenter.sh/v1", "NodePool"))
    return False


def for_today(reason: str) -> str:
    """Say what is so with the nodes that a cluster with an autoscaler has now."""
    return f"an autoscaler may make other nodes; today: {reason}"


def compare(visit: Visit, pod: Manifest, ready: list[Manifest]) -> Iterator[Fault]:
    """Compare what jobs request with what nodes offer when they are empty."""
    runner, wanted = visit.of, _wanted(pod)
    fits = [_fits(_offered(node, wanted), wanted) for node in ready]
    if not any(min(room.values()) for room in fits):
        resource = min(wanted, key=lambda name: max(room[name] for room in fits))
        yield fault(
            "node-room",
            runner.name,
            wanted=_written(wanted[resource]),
            resource=resource,
            most=max(
                (str(node["status"]["allocatable"].get(resource, "0")) for node in ready),
                key=amount,
            ),
        )
        return
    sums = {name: sum(room[name] for room in fits) for name in wanted}
    short = {name: most for name, most in sums.items() if most < runner.settings.concurrent}
    if short:
        resource = min(short, key=lambda name: short[name])
        yield fault(
            "node-room-for-all",
            runner.name,
            fits=short[resource],
            resource=resource,
            concurrent=runner.settings.concurrent,
        )


@of_runner("node-full")
def full(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look for room for a job beside the pods of others, which stay where they are."""
    see_that_nodes_stay(visit)
    pod = job_pod(visit.of)
    nodes = [node for node in admitting(pod, visit.seen.list("v1", "Node")) if is_ready(node)]
    wanted = _wanted(pod)
    empty = [_fits(_offered(node, wanted), wanted) for node in nodes]
    if not any(min(room.values()) for room in empty):
        # Other checks say so.
        return
    taken = _taken(visit)
    left: list[dict[str, int]] = []
    for node in nodes:
        used, offered = taken.get(name_of(node), {}), _offered(node, wanted)
        left.append(
            _fits({name: most - used.get(name, 0) for name, most in offered.items()}, wanted)
        )
    if not any(min(room.values()) > 0 for room in left):
        if grows(visit):
            raise UnseenError(for_today("the pods of others fill all"))
        resource = min(wanted, key=lambda name: max(room[name] for room in left))
        yield fault("node-full", visit.of.name, resource=resource)


def _taken(visit: Visit) -> Mapping[str, Mapping[str, Decimal]]:
    """Return what the pods on each node request, but for those of jobs, which end."""
    path = f"{folder('v1', 'Pod', None)}{query(limit=str(_PODS))}"
    answer = visit.seen.ask("GET", path)
    if "items" not in answer.body or inside(answer.body, "metadata").get("continue"):
        message = f"the account of the kubeconfig may not list all pods, or there are over {_PODS}"
        raise UnseenError(message)
    jobs = {runner.names["job_namespace"] for runner in visit.stack.runners.values()}
    taken: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for pod in entries(answer.body, "items"):
        ended = inside(pod, "status").get("phase") in {"Succeeded", "Failed"}
        node = inside(pod, "spec").get("nodeName")
        if node and not ended and pod["metadata"]["namespace"] not in jobs:
            for name, quantity in _wanted(pod).items():
                taken[node][name] = taken[node].get(name, Decimal(0)) + quantity
    return taken


def _wanted(pod: Manifest) -> dict[str, Decimal]:
    """Return what a pod requests, which is one of the pods of its node too."""
    requests = {
        key.partition(".")[2]: quantity
        for key, quantity in requests_of(pod).items()
        if key.startswith("requests.") and quantity
    }
    return {**requests, "pods": Decimal(1)}


def _offered(node: Manifest, wanted: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return what a node has, of what is wanted."""
    offered: Mapping[str, Any] = inside(node, "status", "allocatable")
    return {name: amount(str(offered.get(name, "0"))) for name in wanted}


def _fits(offered: Mapping[str, Decimal], wanted: Mapping[str, Decimal]) -> dict[str, int]:
    """Return how many such pods a node has room for, by resource."""
    return {name: int(offered[name] / quantity) for name, quantity in wanted.items()}


def _written(quantity: Decimal) -> str:
    """Write an amount in the unit that people use for it."""
    for suffix, size in (("Gi", 2**30), ("Mi", 2**20)):
        if quantity >= size:
            return f"{quantity / size:.4g}{suffix}"
    return f"{float(quantity):g}"
