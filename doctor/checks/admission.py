"""What the API server would refuse of the stack's pods and objects, as namespaces are now."""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from components.quantity import amount
from doctor.amounts import requests_of
from doctor.at_once import at_once
from doctor.checks.cluster import minor
from doctor.checks.mutations import changes
from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, of_runner, of_stack
from doctor.job_pod import job_pod
from doctor.observed import LATE
from doctor.other_pods import daemon_pods, manager_pod
from doctor.wanted import Manifest, entries, inside

LEVEL = "pod-security.kubernetes.io/enforce"

# The last is of defaults that do not fit what a pod asks for.
_OF_LIMIT_RANGES = (
    r"(maximum|minimum) .* usage per|limit to request ratio|must be less than or equal to .* limit"
)
_REFUSALS = (
    ("pod-security", r"violates PodSecurity"),
    ("webhook-down", rf"failed calling webhook|{LATE.pattern}"),
    ("webhook-denies", r"admission webhook .* denied|ValidatingAdmissionPolicy"),
    ("security-context-constraint", r"security context constraint"),
    ("quota", r"exceeded quota|failed quota|insufficient quota"),
    ("limit-range", _OF_LIMIT_RANGES),
    ("priority-class", r"no PriorityClass"),
    ("runtime-class", r"RuntimeClass .* not found"),
    ("account-missing", r"serviceaccount .* not found|error looking up service account"),
)
_NAMES = tuple(name for name, _ in _REFUSALS)
# Other checks name these: of the account of the kubeconfig, and of the namespace.
_ELSEWHERE = re.compile(
    r"is forbidden: User |attempting to grant RBAC|being terminated|namespaces .* not found"
    r"|could not find the requested resource"
)
_AT_ONCE = 16
_AT_MOST = 4
"""How many changes a message lists."""
_SINCE = (("hostUsers", 33), ("appArmorProfile", 30))
"""Fields of pods with the first minor version of Kubernetes that keeps them."""


@of_runner(*_NAMES, "admission", "pod-mutated")
def pods_of_runner(visit: Visit) -> Iterator[Fault | NotRun]:
    """Try out the pods of a runner's manager and of its jobs."""
    runner, managers = visit.of, visit.stack.settings.namespace
    manager = (f"the pod of the manager of {runner.name}", manager_pod(runner, managers))
    job = (f"the pod of a job of {runner.name}", job_pod(runner))
    yield from _all_tried(visit, [manager, job], runner.name)


@of_stack(*_NAMES, "admission", "pod-mutated")
def objects(visit: Visit) -> Iterator[Fault | NotRun]:
    """Try out the pods of daemons, and all other objects."""
    daemons = daemon_pods(visit.stack.of_kind("Deployment"))
    items: list[tuple[str, Manifest]] = [
        (f"the daemon of {pod['metadata']['namespace']}", pod) for pod in daemons
    ]
    for item in visit.stack.manifests:
        metadata = item["metadata"]
        what = " ".join(filter(None, (item["kind"], metadata.get("namespace"), metadata["name"])))
        items.append((what, _without_secrets(item)))
    yield from _all_tried(visit, items, "")


def _all_tried(visit: Visit, items: Sequence[tuple[str, Manifest]], runner: str) -> Iterator[Fault]:
    """Try out many at once; one that cannot be tried out keeps no other one away.

    Raises:
        UnseenError: one cannot be tried out.
    """
    todo = [functools.partial(_try, visit, *item, runner) for item in items]
    errors: list[UnseenError] = []
    # In parts, so that what is found counts even where the rest takes too long.
    for start in range(0, len(todo), _AT_ONCE):
        ended = at_once(todo[start : start + _AT_ONCE], threads=_AT_ONCE, seconds=None)
        for found in ended:
            if isinstance(found, UnseenError):
                errors.append(found)
            else:
                yield from found or ()
    if errors:
        raise errors[0]


def _try(visit: Visit, what: str, item: Manifest, runner: str) -> list[Fault] | UnseenError:
    try:
        return [*_tried(visit, what, item, runner)]
    except UnseenError as error:
        return error


def _tried(visit: Visit, what: str, item: Manifest, runner: str) -> Iterator[Fault]:
    namespace = item["metadata"].get("namespace")
    if namespace:
        visit.seen.existing(namespace)
    answer, made = visit.seen.try_out(item)
    if not answer:
        if item["kind"] == "Pod" and (changed := [*_changes(visit, item, made)]):
            shown = "; ".join(changed[:_AT_MOST])
            yield fault("pod-mutated", runner, what=what, changes=shown, namespace=namespace)
        return
    if _is_of_the_level(visit, namespace, answer):
        return
    if _ELSEWHERE.search(answer):
        if "is forbidden: User " in answer:
            message = f"the account of the kubeconfig may not try out {what}"
            raise UnseenError(message)
        return
    name = next((name for name, found in _REFUSALS if re.search(found, answer)), "admission")
    yield fault(name, runner, what=what, answer=answer)


