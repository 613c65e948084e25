"""A preview's engine events as steps, without secrets.

The engine masks what is marked secret before it sends an event; here it is taken out again by
what the state and the config mark, so that it takes two mistakes to show one.
"""

import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator

from pulumi.automation import events

from report.redact import Scrubber, clean
from report.tree import Pair, Tree

RUNNER = "image-builds:index:Runner"
DAEMON = "image-builds:index:Daemon"
RELEASE = "kubernetes:helm.sh/v3:Release"
_OURS = re.compile(
    r"^(an unhandled error occurred: )?(?=\d+ mistakes? in the config of this stack)"
)
"""The one error of the program that is written to be read, and holds no value."""
_KNOWN = (
    # Before the API server, since a repository refuses connections too
    # (pulumi-kubernetes: provider/pkg/provider/helm_release.go).
    (
        re.compile(r"property chart value"),
        "the chart cannot be had; check chart.version, chart.repository and chart.archive",
    ),
    (
        re.compile(r"cluster is unreachable|unreachable cluster|connection refused|no such host"),
        "the Kubernetes API server cannot be reached; check the address and the kubeconfig of this "
        "environment, and whether the cluster is up",
    ),
    (
        re.compile(r"is forbidden|Unauthorized|must be logged in"),
        "the Kubernetes API server refuses the account of this preview; check its kubeconfig and "
        "its rights to read",
    ),
    (
        re.compile(r"context .* does not exist"),
        "the kubeconfig has no context of that name; check kubernetes:context in the stack file",
    ),
    (
        re.compile(r"passphrase"),
        "the stack's secrets cannot be read; set PULUMI_CONFIG_PASSPHRASE to its passphrase",
    ),
    (
        re.compile(r"currently locked"),
        "the stack is locked by another update; wait for it, or cancel it if it was killed",
    ),
)
_UNSHOWN = (
    "the {what} failed{where}; what it says can hold a secret and is not shown: run make preview"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One operation on one resource; ``old`` and ``new`` are its inputs, None where it is not.

    ``changed_paths`` are the paths that the provider says differ, which it also knows of secrets.
    """

    operation: str
    type: str
    name: str
    urn: str
    parent: str
    old: Tree | None
    new: Tree | None
    changed_paths: tuple[str, ...] = ()

    @property
    def is_component(self) -> bool:
        """Whether it only groups others."""
        return self.type.startswith(("image-builds:", "pulumi:"))

    @property
    def changes(self) -> bool:
        """Whether something is done to a resource of the cluster or of GitLab."""
        return self.operation not in {"same", "read"} and not self.is_component

    @property
    def inputs_before(self) -> Tree:
        """What it was, or will be where it is new: what a reader knows it by."""
        return self.old or self.new or {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What a preview said; the outputs are the stack's own."""

    steps: tuple[Step, ...]
    old_outputs: Tree
    new_outputs: Tree
    errors: tuple[str, ...]

    def ancestor(self, step: Step, kind: str) -> str | None:
        """Name the component of a type that a resource belongs to."""
        return next((found.name for found in self._line(step) if found.type == kind), None)

    def components(self, step: Step) -> frozenset[str]:
        """Return the types of the components that a resource is in."""
        return frozenset(found.type for found in self._line(step) if found is not step)

    def _line(self, step: Step) -> Iterator[Step]:
        """Yield a resource and what it belongs to, up to the stack."""
        current: Step | None = step
        while current:
            yield current
            current = self._by_urn.get(current.parent)

    @functools.cached_property
    def _by_urn(self) -> dict[str, Step]:
        return {step.urn: step for step in self.steps}


def read(received: Iterable[events.EngineEvent], scrub: Scrubber) -> Plan:
    """Make a plan of the events of one preview."""
    steps: dict[str, Step] = {}
    errors: dict[str, None] = {}
    outputs: Pair[Tree] = Pair({}, {})
    for event in received:
        if event.resource_pre_event:
            step = _step(event.resource_pre_event.metadata, scrub)
            known = steps.get(step.urn)
            # A replacement comes as several operations on one resource, in either order.
            steps[step.urn] = _merge_replacement(known, step) if known else step
        done = event.res_outputs_event
        if done and done.metadata.type == "pulumi:pulumi:Stack":
            sides = Pair(done.metadata.old, done.metadata.new)
            outputs = sides.map(lambda state: clean((state and state.outputs) or {}, scrub))
        diagnostic = event.diagnostic_event
        if diagnostic and diagnostic.severity == "error":
            errors[safe_message(diagnostic.message, diagnostic.urn, scrub)] = None
    return Plan(
        steps=tuple(steps[urn] for urn in sorted(steps)),
        old_outputs=outputs.old,
        new_outputs=outputs.new,
        errors=tuple(errors),
    )


def sides_of_release(event: events.EngineEvent) -> Iterator[Tree]:
    """Yield the inputs of a release that changes, before and after, as the plan will have them.

    As long as nothing in them is a secret, which nobody knows while the preview runs.
    """
    before = event.resource_pre_event
    if before and before.metadata.type == RELEASE:
        step = _step(before.metadata, Scrubber())
        yield from (side for side in (step.old, step.new) if step.changes and side is not None)


def read_refresh(received: Iterable[events.EngineEvent], scrub: Scrubber) -> Plan:
    """Make a plan of the events of a refresh: from the inputs in the state to what is there.

    The provider's own comparison leaves out what is added to a list, so that whole objects are
    kept; ``changed_paths`` still has what it knows of secrets.
    """
    events_of_refresh = list(received)
    plan = read(events_of_refresh, scrub)
    found: dict[str, Step] = {}
    for event in events_of_refresh:
        if done := event.res_outputs_event:
            step = _step(done.metadata, scrub)
            live = done.metadata.new
            if live and is_object(step):
                step = dataclasses.replace(step, new=clean(live.outputs or {}, scrub))
            found[step.urn] = step
    return dataclasses.replace(
        plan,
        steps=tuple(found.get(step.urn, step) for step in plan.steps),
    )


def is_object(step: Step) -> bool:
    """Whether it is one Kubernetes object, whose outputs are that object."""
    return step.type.startswith("kubernetes:") and step.type != RELEASE


def _step(metadata: events.StepEventMetadata, scrub: Scrubber) -> Step:
    old, new = metadata.old, metadata.new
    state = new or old
    removes = metadata.op in {events.OpType.DELETE, events.OpType.DELETE_REPLACED}
    return Step(
        operation=metadata.op.value,
        type=metadata.type,
        name=scrub(metadata.urn.rpartition("::")[2]),
        urn=metadata.urn,
        parent=state.parent if state else "",
        old=clean(old.inputs or {}, scrub) if old else None,
        new=clean(new.inputs or {}, scrub) if new and not removes else None,
        changed_paths=tuple(sorted(map(scrub, metadata.detailed_diff or {}))),
    )


def _merge_replacement(known: Step, step: Step) -> Step:
    return dataclasses.replace(
        known,
        operation="replace",
        old=known.old if known.old is not None else step.old,
        new=known.new if known.new is not None else step.new,
        changed_paths=tuple(sorted({*known.changed_paths, *step.changed_paths})),
    )


def safe_message(message: str, urn: str | None, scrub: Scrubber) -> str:
    """Say of an error what is known to hold no value: our own text, or ours for a known cause."""
    text = message.strip().removeprefix("error: ")
    if _OURS.match(text):
        return scrub(_OURS.sub("", text))
    for pattern, advice in _KNOWN:
        if pattern.search(text):
            return advice
    where = f" at {scrub(urn.rpartition('::')[2])}" if urn else ""
    return _UNSHOWN.format(what="program" if "Traceback" in text else "preview", where=where)
