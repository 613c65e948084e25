"""Previews without an engine: what the program registers under two configs, and single events.

The tests in tests/engine/test_report.py compare the reports with those of the real engine.
"""

import functools
import json
import runpy
from collections.abc import Iterable, Mapping
from typing import Any, cast

import yaml
from pulumi.automation import events

from components.gitlab_runner.archive import as_stated, digest_of
from components.workloads import CHART_DIGEST
from dev.paths import CHECKOUT, STAND_IN_CHART
from report.analysis import assemble
from report.inputs.charts import Charts
from report.inputs.recorder import Recorder, RegisteredResource
from report.inputs.registrations import plan
from report.model import Report
from report.redact import Scrubber
from report.stack_file import SETTINGS, StackFile
from tests.support.changes import ONE_RUNNER, Change, Deployed, with_transforms
from tests.support.configured import configure, replace_values
from tests.support.harness import in_year

STACK = "urn:pulumi:test::image-builds::pulumi:pulumi:Stack::image-builds-test"


HELD = {"deploymentAnnotations": {CHART_DIGEST: digest_of(STAND_IN_CHART)}}
"""What the values of a release with the stand-in chart say of it."""


def preview_change(
    change: Change, deployed: Deployed = ONE_RUNNER, charts: Charts | None = None
) -> Report:
    """Return the report of a change of what is deployed."""
    before, after = (
        replace_values(deployed.settings, side) for side in (change.before, change.after)
    )
    base = "" if change.first else _config(before, deployed.secrets_for(before))
    old = _deployed(base)
    secrets = replace_values(deployed.secrets_for(after), change.secrets)
    config = _config(after, secrets)
    if change.last:
        new = ()
    else:
        new = _run(config, change, old) if change.transforms else previewed(config, base)
    file = stack_file(after, change.accepted)
    source = assemble.Source(
        environment=change.environment,
        stack_file=file,
        settings=file.settings,
        base="0123abc",
        state="2026-11-24T12:00:00Z",
    )
    return assemble.report(plan(old, new, Scrubber()), source, charts, Scrubber())


def _config(settings: Mapping[str, Any], secrets: Mapping[str, Any]) -> str:
    return json.dumps([settings, secrets])


@functools.cache
def _deployed(config: str) -> tuple[RegisteredResource, ...]:
    """Deploy once for equal configs: most changes start from the same one, or from none."""
    return _run(config, Change(), None) if config else ()


@functools.cache
def previewed(config: str, base: str) -> tuple[RegisteredResource, ...]:
    """Preview once for equal configs: some changes differ in the name of the stack alone."""
    return _run(config, Change(), _deployed(base))


def _run(
    config: str, change: Change, state: tuple[RegisteredResource, ...] | None
) -> tuple[RegisteredResource, ...]:
    """Run the program with the transforms of a change; with a state it is a preview.

    The archive of a chart need not be there.
    """
    configure(*json.loads(config))
    recorder = Recorder("test", preview=state is not None, state=state or ())
    program = functools.partial(runpy.run_path, str(CHECKOUT / "__main__.py"))
    with as_stated():
        recorder.run(in_year(with_transforms(program, change)))
    return tuple(recorder.registered)


def stack_file(settings: Mapping[str, Any], accepted: Iterable[str] = ()) -> StackFile:
    """The stack file that says this."""
    config: dict[str, Any] = {SETTINGS: settings}
    if accepted:
        config["image-builds:acceptedRisks"] = dict.fromkeys(accepted, "a reason")
    text = yaml.dump({"config": config}, sort_keys=False, Dumper=yaml.CSafeDumper)
    return StackFile("Pulumi.test.yaml", text)


def pre_event(  # noqa: PLR0913, PLR0917 - the fields of an event
    operation: str,
    urn: str,
    kind: str,
    parent: str = STACK,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
    diff: Iterable[str] = (),
) -> events.EngineEvent:
    """An event as the engine sends it before it works on a resource."""
    sides = {
        side: {"type": kind, "urn": urn, "parent": parent, "inputs": inputs}
        for side, inputs in (("old", old), ("new", new))
        if inputs is not None
    }
    metadata = {
        "op": operation,
        "urn": urn,
        "type": kind,
        "detailedDiff": {path: {"diffKind": "update"} for path in diff},
        **sides,
    }
    return received("resourcePreEvent", {"metadata": metadata})


def stack(old: Mapping[str, Any], new: Mapping[str, Any]) -> events.EngineEvent:
    """The stack's outputs, before and after."""
    sides = {
        side: {"type": "pulumi:pulumi:Stack", "urn": STACK, "outputs": outputs}
        for side, outputs in (("old", old), ("new", new))
        if outputs
    }
    metadata = {"op": "same", "urn": STACK, "type": "pulumi:pulumi:Stack", **sides}
    return received("resOutputsEvent", {"metadata": metadata})


def diagnostic(message: str, severity: str = "error", urn: str | None = None) -> events.EngineEvent:
    """Something that the engine has to say."""
    content = {"message": message, "severity": severity, "urn": urn}
    return received("diagnosticEvent", content)


def prelude(config: Mapping[str, str]) -> events.EngineEvent:
    """The first event, which has the config."""
    return received("preludeEvent", {"config": dict(config)})


def received(kind: str, content: Mapping[str, Any]) -> events.EngineEvent:
    """An event as it comes over the wire."""
    return cast("Any", events.EngineEvent).from_json({kind: content})
