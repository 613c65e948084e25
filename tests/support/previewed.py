"""Previews without an engine: the program's own registrations under two configs, as events.

What the engine would say of two sets of inputs is simple where nothing but inputs count; the
tests in tests/engine/test_report.py compare with the real one.
"""

import copy
import functools
import json
import runpy
from collections.abc import Iterable, Mapping
from typing import Any, cast

import pulumi
import pytest
import yaml
from pulumi.automation import events

from dev.paths import CHECKOUT
from report.analysis import assemble
from report.inputs.charts import Charts
from report.inputs.events import read
from report.model import Report
from report.stack_file import SETTINGS, StackFile
from report.values import Scrubber, differences, inside
from tests.support.changes import ONE_RUNNER, Change, Deployed, with_transforms
from tests.support.configured import bent, configure
from tests.support.harness import Registered, deploy

STACK = "urn:pulumi:test::image-builds::pulumi:pulumi:Stack::image-builds-test"


def _registered(
    settings: Mapping[str, Any],
    secrets: Mapping[str, Any],
    change: Change,
) -> tuple[dict[str, Registered], dict[str, Any]]:
    sides = json.dumps(settings), json.dumps(secrets)
    return copy.deepcopy(_run(*sides) if not change.transforms else _transformed(*sides, change))


@functools.cache
def _run(settings: str, secrets: str) -> tuple[dict[str, Registered], dict[str, Any]]:
    """Run the program, once for equal configs: most changes start from the same one."""
    return _transformed(settings, secrets, Change())


def _transformed(
    settings: str,
    secrets: str,
    change: Change,
) -> tuple[dict[str, Registered], dict[str, Any]]:
    """Run the program with the transforms of a change."""
    outputs: dict[str, Any] = {}
    configure(json.loads(settings), json.loads(secrets))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pulumi, "export", outputs.__setitem__)
        program = functools.partial(runpy.run_path, str(CHECKOUT / "__main__.py"))
        items = deploy(with_transforms(program, change))
    for item in items:
        # The SDK says where a release is from in a key that no user sets.
        item.inputs.pop("compat", None)
        # Certificates are made once; the engine ignores their changes, and mocks do not.
        data = inside(item.inputs, "data")
        if "ca.pem" in inside(data, "value"):
            item.inputs["data"] = {**data, "value": {}}
    return {item.urn: item for item in items}, outputs


def previewed(change: Change, deployed: Deployed = ONE_RUNNER) -> Report:
    """Return the report of a change of what is deployed."""
    before, after = (bent(deployed.settings, side) for side in (change.before, change.after))
    old, old_outputs = _registered(before, deployed.secrets_for(before), Change())
    secrets = bent(deployed.secrets_for(after), change.secrets)
    new, new_outputs = _registered(after, secrets, change)
    old = {} if change.first else old
    new = {} if change.last else new
    sent = [event(urn, old.get(urn), new.get(urn)) for urn in dict.fromkeys((*old, *new))]
    outputs = ({} if change.first else old_outputs, {} if change.last else new_outputs)
    file = stack_file(after, change.accepted)
    return assemble.report(
        read([*sent, stack(*outputs)], Scrubber()),
        environment=change.environment,
        stack_file=file,
        settings=file.settings,
        charts=Charts(None),
        scrub=Scrubber(),
        base="0123abc",
        state="2026-11-24T12:00:00Z",
    )


def stack_file(settings: Mapping[str, Any], accepted: Iterable[str] = ()) -> StackFile:
    """The stack file that says this."""
    config: dict[str, Any] = {SETTINGS: settings}
    if accepted:
        config["image-builds:acceptedRisks"] = dict.fromkeys(accepted, "a reason")
    text = yaml.safe_dump({"config": config}, sort_keys=False)
    return StackFile("Pulumi.test.yaml", text)


def event(urn: str, old: Registered | None, new: Registered | None) -> events.EngineEvent:
    """What the engine says of one resource."""
    item = new or old
    assert item
    sides = [side and _stated(side) for side in (old, new)]
    diff = [
        change.path.replace(".value[", "[")
        for change in differences(old and old.inputs, new and new.inputs)
        if old and new
    ]
    return pre_event(
        _operation(old, new, diff),
        urn,
        item.kind,
        item.parent,
        sides[0] and sides[0]["inputs"],
        sides[1] and sides[1]["inputs"],
        diff,
    )


def _stated(item: Registered) -> dict[str, Any]:
    return {"inputs": json.loads(json.dumps(item.inputs))}


def _operation(old: Registered | None, new: Registered | None, diff: list[str]) -> str:
    if old is None or new is None:
        return "create" if old is None else "delete"
    if {"metadata.name", "metadata.namespace", "name", "namespace"} & set(diff):
        return "replace"
    return "update" if diff else "same"


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
