"""Whether the nodes that a runner's jobs select take them, and have room."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from components.quantity import amount
from doctor.amounts import requests_of
from doctor.diagnosis import Fault, fault
from doctor.examine import NotRun, Visit, of_runner
from doctor.job_pod import helper_image, job_pod
from doctor.wanted import Manifest, entries, inside

ARCHITECTURES = {"amd64", "arm64"}
"""Those for which every default image exists."""
_PRESSURES = ("DiskPressure", "MemoryPressure", "PIDPressure")
# RHEL 8, Ubuntu 20.04 and their like boot with cgroup v1 unless somebody changes that.
_CGROUP_V1 = (
    "CentOS Linux 7",
    "CentOS Linux 8",
    "Red Hat Enterprise Linux 7",
    "Red Hat Enterprise Linux 8",
    "Red Hat Enterprise Linux Server 7",
    "Rocky Linux 8",
    "AlmaLinux 8",
    "Ubuntu 18",
    "Ubuntu 20",
    "Debian GNU/Linux 10",
    "Amazon Linux 2 ",
    "Amazon Linux 2\0",
)
_WITHOUT_APP_ARMOR = (
    "CentOS",
    "Red Hat",
    "Rocky",
    "AlmaLinux",
    "Fedora",
    "Amazon Linux",
    "Bottlerocket",
)


def info(node: Manifest) -> Mapping[str, str]:
    """Return what a kubelet says of its node."""
    return inside(node, "status", "nodeInfo")


def name_of(node: Manifest) -> str:
    """Return a node's name."""
    return node["metadata"]["name"]


def selected(pod: Mapping[str, Any], nodes: Iterable[Manifest]) -> list[Manifest]:
    """Return the nodes that a pod's selector and required affinity leave."""
    spec = pod["spec"]
    affinity = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    required = entries(spec, *affinity, "nodeSelectorTerms")
    return [
        node
        for node in nodes
        if _has(_labels(node), spec["nodeSelector"])
        and (not required or any(_matches(_labels(node), term) for term in required))
    ]


def _labels(node: Manifest) -> Mapping[str, str]:
    return inside(node, "metadata", "labels")


def _has(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in wanted.items())


_OPERATORS: Mapping[str, Callable[[str | None, list[str]], bool]] = {
    "In": lambda found, values: found in values,
    "NotIn": lambda found, values: found not in values,
    "Exists": lambda found, _: found is not None,
    "DoesNotExist": lambda found, _: found is None,
    "Gt": lambda found, values: found is not None and int(found) > int(values[0]),
    "Lt": lambda found, values: found is not None and int(found) < int(values[0]),
}


def _matches(labels: Mapping[str, str], term: Mapping[str, Any]) -> bool:
    return all(
        _OPERATORS[item["operator"]](labels.get(item["key"]), item.get("values", []))
        for item in term.get("matchExpressions", [])
    )


def _repelling(node: Manifest, pod: Mapping[str, Any]) -> list[str]:
    """Return the taints of a node that keep a pod away."""
    return [
        f"{taint['key']}={taint.get('value', '')}:{taint['effect']}"
        for taint in entries(node, "spec", "taints")
        if taint["effect"] != "PreferNoSchedule"
        # The controllers set these with the conditions that another check reads.
        and not taint["key"].startswith("node.kubernetes.io/")
        and not any(_tolerates(item, taint) for item in pod["spec"]["tolerations"])
    ]


def _tolerates(toleration: Mapping[str, str], taint: Mapping[str, str]) -> bool:
    return (
        toleration["key"] in {"", taint["key"]}
        and toleration["effect"] in {"", taint["effect"]}
        and (toleration["operator"] == "Exists" or toleration["value"] == taint.get("value", ""))
    )


def _is_ready(node: Manifest) -> bool:
    return not inside(node, "spec").get("unschedulable") and _condition(node, "Ready")


def _condition(node: Manifest, kind: str) -> bool:
    return any(
        item["type"] == kind and item["status"] == "True"
        for item in entries(node, "status", "conditions")
    )


