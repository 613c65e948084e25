"""What happens to jobs: restarts, losses, and what projects must change in pipelines."""

from collections.abc import Iterator, Mapping

from components.strategies import command
from report.inputs.events import RELEASE, Plan, Step
from report.model import JobEffect, ObjectChange
from report.tree import Tree, inside

_NAMESPACE = "kubernetes:core/v1:Namespace"
_SECRET = "kubernetes:core/v1:Secret"  # noqa: S105 - a type
_GOES = {
    "delete": "is deleted; what uses it fails",
    "replace": "is deleted and created again; what uses it fails meanwhile",
}
_RESTART = (
    "restarts: the old one finishes its running jobs for up to one hour while the new one takes "
    "over; longer jobs are lost",
    "restart: the old ones finish their running jobs for up to one hour while the new ones take "
    "over; longer jobs are lost",
)
_GO_ON = ("keeps running: its pod does not change", "keep running: their pods do not change")
"""What happens to one manager, and to several."""


def deleted_namespaces(plan: Plan) -> list[str]:
    """Return the names of the namespaces that are deleted, or deleted and created again."""
    return sorted(
        str(inside(step.inputs_before, "metadata").get("name"))
        for step in plan.steps
        if step.type == _NAMESPACE and step.operation in _GOES
    )


def effects(
    plan: Plan,
    objects: Mapping[str, tuple[ObjectChange, ...]],
    workloads: Mapping[str, tuple[str, ...]],
) -> Iterator[JobEffect]:
    """Yield what happens to jobs, and to what others run in the stack's namespaces.

    ``objects`` has the changed objects of releases by URN, ``workloads`` what is in each namespace
    that is deleted, as far as it is known.
    """
    going = deleted_namespaces(plan)
    for name in going:
        text = f"namespace {name} is deleted with everything in it: jobs and pods there are lost"
        yield _effect(text + _listed(workloads.get(name, ())), loud=True)
    yield from _kept(plan)
    managers: dict[bool, list[str]] = {True: [], False: []}
    for step in plan.steps:
        if step.type == RELEASE and step.operation in _GOES:
            verb = "is deleted" if step.operation == "delete" else "is deleted and installed again"
            text = f"the manager of runner {step.name} {verb}: its running jobs are lost"
            yield _effect(text, loud=True)
        elif step.type == RELEASE and step.operation == "update":
            managers[_restarts(objects.get(step.urn))].append(step.name)
        elif not step.is_component and step.type != _NAMESPACE and step.operation in _GOES:
            if inside(step.inputs_before, "metadata").get("namespace") in going:
                continue
            kind = step.type.rpartition(":")[2]
            yield _effect(f"{kind} {_object_name(step)} {_GOES[step.operation]}", loud=True)
    yield from _managers(managers[True], _RESTART)
    yield from _managers(managers[False], _GO_ON)


def _listed(workloads: tuple[str, ...]) -> str:
    """Say what is lost; the first ten are enough to see whose it is."""
    if not workloads:
        return ""
    more = f" and {len(workloads) - 10} more" if len(workloads) > 10 else ""
    return f". Others have there: {', '.join(workloads[:10])}{more}"


def _kept(plan: Plan) -> Iterator[JobEffect]:
    """Yield what stays in the cluster, and how to remove it."""
    for step in plan.steps:
        if step.operation != "keep":
            continue
        name = _object_name(step)
        if step.type == _NAMESPACE:
            text = (
                f"namespace {name} stays with everything that others have there; to remove it all, "
                f"run: kubectl delete namespace {name}"
            )
        else:
            kind = step.type.rpartition(":")[2]
            text = f"{kind} {name} stays as it is, and the stack no longer updates it"
        yield _effect(text, loud=False)


def _managers(runners: list[str], text: tuple[str, str]) -> Iterator[JobEffect]:
    """Yield one sentence for all managers with the same effect."""
    one, several = text
    if len(runners) == 1:
        yield _effect(f"the manager of runner {runners[0]} {one}", loud=False)
    elif runners:
        yield _effect(f"the managers of runners {', '.join(runners)} {several}", loud=False)


def _restarts(rendered: tuple[ObjectChange, ...] | None) -> bool:
    """Whether pods restart: a Deployment replaces them if its template differs.

    Where nothing was rendered, they are assumed to restart.
    """
    if rendered is None:
        return True
    return any(
        change.path.startswith("spec.template")
        for changed in rendered
        if changed.identity.startswith("Deployment ")
        for change in changed.properties
    )


def sentences(plan: Plan, settings: Tree) -> Iterator[str]:
    """Yield a sentence for each change of a runner, a namespace or a Secret."""
    yield from _switches(plan, settings)
    for step in plan.steps:
        if step.type != RELEASE or step.old is None or step.new is None:
            continue
        old, new = step.old.get("version"), step.new.get("version")
        if old != new:
            yield f"The chart of runner {step.name} changes from {old} to {new}."
        if _digest(step.old) != _digest(step.new):
            yield f"The token of runner {step.name} is replaced."
        before, after = (inside(side, "values").get("concurrent") for side in (step.old, step.new))
        if before != after:
            yield f"Runner {step.name} runs up to {after} jobs at a time instead of {before}."
    for step in plan.steps:
        if step.type == _NAMESPACE and step.operation == "create":
            yield f"Namespace {_object_name(step)} is created."
        elif step.type == _SECRET and step.operation == "update":
            yield f"The contents of Secret {_object_name(step)} change."


def _switches(plan: Plan, settings: Tree) -> Iterator[str]:
    before, after = (
        {name: str(inside(runners, name).get("strategy")) for name in runners}
        for runners in (inside(plan.old_outputs, "runners"), inside(plan.new_outputs, "runners"))
    )
    for name in sorted(after.keys() - before.keys()):
        yield f"Runner {name} is new and uses {after[name]}."
    for name in sorted(before.keys() - after.keys()):
        yield f"Runner {name} is removed; jobs with its tags wait unless another runner has them."
    for name in sorted(before.keys() & after.keys()):
        old, new = before[name], after[name]
        if old == new:
            continue
        asked = inside(settings, "runners", name, "strategy")
        was, will = command(old, {}), command(new, asked)
        if not will or not was:
            action = "no longer build" if not will else "may now build"
            yield f"Runner {name} changes from {old} to {new}: jobs with its tags {action} images."
            continue
        advice = (
            f"jobs still call {will}, so projects change nothing"
            if was == will
            else f"projects that include build-image set strategy: {new} there, others call {will} "
            f"in place of {was} in their script (docs/how-to/write-a-build-job.md)"
        )
        yield f"Runner {name} changes from {old} to {new}: {advice}."


def _digest(inputs: Tree) -> object:
    return inside(inputs, "values", "podAnnotations").get("image-builds/token-digest")


def _object_name(step: Step) -> str:
    metadata = inside(step.inputs_before, "metadata")
    name = str(metadata.get("name", step.name))
    return f"{metadata['namespace']}/{name}" if metadata.get("namespace") else name


def _effect(text: str, *, loud: bool) -> JobEffect:
    return JobEffect(loud=loud, text=f"{text[0].upper()}{text[1:]}.")
