"""What the pods of a stack wait for, or ended by."""

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any

from doctor.checks.room import grows
from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, of_stack
from doctor.wanted import Manifest, WantedStack, entries, inside

IMAGES = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
}
"""Why a container waits for its image (kubernetes: pkg/kubelet/images/types.go)."""
CONTAINERS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
"""Why a container cannot be made (kubernetes: pkg/kubelet/kuberuntime)."""
STARTS = {"StartError", "ContainerCannotRun"}
"""How a container ended that its runtime could not start, such as one for another processor."""
_WAITING = {
    **dict.fromkeys(IMAGES, "image-pull"),
    **dict.fromkeys(CONTAINERS, "container-config"),
    "CrashLoopBackOff": "container-crash",
}
# Of a pod that its node does not take, though the scheduler chose it; other reasons are of pods
# that ran, such as the end of their time (kubernetes: pkg/kubelet/lifecycle/predicate.go).
_REFUSED = re.compile(
    r"OutOf\w+|UnexpectedAdmissionError|AppArmor|NodeAffinity|TopologyAffinity\w*|SysctlForbidden"
    r"|PodOS\w+|PodFeatureUnsupported|Preempting|NodePorts"
)
_PATIENCE = dt.timedelta(minutes=10)
"""How long an autoscaler may take for a node."""
_EVENTS = {
    "FailedMount": "mount",
    "FailedAttachVolume": "mount",
    "FailedCreatePodSandBox": "sandbox",
}


def _namespaces(stack: WantedStack) -> list[str]:
    """Return the namespaces of managers, jobs and daemons: others run what others deploy."""
    return [name for name in stack.namespaces if name not in stack.settings.target_namespaces]


@of_stack(
    "image-pull",
    "container-config",
    "container-crash",
    "out-of-memory",
    "evicted",
    "pod-refused",
    "unschedulable",
    "mount",
    "sandbox",
)
def pods(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look at each pod of the stack's namespaces, and at the events of those that wait."""
    missing: list[str] = []
    for namespace in _namespaces(visit.stack):
        if visit.seen.namespace(namespace) is None:
            missing.append(namespace)
            continue
        waiting: list[str] = []
        for pod in visit.seen.list("v1", "Pod", namespace):
            known = [*_of_pod(pod, namespace)]
            yield from (item for item in known if not _may_wait(visit, item, pod))
            if not known and pod["status"].get("phase") == "Pending":
                waiting.append(pod["metadata"]["name"])
        if waiting:
            yield from _of_events(visit.seen.list("v1", "Event", namespace), waiting, namespace)
    if missing:
        message = f"before pulumi up these namespaces do not exist: {', '.join(missing)}"
        raise UnseenError(message)


def _may_wait(visit: Visit, found: Fault, pod: Manifest) -> bool:
    """Whether a pod without a node may get one that an autoscaler makes."""
    created = pod["metadata"].get("creationTimestamp")
    if found.check.name != "unschedulable" or not created:
        return False
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(created)
    return age < _PATIENCE and grows(visit)


def _of_pod(pod: Manifest, namespace: str) -> Iterator[Fault]:
    status, name = pod["status"], pod["metadata"]["name"]
    if status.get("reason") == "Evicted":
        yield _fault("evicted", name, namespace, status.get("message"))
    if _REFUSED.fullmatch(status.get("reason", "")):
        yield _fault("pod-refused", name, namespace, status.get("message"))
    for condition in entries(status, "conditions"):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            yield _fault("unschedulable", name, namespace, condition.get("message"))
    statuses = [*entries(status, "initContainerStatuses"), *entries(status, "containerStatuses")]
    found = {found.check.name: found for one in statuses for found in _of_container(one, pod)}
    yield from found.values()


def _of_container(status: Mapping[str, Any], pod: Manifest) -> Iterator[Fault]:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    ended = [inside(status, key, "terminated") for key in ("state", "lastState")]
    if any(item.get("reason") == "OOMKilled" for item in ended):
        yield _fault("out-of-memory", name, namespace, "")
        return
    for item in ended:
        if item.get("reason") in STARTS:
            yield _fault("container-config", name, namespace, item.get("message"))
            return
    waiting = inside(status, "state", "waiting")
    if check := _WAITING.get(waiting.get("reason", "")):
        yield _fault(check, name, namespace, waiting.get("message") or waiting["reason"])


def _of_events(events: list[Manifest], waiting: list[str], namespace: str) -> Iterator[Fault]:
    found: dict[tuple[str, str], Fault] = {}
    for event in events:
        name = event["involvedObject"].get("name", "")
        check = _EVENTS.get(event.get("reason", ""))
        if check and name in waiting:
            found[check, name] = _fault(check, name, namespace, event.get("message"))
    yield from found.values()


def _fault(check: str, pod: str, namespace: str, reason: str | None) -> Fault:
    return fault(check, pod=pod, namespace=namespace, reason=reason or "no reason is given")
