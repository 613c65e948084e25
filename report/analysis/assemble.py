"""Makes the one report that every output is written from."""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from components.types import ACCEPTED_RISKS
from report.analysis import impact, risks, runner_config
from report.analysis.trust.declared import early_acceptances, listed, noted
from report.analysis.violations import violations
from report.inputs.charts import Charts, RenderError, compare, described
from report.inputs.events import RELEASE, Plan, Step
from report.model import Counts, ObjectChange, PropertyChange, Report, ResourceChange
from report.redact import SECRET, Scrubber
from report.stack_file import StackFile
from report.tree import Objects, Pair, Tree, at, differences

_NOTHING_SEEN = "all objects, which cannot be rendered"
NO_HELM = "the objects that charts render, since helm is not on PATH; install helm 3.17 or later"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """What a plan belongs to: the environment, its stack file, and the settings in use.

    ``base``, ``state`` and ``drift`` are as in the report. ``program`` are the files of the program
    that differ from those of the base. ``workloads`` has what others run in the
    namespaces that are deleted, by namespace.
    """

    environment: str
    stack_file: StackFile
    settings: Tree
    base: str = ""
    state: str = ""
    drift: bool = False
    program: tuple[str, ...] = ()
    workloads: Mapping[str, tuple[str, ...]] = dataclasses.field(
        default_factory=dict[str, tuple[str, ...]]
    )


class Rendered(NamedTuple):
    """The objects of each release by its URN, what differs in them, and what was not compared.

    ``unseen`` has what a release installs that its objects do not show, and ``unknown`` why the
    objects of the side before are not known; all that is rendered is then judged as new.
    """

    objects: Mapping[str, Pair[Objects]]
    changes: Mapping[str, tuple[ObjectChange, ...]]
    gaps: tuple[str, ...] = ()
    unseen: Mapping[str, tuple[str, ...]] = {}
    unknown: Mapping[str, str] = {}


def report(plan: Plan, source: Source, charts: Charts | None, scrub: Scrubber) -> Report:
    """Return the report of a preview; without ``charts`` it is not about what they render."""
    rendered = _render(plan, charts, scrub)
    found = build(plan, source, rendered)
    broken = violations(plan, source.environment, source.stack_file, rendered.unseen)
    needed = {item.identity for item in (*found.risk_changes, *broken)}
    early = early_acceptances(plan.old_outputs, source.stack_file.accepted, needed)
    beside = (
        *noted("program", listed(source.program)),
        *noted("acceptance", early, ACCEPTED_RISKS),
    )
    return dataclasses.replace(
        found,
        risk_changes=risks.by_severity((*found.risk_changes, *beside)),
        sentences=(*plan.taken_over, *impact.sentences(plan, source.settings)),
        effects=tuple(impact.effects(plan, rendered.changes, source.workloads)),
        violations=broken,
        setting_errors=source.stack_file.find_errors(plan.errors),
    )


def build(plan: Plan, source: Source, rendered: Rendered, judged: Plan | None = None) -> Report:
    """Return what the reports of previews and of drift have in common.

    The risks and the keys of config.toml are those of ``judged``, by default the plan.
    """
    judged = judged or plan
    changed = resources(plan)
    objects = tuple(change for changes in rendered.changes.values() for change in changes)
    return Report(
        environment=source.environment,
        stack_file=source.stack_file.name,
        base=source.base,
        state=source.state,
        digest=_digest(plan, changed),
        counts=_count(*changed, *(objects if source.drift else ())),
        risk_changes=risks.changes(
            judged, rendered.objects, source.stack_file, source.settings, rendered.unknown
        ),
        resources=changed,
        keys=tuple(runner_config.changes(judged)),
        objects=objects,
        gaps=rendered.gaps,
        errors=plan.errors,
        drift=source.drift,
    )


def _digest(plan: Plan, changed: Iterable[ResourceChange]) -> str:
    """Return a digest of every operation, with every value that is not secret."""
    paths = {step.urn: step.changed_paths for step in plan.steps}
    steps = [
        (item.operation, item.urn, paths[item.urn], [*map(dataclasses.astuple, item.properties)])
        for item in changed
    ]
    return hashlib.sha256(json.dumps(steps, sort_keys=True).encode()).hexdigest()[:16]


def _count(*changes: ResourceChange | ObjectChange) -> Counts:
    found = Counter[str](change.operation for change in changes)
    return Counts(
        create=found["create"] + found["import"],
        update=found["update"],
        delete=found["delete"],
        replace=found["replace"],
        keep=found["keep"],
    )


def resources(plan: Plan) -> tuple[ResourceChange, ...]:
    """Return what a plan, or an update, does to each resource that it changes."""
    return tuple(
        ResourceChange(
            operation=step.operation,
            type=step.type,
            name=step.name,
            urn=step.urn,
            properties=_compare(step),
        )
        for step in plan.steps
        if step.changes
    )


def _compare(step: Step) -> tuple[PropertyChange, ...]:
    """Return what differs: visible values, and secrets, which only the provider compares."""
    seen = differences(step.old, step.new)
    unseen = [
        PropertyChange(path=path, old=SECRET, new=SECRET)
        for path in step.changed_paths
        # Here entries of lists have names, in the paths of providers they have numbers.
        if not any(change.path.startswith(path) for change in seen)
        and at(step.old, path) == at(step.new, path)
    ]
    return (*seen, *unseen)


def _render(plan: Plan, charts: Charts | None, scrub: Scrubber) -> Rendered:
    """Render each release that changes, on both sides."""
    releases = [step for step in plan.steps if step.type == RELEASE and step.changes]
    if plan.errors or charts is None:
        return Rendered({}, {})
    if charts.helm is None:
        unseen = {step.urn: (_NOTHING_SEEN,) for step in releases if step.new}
        return Rendered({}, {}, (NO_HELM,) if releases else (), unseen)
    for step in releases:
        for side in filter(None, (step.old, step.new)):
            charts.begin(side)
    return _collect(releases, charts, scrub)


def _collect(releases: Iterable[Step], charts: Charts, scrub: Scrubber) -> Rendered:
    objects: dict[str, Pair[Objects]] = {}
    gaps: dict[str, None] = {}
    unseen: dict[str, tuple[str, ...]] = {}
    unknown: dict[str, str] = {}
    for step in releases:
        sides = Pair(step.old, step.new).map(lambda side: _objects(side, charts, scrub))
        for side in sides:
            if isinstance(side, RenderError):
                gaps[str(side)] = None
        if isinstance(sides.new, RenderError):
            unseen[step.urn] = (_NOTHING_SEEN,)
            continue
        if step.new:
            unseen[step.urn] = _unseen(step.new, charts)
            gaps |= {
                f"what release {step.name} installs by {what}": None for what in unseen[step.urn]
            }
        if not isinstance(sides.old, RenderError):
            objects[step.urn] = Pair(sides.old, sides.new)
        elif step.new:
            objects[step.urn] = Pair({}, sides.new)
            unknown[step.urn] = described(step.new)
    changes = {
        urn: compare(pair.old, pair.new) for urn, pair in objects.items() if urn not in unknown
    }
    return Rendered(objects, changes, tuple(gaps), unseen, unknown)


def _objects(side: Tree | None, charts: Charts, scrub: Scrubber) -> Objects | RenderError:
    try:
        return charts.objects(side, scrub) if side else {}
    except RenderError as error:
        return error


def _unseen(side: Tree, charts: Charts) -> tuple[str, ...]:
    try:
        return charts.unseen(side)
    except RenderError:
        return (_NOTHING_SEEN,)
