"""The risks of each object and of each runner's jobs, on one side of a change.

They are read from Kubernetes objects, those that a chart renders included, and from config.toml,
whatever the strategy.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from report.analysis.kubernetes import namespace_of, object_risks, objects_of
from report.analysis.pods.job import job_risks
from report.analysis.pods.runner import registration_risks, runner_risks
from report.analysis.runner_config import parse, unreadable
from report.analysis.trust.bindings import add_holders, add_pod_creators, add_readers
from report.analysis.trust.declared import add_declared
from report.analysis.trust.peers import directions, reach
from report.analysis.trust.stack import add_objects, add_resources
from report.analysis.trust.subjects import Declared, Origin, Placed, RiskFacts, Subject
from report.inputs.events import DAEMON, RELEASE, RUNNER, USER_RUNNER, Plan, Step
from report.tree import Objects, Pair, Tree, inside, texts

_CREATES = {"create", "create-replacement", "replace"}
_HOST = re.compile(r"://([\w-]+\.[\w-]+)\.svc\b")
"""Service and namespace in the URL of a Service."""


def collect(plan: Plan, rendered: Mapping[str, Pair[Objects]]) -> Pair[RiskFacts]:
    """Collect the facts of both sides; ``rendered`` has the objects of releases by their URN."""
    # What is only read belongs to others.
    steps = [step for step in plan.steps if step.operation != "read"]
    old = [Declared(step, step.old, step.stays.old) for step in steps if step.old is not None]
    new = [Declared(step, step.new, step.stays.new) for step in steps if step.new is not None]
    pair = Pair(
        _collect(plan, old, {urn: pair.old for urn, pair in rendered.items()}, plan.old_outputs),
        _collect(plan, new, {urn: pair.new for urn, pair in rendered.items()}, plan.new_outputs),
    )
    reads = [step for step in plan.steps if step.operation == "read"]
    _add_reads(pair.old, (step for step in reads if step.old is not None))
    _add_reads(pair.new, (step for step in reads if step.new is not None))
    return pair


def _add_reads(collected: RiskFacts, steps: Iterable[Step]) -> None:
    """Add what the program reads of others, which can end in jobs, logs and outputs."""
    read = {f"{step.type.rpartition(':')[2]} {step.name}" for step in steps}
    collected.add(Subject("reads", "the program", ""), read, Origin((), None))


def _collect(
    plan: Plan, side: list[Declared], rendered: Mapping[str, Objects], outputs: Tree
) -> RiskFacts:
    collected = RiskFacts()
    objects = [
        Placed(item, origin, step)
        for whole, origin, step in _found(plan, side, rendered)
        for item in objects_of(whole)
    ]
    for item, origin, step in objects:
        for (kind, name), risks in object_risks(item):
            collected.add(Subject(kind, name, namespace_of(item)), risks, origin)
        # A patch changes what others have made.
        if item.get("kind") == "Namespace" and not step.type.endswith("Patch"):
            name = str(inside(item, "metadata").get("name"))
            collected.namespaces.add(name)
            if step.operation in _CREATES:
                collected.made.add(name)
        elif item.get("kind") == "NetworkPolicy":
            _add_policy(collected, namespace_of(item), inside(item, "spec"))
    for step, inputs, _ in side:
        if step.type == RELEASE:
            _add_jobs(collected, step.name, inside(inputs, "values"))
        elif step.type == USER_RUNNER:
            origin = Origin(("runners", step.name, "registration"), step.name)
            for (kind, name), risks in registration_risks(step.name, inputs):
                collected.add(Subject(kind, name, ""), risks, origin)
    _add_shared_daemons(collected, plan, side)
    add_readers(collected, objects)
    add_holders(collected, objects)
    add_pod_creators(collected, objects)
    add_resources(collected, side, [item for item, _, _ in objects], outputs)
    add_objects(collected, objects)
    add_declared(collected, outputs)
    return collected


def _add_policy(collected: RiskFacts, namespace: str, spec: Tree) -> None:
    # One of some pods leaves the others alone.
    if not inside(spec, "podSelector"):
        collected.limited[namespace].update(directions(spec))
        collected.allowed[namespace].update(reach(spec))


def _found(plan: Plan, side: list[Declared], rendered: Mapping[str, Objects]) -> Iterator[Placed]:
    """Yield each resource, and each object that a release renders."""
    for step, inputs, _ in side:
        yield Placed(inputs, origin_of(plan, step), step)
        if step.type == RELEASE:
            chart = Origin(("chart", "version"), None)
            for item in rendered.get(step.urn, {}).values():
                yield Placed(item, chart, step)


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


def _add_shared_daemons(collected: RiskFacts, plan: Plan, side: list[Declared]) -> None:
    """Add each runner whose jobs build in the daemon of another one.

    Jobs have the address of a daemon's Service, and its component has the name of its runner.
    """
    owners = {
        f"{inside(inputs, 'metadata').get('name')}.{namespace_of(inputs)}": plan.ancestor(
            step, DAEMON
        )
        for step, inputs, _ in side
        if inputs.get("kind") == "Service"
    }
    releases = {
        step.name: parse(inside(inputs, "values"))
        for step, inputs, _ in side
        if step.type == RELEASE
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
    if jobs:
        home = Subject("home", f"jobs of runner {runner}", "")
        collected.add(home, {namespace}, Origin(("runners", runner, "jobNamespace"), runner))
    origin = Origin(strategy, runner)
    pod = Subject("placement", f"the job pod of runner {runner}", namespace)
    foreign = bool(jobs) and namespace not in collected.namespaces
    collected.add(pod, {f"in the namespace {namespace}"} if foreign else (), origin)
    text = Subject("unjudged", f"config.toml of runner {runner}", namespace)
    collected.add(text, unreadable(values), origin)
