"""A preview's engine events as steps, without secrets.

The engine masks marked secrets before it sends an event. They are masked here once more, by what
the state and the config mark, so that one error alone shows no secret.
"""

import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator

from pulumi.automation import events

from report.redact import Scrubber, clean
from report.tree import Pair, Tree

STACK = "pulumi:pulumi:Stack"
USER_RUNNER = "gitlab:index/userRunner:UserRunner"
RUNNER = "image-builds:index:Runner"
DAEMON = "image-builds:index:Daemon"
RELEASE = "kubernetes:helm.sh/v3:Release"
_OURS = re.compile(
    r"^(an unhandled error occurred: )?(?=\d+ errors? in the config of this stack)|"
    r'^(.*: )?before hook "who owns it" failed: '
)
"""What stands before the errors of the program that are written for users and contain no value."""
_KNOWN = (
    # Before the API server, since a repository refuses connections too
    # (pulumi-kubernetes: provider/pkg/provider/helm_release.go).
    (
        re.compile(r"property chart value"),
        "the chart cannot be fetched; check chart.version, chart.repository and chart.archive",
    ),
    (
        re.compile(r"cluster is unreachable|unreachable cluster|connection refused|no such host"),
        "the Kubernetes API server cannot be reached; check that the cluster is up, and the "
        "address in the kubeconfig of this environment",
    ),
    (
        re.compile(r"is forbidden|Unauthorized|must be logged in"),
        "the Kubernetes API server refuses the account of this preview; check the kubeconfig and "
        "the account's permissions to read",
    ),
    (
        re.compile(r"context .* does not exist"),
        "the kubeconfig has no such context; check kubernetes:context in the stack file",
    ),
    (
        re.compile(r"passphrase"),
        "the stack's secrets cannot be decrypted; set PULUMI_CONFIG_PASSPHRASE",
    ),
    (
        re.compile(r"no stack named"),
        "the backend has no such stack; run pulumi login for another one, or pulumi stack init",
    ),
    (
        re.compile(r"currently locked"),
        "another update locks the stack; wait for it, or run pulumi cancel if it was killed",
    ),
)
_UNSHOWN = (
    "{what} failed{where}; its message can contain a secret and is not shown: run "
    "pulumi preview to see it"
)


_GOES = Pair(old=False, new=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One operation on one resource; ``old`` and ``new`` are its inputs, None where it is absent.

    The operation is the engine's, or ``keep`` where it only forgets a resource, which stays.
    ``changed_paths`` are those of the provider's detailed diff, which covers secrets too. It
    ``stays`` in the cluster, on either side, when the stack lets go of it.
    """

    operation: str
    type: str
    name: str
    urn: str
    parent: str
    old: Tree | None
    new: Tree | None
    changed_paths: tuple[str, ...] = ()
    stays: Pair[bool] = _GOES

    @property
    def is_component(self) -> bool:
        """Whether it only groups others."""
        return self.type.startswith(("image-builds:", "pulumi:"))

    @property
    def changes(self) -> bool:
        """Whether a resource of the cluster or of GitLab changes."""
        return self.operation not in {"same", "read"} and not self.is_component

    @property
    def inputs_before(self) -> Tree:
        """The inputs before the change, or after it for a new resource."""
        return self.old or self.new or {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What a preview plans; the outputs are those of the stack.

    ``taken_over`` has a sentence for each object of others that the stack takes over.
    """

    steps: tuple[Step, ...]
    old_outputs: Tree
    new_outputs: Tree
    errors: tuple[str, ...]
    taken_over: tuple[str, ...] = ()

    def ancestor(self, step: Step, kind: str) -> str | None:
        """Return the name of the component of a type that contains a resource, if there is one."""
        return next((found.name for found in self._line(step) if found.type == kind), None)

    def components(self, step: Step) -> frozenset[str]:
        """Return the types of the components that contain a resource."""
        return frozenset(found.type for found in self._line(step) if found is not step)

    def _line(self, step: Step) -> Iterator[Step]:
        """Yield a resource and its parents, up to the stack."""
        current: Step | None = step
        while current:
            yield current
            current = self._by_urn.get(current.parent)

    @functools.cached_property
    def _by_urn(self) -> dict[str, Step]:
        return {step.urn: step for step in self.steps}


def read(received: Iterable[events.EngineEvent], scrub: Scrubber) -> Plan:
    """Return the plan that the events of a preview describe."""
    steps: dict[str, Step] = {}
    errors: dict[str, None] = {}
    outputs: Pair[Tree] = Pair({}, {})
    for event in received:
        if event.resource_pre_event:
            step = _step(event.resource_pre_event.metadata, scrub)
            known = steps.get(step.urn)
            # A replacement consists of several operations on one resource, in either order.
            steps[step.urn] = _merge_replacement(known, step) if known else step
        done = event.res_outputs_event
        if done and done.metadata.type == STACK:
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
    """Yield the inputs of a release that changes, before and after, while the preview runs.

    They are those of the later plan unless they contain a secret, which is not known yet.
    """
    before = event.resource_pre_event
    if before and before.metadata.type == RELEASE:
        step = _step(before.metadata, Scrubber())
        yield from (side for side in (step.old, step.new) if step.changes and side is not None)


def read_refresh(received: Iterable[events.EngineEvent], scrub: Scrubber) -> Plan:
    """Return the plan that the events of a refresh describe: from inputs to live objects.

    The provider's own comparison skips entries that are added to a list, so whole objects are
    kept. ``changed_paths`` still has its findings, which cover secrets.
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
    return dataclasses.replace(plan, steps=tuple(found.get(step.urn, step) for step in plan.steps))


def is_object(step: Step) -> bool:
    """Whether a resource is one Kubernetes object, which is then in its outputs."""
    return step.type.startswith("kubernetes:") and step.type != RELEASE


def _step(metadata: events.StepEventMetadata, scrub: Scrubber) -> Step:
    old, new = metadata.old, metadata.new
    state = new or old
    removes = metadata.op in {events.OpType.DELETE, events.OpType.DELETE_REPLACED}
    kept = metadata.op == events.OpType.DELETE and old is not None and old.retain_on_delete
    return Step(
        operation="keep" if kept else metadata.op.value,
        type=metadata.type,
        name=scrub(metadata.urn.rpartition("::")[2]),
        urn=metadata.urn,
        parent=state.parent if state else "",
        old=clean(old.inputs or {}, scrub) if old else None,
        new=clean(new.inputs or {}, scrub) if new and not removes else None,
        changed_paths=tuple(sorted(map(scrub, metadata.detailed_diff or {}))),
        stays=Pair(old, new).map(lambda side: bool(side and side.retain_on_delete)),
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
    """Return a message without values: the program's own, or advice for a known cause."""
    text = message.strip().removeprefix("error: ")
    if _OURS.match(text):
        return scrub(_OURS.sub("", text))
    for pattern, advice in _KNOWN:
        if pattern.search(text):
            return advice
    where = f" at {scrub(urn.rpartition('::')[2])}" if urn else ""
    return _UNSHOWN.format(what="the program" if "Traceback" in text else "Pulumi", where=where)