@of_runner(
    "node-selector",
    "node-taint",
    "node-not-ready",
    "node-pressure",
    "node-os",
    "node-architecture",
    "node-architectures",
    "node-helper",
    "node-cgroup",
    "app-armor",
    "node-room",
    "node-room-for-all",
)
def nodes(visit: Visit) -> Iterator[Fault | NotRun]:
    """Take away nodes as the scheduler does, and look at those that are left."""
    runner, pod = visit.of.name, job_pod(visit.of)
    every = visit.seen.list("v1", "Node")
    left = selected(pod, every)
    if not left:
        wanted = ", ".join(f"{key}={value}" for key, value in pod["spec"]["nodeSelector"].items())
        yield fault("node-selector", runner, selector=wanted or "that nodeAffinity requires")
        return
    free = [node for node in left if not _repelling(node, pod)]
    if not free:
        taints = sorted({taint for node in left for taint in _repelling(node, pod)})
        yield fault("node-taint", runner, taints=", ".join(taints))
        return
    ready = [node for node in free if _is_ready(node)]
    if not ready:
        yield fault("node-not-ready", runner, nodes=", ".join(map(name_of, free)))
        return
    yield from _of_each(visit, ready)
    architectures = {info(node).get("architecture", "") for node in ready} & ARCHITECTURES
    if len(architectures) > 1 and visit.of.plan.builds:
        names = ", ".join(sorted(architectures))
        yield fault("node-architectures", runner, architectures=names)
    elif architectures == {"arm64"} and "x86_64" in helper_image(visit.of):
        yield fault("node-helper", runner, image=helper_image(visit.of))
    yield from _room(visit, pod, ready)


def _of_each(visit: Visit, ready: list[Manifest]) -> Iterator[Fault]:
    runner, plan = visit.of.name, visit.of.plan
    for node in ready:
        said, name = info(node), name_of(node)
        image = said.get("osImage", "")
        for pressure in _PRESSURES:
            if _condition(node, pressure):
                yield fault("node-pressure", runner, node=name, pressure=pressure)
        system, architecture = said.get("operatingSystem", ""), said.get("architecture", "")
        if system not in {"", "linux"}:
            yield fault("node-os", runner, node=name, os=system)
        elif architecture and architecture not in ARCHITECTURES:
            yield fault("node-architecture", runner, node=name, architecture=architecture)
        if plan.strategy == "buildah" and f"{image}\0".startswith(_CGROUP_V1):
            yield fault("node-cgroup", runner, node=name, os=image)
        if plan.build.app_armor.get("type") == "Localhost" and image.startswith(_WITHOUT_APP_ARMOR):
            yield fault("app-armor", runner, node=name, os=image)


def _room(visit: Visit, pod: Mapping[str, Any], ready: list[Manifest]) -> Iterator[Fault]:
    runner = visit.of
    wanted = {
        key.partition(".")[2]: quantity
        for key, quantity in requests_of(pod).items()
        if key.startswith("requests.")
    } | {"pods": Decimal(1)}
    fits = [_fits(node, wanted) for node in ready]
    if not any(min(room.values(), default=1) for room in fits):
        resource = min(wanted, key=lambda name: max(room[name] for room in fits))
        offered = [node["status"]["allocatable"].get(resource, "0") for node in ready]
        yield fault(
            "node-room",
            runner.name,
            wanted=_written(wanted[resource]),
            resource=resource,
            most=max(offered, key=lambda text: amount(str(text))),
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


def _fits(node: Manifest, wanted: Mapping[str, Decimal]) -> dict[str, int]:
    """Return how many such pods a node has room for, by resource."""
    offered = node["status"].get("allocatable", {})
    return {
        name: int(amount(str(offered.get(name, "0"))) / quantity)
        for name, quantity in wanted.items()
        if quantity
    }


def _written(quantity: Decimal) -> str:
    """Write an amount in the unit that people use for it."""
    for suffix, size in (("Gi", 2**30), ("Mi", 2**20)):
        if quantity >= size:
            return f"{quantity / size:.4g}{suffix}"
    return f"{float(quantity):g}"
