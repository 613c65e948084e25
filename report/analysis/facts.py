"""The risks of each object and of each runner's jobs, on one side of a change.

They are read from Kubernetes objects, those that a chart renders included, and from config.toml,
whatever the strategy.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from report.analysis.kubernetes import job_risks, namespace_of, object_risks
from report.analysis.risk_kinds import RiskName
from report.analysis.runner_config import parse
from report.inputs.events import DAEMON, RELEASE, RUNNER, Plan, Step
from report.tree import Objects, Pair, Tree, entries, inside, texts

_READ = {"get", "list", "watch", "*"}


class Subject(NamedTuple):
    """What has risks of one kind, and its namespace."""

    kind: RiskName
    name: str
    namespace: str


class Origin(NamedTuple):
    """What a subject follows from: a key of the stack file, and the runner if it is of one."""

    key: tuple[str, ...]
    runner: str | None


class RiskFacts:
    """One side of a change: the risks of each subject."""

    def __init__(self) -> None:
        self.risks: dict[Subject, frozenset[str]] = {}
        self.origins: dict[Subject, Origin] = {}
        self.namespaces: set[str] = set()

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
    objects: _Placed = []
    for step, inputs in side:
        objects.append((inputs, origin_of(plan, step)))
        if step.type == RELEASE:
            _add_jobs(collected, step.name, parse(inside(inputs, "values")))
            chart = Origin(("chart", "version"), None)
            objects += [(item, chart) for item in rendered.get(step.urn, {}).values()]
    for item, origin in objects:
        for (kind, name), risks in object_risks(item):
            collected.add(Subject(kind, name, namespace_of(item)), risks, origin)
        if item.get("kind") == "Namespace":
            collected.namespaces.add(str(inside(item, "metadata").get("name")))
    _add_readers(collected, objects)
    return collected


def origin_of(plan: Plan, step: Step) -> Origin:
    """Return the key of the stack file that a resource follows from."""
    runner = plan.ancestor(step, RUNNER)
    if runner:
        return Origin(("runners", runner, "strategy"), runner)
    if plan.ancestor(step, DAEMON):
        return Origin(("runners",), None)
    target = re.fullmatch(r"target-(.+?)(-pull)?", step.name)
    return Origin(("targetNamespaces", target[1]) if target else ("namespace",), None)


def _add_readers(collected: RiskFacts, objects: _Placed) -> None:
    """Add the accounts that can read Secrets, by the roles and bindings of each namespace."""
    reading = {
        (item.get("kind"), namespace_of(item), inside(item, "metadata").get("name"))
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


def _account(account: Tree) -> str:
    namespace = account.get("namespace")
    return f"{account.get('kind')} {f'{namespace}/' if namespace else ''}{account.get('name')}"


def _reads_secrets(rule: Tree) -> bool:
    return bool(
        {"", "*"} & set(texts(rule, "apiGroups"))
        and {"secrets", "*"} & set(texts(rule, "resources"))
        and _READ & set(texts(rule, "verbs"))
    )


def _add_jobs(collected: RiskFacts, runner: str, entry: Tree) -> None:
    """Add the risks of a runner's jobs, which config.toml describes."""
    jobs = inside(entry, "kubernetes")
    if not jobs:
        return
    origin = Origin(("runners", runner, "strategy"), runner)
    for (kind, name), risks in job_risks(runner, jobs):
        key = (*origin.key, "image") if kind in {"imageSource", "unpinned"} else origin.key
        subject = Subject(kind, name, str(jobs.get("namespace")))
        collected.add(subject, risks, Origin(key, runner))
