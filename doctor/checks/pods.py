"""What the pods of a stack wait for, or ended by."""

from collections.abc import Iterator, Mapping
from typing import Any

from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, of_stack
from doctor.wanted import Manifest, WantedStack, entries, inside

_WAITING = {
    "ErrImagePull": "image-pull",
    "ImagePullBackOff": "image-pull",
    "ErrImageNeverPull": "image-pull",
    "InvalidImageName": "image-pull",
    "CreateContainerConfigError": "container-config",
    "CreateContainerError": "container-config",
    "RunContainerError": "container-config",
    "CrashLoopBackOff": "container-crash",
}
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
            yield from known
            if not known and pod["status"].get("phase") == "Pending":
                waiting.append(pod["metadata"]["name"])
        if waiting:
            yield from _of_events(visit.seen.list("v1", "Event", namespace), waiting, namespace)
    if missing:
        message = f"before pulumi up these namespaces do not exist: {', '.join(missing)}"
        raise UnseenError(message)


def _of_pod(pod: Manifest, namespace: str) -> Iterator[Fault]:
    status, name = pod["status"], pod["metadata"]["name"]
    if status.get("reason") == "Evicted":
        yield _fault("evicted", name, namespace, status.get("message"))
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
