"""Makes the one report that every output is written from."""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from report.analysis import impact, risks, runner_config
from report.analysis.violations import violations
from report.inputs.charts import Charts, RenderError, compare
from report.inputs.events import RELEASE, Plan, Step
from report.model import Counts, ObjectChange, PropertyChange, Report, ResourceChange
from report.redact import SECRET, Scrubber
from report.stack_file import StackFile
from report.tree import Objects, Pair, Tree, at, differences

NO_HELM = "the objects that charts render, since helm is not on PATH; install helm 3.17 or later"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """What a plan belongs to: the environment, its stack file, and the settings in use.

    ``base``, ``state`` and ``drift`` are as in the report. ``workloads`` has what others run in the
    namespaces that are deleted, by namespace.
    """

    environment: str
    stack_file: StackFile
    settings: Tree
    base: str = ""
    state: str = ""
    drift: bool = False
    workloads: Mapping[str, tuple[str, ...]] = dataclasses.field(
        default_factory=dict[str, tuple[str, ...]]
    )


class Rendered(NamedTuple):
    """The objects of each release by its URN, what differs in them, and what was not compared."""

    objects: Mapping[str, Pair[Objects]]
    changes: Mapping[str, tuple[ObjectChange, ...]]
    gaps: tuple[str, ...] = ()


def report(plan: Plan, source: Source, charts: Charts, scrub: Scrubber) -> Report:
    """Return the report of a preview."""
    rendered = _render(plan, charts, scrub)
    return dataclasses.replace(
        build(plan, source, rendered),
        sentences=(*plan.taken_over, *impact.sentences(plan, source.settings)),
        effects=tuple(impact.effects(plan, rendered.changes, source.workloads)),
        violations=violations(plan, source.environment, source.stack_file),
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
        digest=_digest(plan),
        counts=_count(*changed, *(objects if source.drift else ())),
        risk_changes=risks.changes(judged, rendered.objects, source.stack_file, source.settings),
        resources=changed,
        keys=tuple(runner_config.changes(judged)),
        objects=objects,
        gaps=rendered.gaps,
        errors=plan.errors,
        drift=source.drift,
    )


def _digest(plan: Plan) -> str:
    """Return a digest of every operation, with every value that is not secret."""
    steps = [
        (step.operation, step.urn, step.changed_paths, [*map(dataclasses.astuple, _compare(step))])
        for step in plan.steps
        if step.changes
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


def _render(plan: Plan, charts: Charts, scrub: Scrubber) -> Rendered:
    """Render each release that changes, on both sides."""
    releases = [step for step in plan.steps if step.type == RELEASE and step.changes]
    if plan.errors:
        return Rendered({}, {})
    if charts.helm is None:
        return Rendered({}, {}, (NO_HELM,) if releases else ())
    for step in releases:
        for side in filter(None, (step.old, step.new)):
            charts.begin(side)
    objects: dict[str, Pair[Objects]] = {}
    gaps: dict[str, None] = {}
    for step in releases:
        try:
            objects[step.urn] = Pair(step.old, step.new).map(
                lambda side: charts.objects(side, scrub) if side else {}
            )
        except RenderError as error:
            gaps[str(error)] = None
    changes = {urn: compare(pair.old, pair.new) for urn, pair in objects.items()}
    return Rendered(objects, changes, tuple(gaps))
