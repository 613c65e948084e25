"""Where job pods run, how they resolve names and how they are marked, as keys of config.toml."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.plan import BuildPlan
from components.settings.runners.identity import CloudIdentity
from components.settings.runners.nodes import NodeAffinity, Requirement, Spread, Toleration
from components.settings.runners.pods import Dns
from components.settings.runners.runner import RunnerSettings

TOPOLOGY: Mapping[Spread, str] = {
    "node": "kubernetes.io/hostname",
    "zone": "topology.kubernetes.io/zone",
}
"""The label of nodes by which pods are spread."""

_OF_JOBS = "job.runner.gitlab.com/pod"
"""The label of every job pod (gitlab-runner:executors/kubernetes/kubernetes.go, buildLabels)."""


def pod_keys(
    plan: BuildPlan, runner: RunnerSettings, aliases: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return the keys below ``runners.kubernetes``, some of them empty."""
    return {
        "node_selector": dict(sorted({**plan.node_selector, **runner.node_selector}.items())),
        "node_tolerations": {
            _taint(toleration): toleration.effect or ""
            for toleration in sorted(runner.tolerations, key=_taint)
        },
        "affinity": {
            "node_affinity": _node_affinity(runner.node_affinity),
            "pod_anti_affinity": _apart(runner.spread),
        },
        "runtime_class_name": runner.runtime_class_name,
        "priority_class_name": runner.priority_class_name,
        "poll_timeout": runner.pod_start_timeout,
        "pod_labels": dict(sorted({**runner.labels, **_marks(runner.identity.jobs)}.items())),
        "pod_annotations": dict(sorted(runner.annotations.items())),
        "host_aliases": host_aliases(aliases),
        **_dns(runner.dns),
    }


def host_aliases(aliases: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Write host aliases as Kubernetes and GitLab Runner do, who agree on the keys."""
    return [{"ip": address, "hostnames": list(names)} for address, names in aliases.items()]


def _marks(identity: CloudIdentity | None) -> Mapping[str, str]:
    return identity.labels if identity else {}


def _taint(toleration: Toleration) -> str:
    return toleration.key if toleration.value is None else f"{toleration.key}={toleration.value}"


def _node_affinity(affinity: NodeAffinity | None) -> dict[str, Any]:
    if affinity is None:
        return {}
    required = [_expression(item) for item in affinity.require]
    return {
        "required_during_scheduling_ignored_during_execution": {
            "node_selector_terms": [{"match_expressions": required}] if required else []
        },
        "preferred_during_scheduling_ignored_during_execution": [
            {"weight": item.weight, "preference": {"match_expressions": [_expression(item)]}}
            for item in affinity.prefer
        ],
    }


def _expression(requirement: Requirement) -> dict[str, Any]:
    return {
        "key": requirement.key,
        "operator": requirement.operator,
        "values": list(requirement.values),
    }


def _apart(spread: Spread | None) -> dict[str, Any]:
    """Keep the pods of the job namespace apart, as far as there is room."""
    if spread is None:
        return {}
    term = {
        "label_selector": {"match_expressions": [{"key": _OF_JOBS, "operator": "Exists"}]},
        "topology_key": TOPOLOGY[spread],
    }
    preferred = [{"weight": 100, "pod_affinity_term": term}]
    return {"preferred_during_scheduling_ignored_during_execution": preferred}


def _dns(dns: Dns | None) -> dict[str, Any]:
    """Servers replace those of the cluster, which Kubernetes would ask first otherwise."""
    if dns is None:
        return {}
    return {
        "dns_policy": "none" if dns.servers else "",
        "dns_config": {
            "nameservers": dns.servers,
            "searches": dns.searches,
            "options": [
                {"name": name, "value": None if value is None else str(value)}
                for name, value in sorted(dns.options.items())
            ],
        },
    }
