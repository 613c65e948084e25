"""Whether the nodes that a runner's jobs select take them, and have room."""

from collections.abc import Iterator, Mapping
from typing import Any

from doctor.checks.deployed import has_manager
from doctor.checks.placement import (
    admitting,
    has_condition,
    info,
    is_ready,
    name_of,
    repelling,
    selected,
)
from doctor.checks.room import compare, for_today, grows, see_that_nodes_stay
from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, not_run, of_runner
from doctor.job_pod import helper_image, job_pod
from doctor.other_pods import manager_pod
from doctor.wanted import Manifest, entries

ARCHITECTURES = {"amd64", "arm64"}
"""Those for which every default image exists."""
_PRESSURES = ("DiskPressure", "MemoryPressure", "PIDPressure")
# What node-problem-detector and the agents of clouds set (kubernetes/node-problem-detector).
_PROBLEMS = (
    "KernelDeadlock",
    "ReadonlyFilesystem",
    "FilesystemCorruptionProblem",
    "XfsShutdown",
    "CorruptDockerOverlay2",
    "CorruptDockerImage",
    "ContainerRuntimeUnhealthy",
    "ContainerRuntimeProblem",
    "FrequentContainerdRestart",
    "FrequentDockerRestart",
    "FrequentKubeletRestart",
    "FrequentUnregisterNetDevice",
    "KubeletUnhealthy",
    "KubeletProblem",
)
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
_OF_TODAY = {"node-selector", "node-taint", "node-room", "node-room-for-all"}
"""The checks of nodes that an autoscaler may still make."""


@of_runner(
    "node-selector",
    "node-taint",
    "node-not-ready",
    "node-pressure",
    "node-problem",
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
    see_that_nodes_stay(visit)
    for found in _faults(visit):
        if found.check.name in _OF_TODAY and grows(visit):
            yield not_run(found.check.name, visit.of.name, for_today(found.message))
        else:
            yield found


def _faults(visit: Visit) -> Iterator[Fault]:
    runner, pod = visit.of.name, job_pod(visit.of)
    left = selected(pod, visit.seen.list("v1", "Node"))
    if not left:
        wanted = ", ".join(f"{key}={value}" for key, value in pod["spec"]["nodeSelector"].items())
        yield fault("node-selector", runner, selector=wanted or "that nodeAffinity requires")
        return
    free = admitting(pod, left)
    if not free:
        yield fault("node-taint", runner, taints=_taints(left, pod))
        return
    ready = [node for node in free if is_ready(node)]
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
    yield from compare(visit, pod, ready)


def _taints(nodes: list[Manifest], pod: Mapping[str, Any]) -> str:
    return ", ".join(sorted({taint for node in nodes for taint in repelling(node, pod)}))


def _of_each(visit: Visit, ready: list[Manifest]) -> Iterator[Fault]:
    runner, plan = visit.of.name, visit.of.plan
    chosen = "image" in visit.of.settings.strategy.model_fields_set
    for node in ready:
        said, name = info(node), name_of(node)
        image = said.get("osImage", "")
        for pressure in _PRESSURES:
            if has_condition(node, pressure):
                yield fault("node-pressure", runner, node=name, pressure=pressure)
        for problem in _PROBLEMS:
            if has_condition(node, problem):
                yield fault("node-problem", runner, node=name, problem=problem)
        system, architecture = said.get("operatingSystem", ""), said.get("architecture", "")
        if system not in {"", "linux"}:
            yield fault("node-os", runner, node=name, os=system)
        elif architecture and architecture not in ARCHITECTURES and not chosen:
            yield fault("node-architecture", runner, node=name, architecture=architecture)
        if plan.strategy == "buildah" and f"{image}\0".startswith(_CGROUP_V1):
            yield fault("node-cgroup", runner, node=name, os=image)
        if plan.build.app_armor.get("type") == "Localhost" and image.startswith(_WITHOUT_APP_ARMOR):
            yield fault("app-armor", runner, node=name, os=image)


@of_runner("manager-node")
def managers(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look for a node that takes the manager, unless it runs."""
    see_that_nodes_stay(visit)
    every = visit.seen.list("v1", "Node")
    pod = manager_pod(visit.of, visit.stack.settings.namespace)
    # Where the nodes take no job either, the checks of these say so.
    if has_manager(visit) or admitting(pod, every) or not admitting(job_pod(visit.of), every):
        return
    left = selected(pod, every)
    reason = f"their taints keep it away: {_taints(left, pod)}" if left else "none has its labels"
    if grows(visit):
        raise UnseenError(for_today(reason))
    yield fault("manager-node", visit.of.name, reason=reason)


@of_runner("node-runtime")
def runtimes(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look for the runtime of a RuntimeClass on the nodes, whose kubelets list those they have."""
    pod = job_pod(visit.of)
    name = pod["spec"].get("runtimeClassName")
    known = visit.seen.get("node.k8s.io/v1", "RuntimeClass", name) if name else None
    if known is None:
        return
    every = [node for node in admitting(pod, visit.seen.list("v1", "Node")) if is_ready(node)]
    offered = [
        {item["name"] for item in entries(node, "status", "runtimeHandlers")} for node in every
    ]
    if offered and all(offered) and not any(known["handler"] in names for names in offered):
        yield fault("node-runtime", visit.of.name, handler=known["handler"], name=name)
