"""The risks of each object and of each runner's jobs, on one side of a change.

They are read from Kubernetes objects, those that a chart renders included, and from config.toml,
whatever the strategy.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from components.workloads import creates_pods
from report.analysis.kubernetes import namespace_of, object_risks, objects_of
from report.analysis.pods.job import job_risks
from report.analysis.pods.runner import registration_risks, runner_risks
from report.analysis.risk_kind import RiskName
from report.analysis.runner_config import parse, unreadable
from report.inputs.events import DAEMON, RELEASE, RUNNER, USER_RUNNER, Plan, Step
from report.tree import Objects, Pair, Tree, entries, identity, inside, texts

_READ = {"get", "list", "watch", "*"}
_HOST = re.compile(r"://([\w-]+\.[\w-]+)\.svc\b")
"""Service and namespace in the URL of a Service."""


class Subject(NamedTuple):
    """What has risks of one kind, and its namespace; none if it reaches beyond one."""

    kind: RiskName
    name: str
    namespace: str


class Origin(NamedTuple):
    """What a subject follows from: a key of the stack file, and the runner if it is of one."""

    key: tuple[str, ...]
    runner: str | None


class RiskFacts:
    """One side of a change: the risks of each subject, and the namespaces that the stack makes.

    ``filtered`` are the namespaces with a network policy.
    """

    def __init__(self) -> None:
        self.risks: dict[Subject, frozenset[str]] = {}
        self.origins: dict[Subject, Origin] = {}
        self.namespaces: set[str] = set()
        self.filtered: set[str] = set()

    def add(self, subject: Subject, risks: Iterable[str], origin: Origin) -> None:
        """Add risks of one subject."""
        self.risks[subject] = self.risks.get(subject, frozenset()) | frozenset(risks)
        self.origins[subject] = origin


_Placed = list[tuple[Tree, Origin]]
"""Kubernetes objects, each with what it follows from."""


def collect(plan: Plan, rendered: Mapping[str, Pair[Objects]]) -> Pair[RiskFacts]:
    """Collect the facts of both sides; ``rendered`` has the objects of releases by their URN."""
    old = [(step, step.old) for step in plan.steps if step.old is not None]
    new = [(step, step.new) for step in plan.steps if step.new is not None]
    return Pair(
        _collect(plan, old, {urn: pair.old for urn, pair in rendered.items()}),
        _collect(plan, new, {urn: pair.new for urn, pair in rendered.items()}),
    )


def _collect(
    plan: Plan, side: list[tuple[Step, Tree]], rendered: Mapping[str, Objects]
) -> RiskFacts:
    collected = RiskFacts()
    found: _Placed = []
    for step, inputs in side:
        found.append((inputs, origin_of(plan, step)))
        if step.type == RELEASE:
            chart = Origin(("chart", "version"), None)
            found += [(item, chart) for item in rendered.get(step.urn, {}).values()]
    objects = [(item, origin) for whole, origin in found for item in objects_of(whole)]
    for item, origin in objects:
        for (kind, name), risks in object_risks(item):
            collected.add(Subject(kind, name, namespace_of(item)), risks, origin)
        if item.get("kind") == "Namespace":
            collected.namespaces.add(str(inside(item, "metadata").get("name")))
        elif item.get("kind") == "NetworkPolicy":
            collected.filtered.add(namespace_of(item))
    _add_runners(collected, side)
    _add_shared_daemons(collected, plan, side)
    _add_readers(collected, objects)
    _add_holders(collected, objects)
    _add_pod_creators(collected, objects)
    return collected


def origin_of(plan: Plan, step: Step) -> Origin:
    """Return the key of the stack file that a resource follows from."""
    runner = plan.ancestor(step, RUNNER)
    if runner:
        return Origin(("runners", runner, "strategy"), runner)
    if owner := plan.ancestor(step, DAEMON):
        # What jobs are accepted to be, their daemon is not.
        return Origin(("runners", owner, "strategy"), None)
    target = re.fullmatch(r"target-(.+?)(-pull)?", step.name)
    return Origin(("targetNamespaces", target[1]) if target else ("namespace",), None)


def _add_readers(collected: RiskFacts, objects: _Placed) -> None:
    """Add the accounts that can read Secrets, by the roles and bindings of each namespace."""
    reading = {
        (item.get("kind"), namespace_of(item), _name(item))
        for item, _ in objects
        if any(map(_reads_secrets, entries(item, "rules")))
    }
    for item, origin in objects:
        if item.get("kind") not in {"RoleBinding", "ClusterRoleBinding"}:
            continue
        namespace = namespace_of(item)
        role = inside(item, "roleRef")
        where = namespace if role.get("kind") == "Role" else ""
        known = (role.get("kind"), where, role.get("name")) in reading
        # Default roles of every cluster that read Secrets
        # (kubernetes: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go).
        if known or role.get("name") in {"admin", "edit", "cluster-admin"}:
            name = f"namespace {namespace}" if namespace else "all namespaces"
            accounts = map(_account, entries(item, "subjects"))
            collected.add(Subject("secretReader", name, namespace), accounts, origin)


def _add_holders(collected: RiskFacts, objects: _Placed) -> None:
    """Add who has the permissions of each role, by the bindings.

    A role or an account that the stack does not make reaches beyond the binding's namespace.
    """
    made = {(item.get("kind"), namespace_of(item), _name(item)) for item, _ in objects}
    for item, origin in objects:
        if item.get("kind") not in {"RoleBinding", "ClusterRoleBinding"}:
            continue
        namespace, role = namespace_of(item), inside(item, "roleRef")
        kind, called = str(role.get("kind")), str(role.get("name"))
        own = kind == "Role"
        where = f"in namespace {namespace}" if namespace else "in all namespaces"
        name = f"Role {namespace}/{called}" if own else f"{kind} {called} {where}"
        known = (kind, namespace if own else "", called) in made
        for account in entries(item, "subjects"):
            home = str(account.get("namespace") or "")
            ours = known and (account.get("kind"), home, account.get("name")) in made
            subject = Subject("holder", name, namespace if ours else "")
            collected.add(subject, {_account(account)}, origin)


def _add_pod_creators(collected: RiskFacts, objects: _Placed) -> None:
    """Add who may create pods in namespaces of others, whose Pod Security level is not known."""
    for item, origin in objects:
        if item.get("kind") not in {"Role", "ClusterRole"}:
            continue
        namespace = namespace_of(item)
        creates = namespace not in collected.namespaces and any(
            creates_pods(verb, resource)
            for rule in entries(item, "rules")
            for resource in texts(rule, "resources")
            for verb in texts(rule, "verbs")
        )
        place = f"in namespace {namespace}" if namespace else "in all namespaces"
        risks = {f"{place}, whose Pod Security level is not known"} if creates else ()
        collected.add(Subject("podCreator", identity(item), namespace), risks, origin)


def _name(item: Tree) -> str:
    return str(inside(item, "metadata").get("name"))


def _account(account: Tree) -> str:
    namespace = account.get("namespace")
    return f"{account.get('kind')} {f'{namespace}/' if namespace else ''}{account.get('name')}"


def _reads_secrets(rule: Tree) -> bool:
    return bool(
        {"", "*"} & set(texts(rule, "apiGroups"))
        and {"secrets", "*"} & set(texts(rule, "resources"))
        and _READ & set(texts(rule, "verbs"))
    )


def _add_runners(collected: RiskFacts, side: list[tuple[Step, Tree]]) -> None:
    for step, inputs in side:
        if step.type == RELEASE:
            _add_jobs(collected, step.name, inside(inputs, "values"))
        elif step.type == USER_RUNNER:
            origin = Origin(("runners", step.name, "registration"), step.name)
            for (kind, name), risks in registration_risks(step.name, inputs):
                collected.add(Subject(kind, name, ""), risks, origin)


def _add_shared_daemons(collected: RiskFacts, plan: Plan, side: list[tuple[Step, Tree]]) -> None:
    """Add each runner whose jobs build in the daemon of another one.

    Jobs have the address of a daemon's Service, and its component has the name of its runner.
    """
    owners = {
        f"{_name(inputs)}.{namespace_of(inputs)}": plan.ancestor(step, DAEMON)
        for step, inputs in side
        if inputs.get("kind") == "Service"
    }
    releases = {
        step.name: parse(inside(inputs, "values")) for step, inputs in side if step.type == RELEASE
    }
    for runner, entry in releases.items():
        used = {owners.get(host) for host in _HOST.findall("\n".join(texts(entry, "environment")))}
        others = sorted(f"runner {owner}" for owner in used & releases.keys() if owner != runner)
        namespace = str(inside(entry, "kubernetes").get("namespace"))
        origin = Origin(("runners", runner, "strategy"), runner)
        collected.add(Subject("sharedDaemon", f"runner {runner}", namespace), others, origin)


def _add_jobs(collected: RiskFacts, runner: str, values: Tree) -> None:
    """Add the risks of a runner's jobs, which config.toml describes."""
    entry = parse(values)
    jobs = inside(entry, "kubernetes")
    strategy = ("runners", runner, "strategy")
    namespace = str(jobs.get("namespace"))
    found = (*job_risks(runner, entry), *runner_risks(runner, entry)) if jobs else ()
    for (kind, name), risks in found:
        key = (*strategy, "image") if kind in {"imageSource", "unpinned"} else strategy
        collected.add(Subject(kind, name, namespace), risks, Origin(key, runner))
    origin = Origin(strategy, runner)
    pod = Subject("placement", f"the job pod of runner {runner}", namespace)
    foreign = bool(jobs) and namespace not in collected.namespaces
    collected.add(pod, {f"in the namespace {namespace}"} if foreign else (), origin)
    text = Subject("unjudged", f"config.toml of runner {runner}", namespace)
    collected.add(text, unreadable(values), origin)
