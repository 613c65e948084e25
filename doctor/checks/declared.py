"""What the stack file declares of the cluster, and is not so.

Nobody can see whether the nodes are ``trusted``.
"""

import re
from collections.abc import Iterator

from doctor.checks.cluster import minor, nodes_of_jobs, server_version
from doctor.checks.placement import info, labels_of, name_of
from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, of_stack
from doctor.wanted import Manifest, entries, inside

_RUNTIMES = {"containerd": "containerd", "cri-o": "crio", "docker": "docker"}
# What vendors add to the version of a kubelet, or to the labels of a node.
_PLATFORMS = (
    ("rke2", r"\+rke2"),
    ("k3s", r"\+k3s"),
    ("eks", r"-eks-"),
    ("gke", r"-gke\."),
    ("aks", r"kubernetes\.azure\.com/cluster"),
    ("openShift", r"node\.openshift\.io/os_id|OpenShift|Red Hat Enterprise Linux CoreOS"),
)
_MANAGED = {"eks", "gke", "aks"}
_WITHOUT_ENGINE = {"rke2", "k3s", "eks", "gke", "aks", "openShift"}
_CHECKED = {"rke2", "openShift"}
"""The platforms of ``cluster.platform`` that a node gives away."""
_USER_NAMESPACES = (1, 33)
_KERNEL = (6, 3)
_BACKPORTED = ".el9"
"""Kernels of Red Hat, which have it in 5.14; their runtimes say whether it is there."""
_NEEDED = {"containerd": (2, 0), "cri-o": (1, 25)}


def _nodes(visit: Visit) -> list[Manifest]:
    """Return the nodes that take jobs of any runner, and say what they run."""
    known = [node for node in nodes_of_jobs(visit) if info(node).get("kernelVersion")]
    if not known:
        message = "no node that takes jobs says what it runs"
        raise UnseenError(message)
    return known


def _platform(node: Manifest) -> str:
    said = (info(node).get("kubeletVersion", ""), info(node).get("osImage", ""))
    text = " ".join((*said, *labels_of(node)))
    return next((name for name, found in _PLATFORMS if re.search(found, text)), "")


def numbers(text: str) -> tuple[int, ...]:
    """Return the first two numbers of a version."""
    return tuple(map(int, re.findall(r"\d+", text)[:2]))


@of_stack(
    "declared-os", "declared-runtime", "declared-socket", "declared-platform", "declared-kind"
)
def declarations(visit: Visit) -> Iterator[Fault | NotRun]:
    """Compare what nodes say of themselves with what the stack file says."""
    cluster = visit.stack.settings.cluster
    for node in _nodes(visit):
        name, image, platform = name_of(node), info(node).get("osImage", ""), _platform(node)
        if cluster.nodes.os == "ubuntu" and image and not image.startswith("Ubuntu"):
            yield fault("declared-os", node=name, os=image)
        runtime, _, _ = info(node).get("containerRuntimeVersion", "").partition("://")
        declared = "crio" if cluster.crio else cluster.nodes.runtime
        if _RUNTIMES.get(runtime, declared) != declared:
            yield fault("declared-runtime", node=name, declared=declared, runtime=runtime)
        if cluster.nodes.docker_socket and platform in _WITHOUT_ENGINE and runtime != "docker":
            yield fault("declared-socket", node=name, platform=platform)
        elif platform in _CHECKED and cluster.platform != platform:
            yield fault(
                "declared-platform", node=name, platform=platform, declared=cluster.platform
            )
        elif platform in _MANAGED and cluster.kind == "onPrem":
            yield fault("declared-kind", node=name, platform=platform)


@of_stack("declared-user-namespaces")
def user_namespaces(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look for what pods with user namespaces need, where they are declared or used."""
    stack = visit.stack
    used = any(not runner.plan.host_users for runner in stack.runners.values())
    if not (used or stack.settings.cluster.nodes.user_namespaces):
        return
    server = server_version(visit)
    for node in _nodes(visit):
        if reason := next(_lacks(node, server), ""):
            yield fault("declared-user-namespaces", node=name_of(node), reason=reason)


def _lacks(node: Manifest, server: str) -> Iterator[str]:
    said = info(node)
    if (1, minor(server) or 0) < _USER_NAMESPACES:
        yield f"Kubernetes {server} has them off by default before 1.33"
    kernel = said["kernelVersion"]
    if numbers(kernel) < _KERNEL and _BACKPORTED not in kernel:
        yield f"they need Linux 6.3, and the node has {kernel}"
    runtime, _, version = said.get("containerRuntimeVersion", "").partition("://")
    if runtime in _NEEDED and numbers(version) < _NEEDED[runtime]:
        least = ".".join(map(str, _NEEDED[runtime]))
        yield f"they need {runtime} {least}, and the node has {version}"
    handlers = entries(node, "status", "runtimeHandlers")
    if handlers and not any(inside(item, "features").get("userNamespaces") for item in handlers):
        yield "its container runtime does not offer them"
    if runtime == "docker":
        yield "the Docker engine as the container runtime ignores them"