def _changes(visit: Visit, item: Manifest, made: Manifest) -> Iterator[str]:
    """Yield what webhooks change, without the fields that an older API server does not know."""
    known = minor(str(visit.seen.ask("GET", "/version").body.get("gitVersion", "")))
    unknown = [name for name, since in _SINCE if known is not None and known < since]
    for change in changes(item, made):
        if not (change.endswith("becomes nothing") and any(name in change for name in unknown)):
            yield change


def _is_of_the_level(visit: Visit, namespace: str | None, answer: str) -> bool:
    """Whether the level of the namespace is not the stack's, which another check says."""
    wanted = visit.stack.namespaces.get(namespace or "")
    if wanted is None or "violates PodSecurity" not in answer:
        return False
    labels = inside(visit.seen.existing(str(namespace)), "metadata", "labels")
    return labels.get(LEVEL) != wanted["metadata"]["labels"][LEVEL]


def _without_secrets(item: Manifest) -> Manifest:
    """Return an object without the values of a Secret, which admission need not see."""
    if item["kind"] != "Secret":
        return item
    keys = {**item.get("data", {}), **item.get("stringData", {})}
    rest = {key: value for key, value in item.items() if key not in {"data", "stringData"}}
    return {**rest, "stringData": dict.fromkeys(keys, '{"auths": {}}')}


@of_runner("quota-for-all")
def quotas(visit: Visit) -> Iterator[Fault | NotRun]:
    """Count the jobs for which each quota of the job namespace has room."""
    runner = visit.of
    namespace = runner.names["job_namespace"]
    if visit.seen.namespace(namespace) is None:
        message = f"the namespace {namespace} does not exist before pulumi up"
        raise UnseenError(message)
    pod = job_pod(runner)
    wanted = requests_of(pod)
    made = len(visit.stack.of_kind("Secret", namespace))
    for quota in visit.seen.list("v1", "ResourceQuota", namespace):
        spec = inside(quota, "spec")
        if spec.get("scopes") or spec.get("scopeSelector"):
            # It is for some pods only, and a dry run says whether for those of jobs.
            continue
        hard = inside(quota, "spec", "hard")
        room = dict(_room(hard, wanted))
        fitting = {**room, **dict(_objects(hard, made, pod))}
        short = {name: fits for name, fits in fitting.items() if fits < runner.settings.concurrent}
        # Where not even one pod fits, a dry run says so.
        if short and min(room.values(), default=1) >= 1:
            resource = min(short, key=lambda name: short[name])
            yield fault(
                "quota-for-all",
                runner.name,
                quota=quota["metadata"]["name"],
                namespace=namespace,
                fits=short[resource],
                resource=resource,
                concurrent=runner.settings.concurrent,
            )


def _room(hard: Mapping[str, Any], wanted: Mapping[str, Decimal]) -> Iterator[tuple[str, int]]:
    for name, most in hard.items():
        if name in {"pods", "count/pods"}:
            yield name, int(amount(str(most)))
            continue
        bound, _, resource = name.rpartition(".")
        key = f"{bound or 'requests'}.{resource}"
        if wanted.get(key):
            yield name, int(amount(str(most)) / wanted[key])


def _objects(hard: Mapping[str, Any], made: int, pod: Manifest) -> Iterator[tuple[str, int]]:
    """Yield the jobs for which a quota leaves objects, which a dry run of a pod does not ask for.

    The runner makes a Secret for each job, beside those of the stack, and Kubernetes its claims.
    """
    sizes = [
        amount(str(inside(volume, *_CLAIM, "resources", "requests")["storage"]))
        for volume in entries(pod, "spec", "volumes")
        if "ephemeral" in volume
    ]
    wanted = {
        "secrets": (made, Decimal(1)),
        "persistentvolumeclaims": (0, Decimal(len(sizes))),
        "requests.storage": (0, sum(sizes, Decimal(0))),
    }
    for name, most in hard.items():
        before, each = wanted.get(name.removeprefix("count/"), (0, Decimal(0)))
        if each:
            yield name, max(0, int((amount(str(most)) - before) / each))


_CLAIM = ("ephemeral", "volumeClaimTemplate", "spec")
