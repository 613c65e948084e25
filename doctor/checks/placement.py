"""Which nodes a pod can run on, as the scheduler decides it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from doctor.wanted import Manifest, entries, inside

# The controllers set these with a condition of the node, or with its field.
_OF_CONDITIONS = {
    f"node.kubernetes.io/{name}"
    for name in (
        *("not-ready", "unreachable", "unschedulable", "network-unavailable"),
        *("disk-pressure", "memory-pressure", "pid-pressure"),
    )
}


def info(node: Manifest) -> Mapping[str, str]:
    """Return what a kubelet says of its node."""
    return inside(node, "status", "nodeInfo")


def name_of(node: Manifest) -> str:
    """Return a node's name."""
    return node["metadata"]["name"]


def labels_of(node: Manifest) -> Mapping[str, str]:
    """Return a node's labels."""
    return inside(node, "metadata", "labels")


def selected(pod: Mapping[str, Any], nodes: Iterable[Manifest]) -> list[Manifest]:
    """Return the nodes that a pod's selector and required affinity leave."""
    spec = pod["spec"]
    affinity = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    required = entries(spec, *affinity, "nodeSelectorTerms")
    return [
        node
        for node in nodes
        if _has(labels_of(node), inside(spec, "nodeSelector"))
        and (not required or any(_matches(labels_of(node), term) for term in required))
    ]


def admitting(pod: Mapping[str, Any], nodes: Iterable[Manifest]) -> list[Manifest]:
    """Return those of the nodes that are left whose taints do not keep a pod away."""
    return [node for node in selected(pod, nodes) if not repelling(node, pod)]


def repelling(node: Manifest, pod: Mapping[str, Any]) -> list[str]:
    """Return the taints of a node that keep a pod away, but for those of its conditions."""
    return [
        f"{taint['key']}={taint.get('value', '')}:{taint['effect']}"
        for taint in entries(node, "spec", "taints")
        if taint["effect"] != "PreferNoSchedule"
        and taint["key"] not in _OF_CONDITIONS
        and not any(_tolerates(item, taint) for item in entries(pod, "spec", "tolerations"))
    ]


def is_ready(node: Manifest) -> bool:
    """Whether a node takes pods at all."""
    return (
        not inside(node, "spec").get("unschedulable")
        and has_condition(node, "Ready")
        and not has_condition(node, "NetworkUnavailable")
    )


def has_condition(node: Manifest, kind: str) -> bool:
    """Whether a node has a condition."""
    return any(
        item["type"] == kind and item["status"] == "True"
        for item in entries(node, "status", "conditions")
    )


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


def _tolerates(toleration: Mapping[str, str], taint: Mapping[str, str]) -> bool:
    return (
        toleration.get("key", "") in {"", taint["key"]}
        and toleration.get("effect", "") in {"", taint["effect"]}
        and (
            toleration.get("operator") == "Exists"
            or toleration.get("value", "") == taint.get("value", "")
        )
    )
