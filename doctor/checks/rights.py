"""What accounts may do: the deployer's, the managers' and the jobs', and what they must not."""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from doctor.at_once import at_once
from doctor.checks.cluster import MONITORS
from doctor.diagnosis import Fault, fault
from doctor.examine import NotRun, Visit, of_runner, of_stack
from doctor.observed import group, plural
from doctor.wanted import Manifest, WantedStack

Right = tuple[str, str, str, str]
"""A verb, an API group, a resource, and a namespace, empty for all."""

_VERBS = ("create", "get", "patch", "delete")
# Helm keeps a Secret for each revision, and makes the manager's Deployment and ConfigMap.
_RELEASE = (
    ("v1", "Secret", (*_VERBS, "list", "update")),
    ("v1", "ConfigMap", _VERBS),
    ("apps/v1", "Deployment", _VERBS),
)
_RBAC = "rbac.authorization.k8s.io"
_EVERYWHERE: tuple[Right, ...] = (
    ("*", "*", "*", ""),
    ("list", "", "secrets", ""),
    ("create", "", "pods", ""),
    ("create", "", "pods/exec", ""),
    ("get", "", "nodes/proxy", ""),
    ("impersonate", "", "users", ""),
    ("create", _RBAC, "clusterrolebindings", ""),
    ("get", "", "secrets", "kube-system"),
    ("create", "", "pods/exec", "kube-system"),
)
_AT_ONCE = 8
_AT_MOST = 6
"""How many rights a message lists."""


@of_stack("deployer-rights", "deployer-grants")
def deployer(visit: Visit) -> Iterator[Fault | NotRun]:
    """Ask what ``pulumi up`` does, with the account of the kubeconfig."""
    if visit.seen.may("*", "*", "*"):
        return
    wanted = _of_update(visit)
    missing = [right for right, may in _asked(visit, wanted) if not may]
    if missing:
        yield fault("deployer-rights", missing=listed(missing))
    granted = [right for role in visit.stack.of_kind("Role") for right in _granted(role)]
    grants = [
        right
        for right, may in _asked(visit, granted)
        if not may
        # One verb is for the Role, and the other one for its RoleBinding.
        and not all(visit.seen.may(verb, _RBAC, "roles", right[3]) for verb in ("escalate", "bind"))
    ]
    if grants:
        yield fault("deployer-grants", missing=listed(grants))


def _asked(
    visit: Visit, rights: Sequence[Right], account: tuple[str, str] | None = None
) -> Iterator[tuple[Right, bool | None]]:
    """Yield each right with whether an account has it, by default one's own; all asked at once."""
    todo = [functools.partial(visit.seen.may, *right, account=account) for right in rights]
    yield from zip(rights, at_once(todo, threads=_AT_ONCE, seconds=None), strict=True)


def _of_update(visit: Visit) -> list[Right]:
    stack, home = visit.stack, visit.stack.settings.namespace
    wanted: dict[Right, None] = {}
    for item in stack.manifests:
        place = item["metadata"].get("namespace", "")
        for verb in _VERBS:
            wanted[(verb, group(item["apiVersion"]), plural(item["kind"]), place)] = None
    monitors = (*MONITORS, _VERBS)
    there = visit.seen.ask("GET", f"/apis/{MONITORS[0]}").status == HTTPStatus.OK
    of_release = (*_RELEASE, monitors) if stack.has_monitors and there else _RELEASE
    for api_version, kind, verbs in of_release:
        for verb in verbs:
            wanted[(verb, group(api_version), plural(kind), home)] = None
    return [*wanted]


def _granted(role: Manifest) -> Iterator[Right]:
    for rule in role["rules"]:
        for verb in rule["verbs"]:
            for api in rule["apiGroups"]:
                for resource in rule["resources"]:
                    yield (verb, api, resource, role["metadata"]["namespace"])


@of_runner("manager-rights", "manager-rights-beyond")
def managers(visit: Visit) -> Iterator[Fault | NotRun]:
    """Ask what a runner's manager may do."""
    home = visit.stack.settings.namespace
    account = (home, visit.of.names["manager_account"])
    further = [
        ("get", "", "secrets", home),
        ("list", "", "secrets", visit.of.names["job_namespace"]),
    ]
    yield from _account(visit, account, "manager-rights", further)


@of_runner("job-rights", "job-rights-beyond")
def jobs(visit: Visit) -> Iterator[Fault | NotRun]:
    """Ask what the account of a runner's jobs may do."""
    home = visit.of.names["job_namespace"]
    account = (home, visit.of.names["job_account"])
    managers = visit.stack.settings.namespace
    further = [
        ("get", "", "secrets", home),
        ("create", "", "pods", home),
        ("get", "", "secrets", managers),
        ("create", "", "pods/exec", managers),
    ]
    yield from _account(visit, account, "job-rights", further)


def _account(
    visit: Visit, account: tuple[str, str], name: str, further: Iterable[Right]
) -> Iterator[Fault]:
    wanted = [right for role in _roles_of(visit.stack, account) for right in _granted(role)]
    known = {*wanted}
    # What another strategy grants may be deployed.
    beyond = [*_EVERYWHERE, *(() if visit.stack.what_if else further)]
    asked = _asked(visit, [right for right in beyond if right not in known], account)
    more = [right for right, may in asked if may]
    shown = "/".join(account)
    if more:
        yield fault(f"{name}-beyond", visit.of.name, account=shown, more=listed(more))
    if visit.stack.what_if:
        return
    for namespace in sorted({right[3] for right in wanted}):
        visit.seen.existing(namespace)
    visit.seen.existing(account[0])
    missing = [right for right, may in _asked(visit, wanted, account) if not may]
    if missing:
        yield fault(name, visit.of.name, account=shown, missing=listed(missing))


def _roles_of(stack: WantedStack, account: tuple[str, str]) -> Iterator[Manifest]:
    """Yield the Roles that the stack binds to an account."""
    roles = {_place(role): role for role in stack.of_kind("Role")}
    for binding in stack.of_kind("RoleBinding"):
        subjects: list[Mapping[str, Any]] = binding["subjects"]
        if any((subject["namespace"], subject["name"]) == account for subject in subjects):
            yield roles[binding["metadata"]["namespace"], binding["roleRef"]["name"]]


def _place(item: Manifest) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def listed(rights: list[Right]) -> str:
    """Write rights as people say them, with their places."""
    words: dict[tuple[str, str], list[str]] = {}
    for verb, _, resource, namespace in rights:
        words.setdefault((resource, namespace), []).append(verb)
    texts = [
        f"{', '.join(verbs)} {'anything' if resource == '*' else resource} "
        f"{f'in {namespace}' if namespace else 'in the whole cluster'}"
        for (resource, namespace), verbs in words.items()
    ]
    rest = f" and {len(texts) - _AT_MOST} more" if len(texts) > _AT_MOST else ""
    return "; ".join(texts[:_AT_MOST]) + rest
