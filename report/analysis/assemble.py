"""From a preview to the one report that every output is made of."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from report.analysis import (
    impact as jobs,
)
from report.analysis import (
    risks as security,
)
from report.analysis import (
    runner_config as config_toml,
)
from report.analysis import (
    violations as policies,
)
from report.inputs.charts import (
    Charts,
    Objects,
    RenderError,
    compare,
)
from report.inputs.events import RELEASE, Plan, Step
from report.model import (
    Counts,
    PropertyChange,
    Report,
    ResourceChange,
)
from report.stack_file import StackFile
from report.values import (
    SECRET,
    Scrubber,
    at,
    differences,
    inside,
)

NO_HELM = (
    "helm is not there, so what the chart renders is not compared; put helm 3.17 or later on PATH"
)


def report(  # noqa: PLR0913 - each is a fact of its own
    plan: Plan,
    *,
    environment: str,
    stack_file: StackFile,
    settings: Mapping[str, Any],
    charts: Charts,
    scrub: Scrubber,
    base: str = "",
    state: str = "",
) -> Report:
    """Make the report of one environment."""
    old, new, gaps = _rendered(plan, charts, scrub)
    objects = {urn: compare(old[urn], new[urn]) for urn in old}
    return Report(
        environment=environment,
        stack_file=stack_file.name,
        base=base,
        state=state,
        digest=digest(plan),
        counts=_counts(plan),
        sentences=tuple(jobs.sentences(plan, settings)),
        deltas=security.deltas(plan, (old, new), stack_file, settings),
        effects=tuple(jobs.effects(plan, objects)),
        resources=resources(plan),
        keys=tuple(config_toml.changes(plan)),
        objects=tuple(change for changes in objects.values() for change in changes),
        gaps=gaps,
        errors=plan.errors,
        violations=policies.violations(plan, environment, stack_file),
    )


def digest(plan: Plan) -> str:
    """Return what tells plans apart: every operation, with every value that is no secret."""
    steps = [
        (step.operation, step.urn, step.moved, [_fields(item) for item in _properties(step)])
        for step in plan.steps
        if step.changes
    ]
    return hashlib.sha256(json.dumps(steps, sort_keys=True).encode()).hexdigest()[:16]


def _fields(change: PropertyChange) -> tuple[str, str | None, str | None]:
    return change.path, change.old, change.new


def _counts(plan: Plan) -> Counts:
    found = Counter(step.operation for step in plan.steps if step.changes)
    return Counts(
        create=found["create"] + found["import"],
        update=found["update"],
        delete=found["delete"],
        replace=found["replace"],
    )


def resources(plan: Plan) -> tuple[ResourceChange, ...]:
    """Return what changes, components aside."""
    return tuple(_resource(step) for step in plan.steps if step.changes)


def _resource(step: Step) -> ResourceChange:
    return ResourceChange(
        operation=step.operation,
        type=step.type,
        name=step.name,
        urn=step.urn,
        properties=_properties(step),
    )


def _properties(step: Step) -> tuple[PropertyChange, ...]:
    """What differs: what can be seen, and what only the provider sees, which is secret."""
    seen = differences(step.old, step.new)
    unseen = [
        PropertyChange(path=path, old=SECRET, new=SECRET)
        for path in step.moved
        # Entries of lists have names here, and numbers there.
        if not any(change.path.startswith(path) for change in seen)
        and at(step.old, path) == at(step.new, path)
    ]
    return (*seen, *unseen)


def _rendered(
    plan: Plan,
    charts: Charts,
    scrub: Scrubber,
) -> tuple[dict[str, Objects], dict[str, Objects], tuple[str, ...]]:
    """Render each release that changes, on both sides, and say what could not be."""
    releases = [step for step in plan.steps if step.type == RELEASE and step.changes]
    if plan.errors:
        return {}, {}, ()
    if charts.helm is None:
        return {}, {}, (NO_HELM,) if releases else ()
    for step in releases:
        for side in filter(None, (step.old, step.new)):
            charts.begin(side)
    old: dict[str, Objects] = {}
    new: dict[str, Objects] = {}
    gaps: dict[str, None] = {}
    for step in releases:
        try:
            old[step.urn], new[step.urn] = (
                charts.objects(side, scrub) if side else inside(None)
                for side in (step.old, step.new)
            )
        except RenderError as error:
            gaps[str(error)] = None
    return old, new, tuple(gaps)
