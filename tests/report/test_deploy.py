"""A deployment does what its preview showed, or says what it did instead."""

import dataclasses
from pathlib import Path
from typing import Any, cast

import pytest
from pulumi import automation as auto

from commands import deploy
from commands.shared.exit_codes import ExitCode
from report.inputs import preview
from report.inputs.events import Plan, Step
from report.model import PropertyChange, Report, ResourceChange
from report.redact import SECRET, UNKNOWN
from tests.support.reports import REPORT

KIND = "kubernetes:core/v1:ConfigMap"
URN = f"urn:pulumi:dev::image-builds::{KIND}::a"
QUIET = dataclasses.replace(REPORT, risk_changes=(), violations=())


def _change(operation: str = "update", **values: str | None) -> ResourceChange:
    properties = [
        PropertyChange(path=path.replace("__", "."), old=None, new=new)
        for path, new in values.items()
    ]
    return ResourceChange(
        operation=operation, type=KIND, name="a", urn=URN, properties=tuple(properties)
    )


@pytest.mark.parametrize(
    ("shown", "done"),
    [
        ([], []),
        ([_change(data="1")], [_change(data="1")]),
        ([_change(data=UNKNOWN)], [_change(data="1")]),
        ([_change(data=UNKNOWN)], [_change(data__a="1", data__b="2")]),
        ([_change(data=UNKNOWN)], []),
        ([_change(stringData=SECRET)], [_change(data=SECRET)]),
    ],
    ids=["nothing", "same", "unknown", "an unknown tree", "unknown and no change", "secrets"],
)
def test_what_was_shown_is_no_surprise(
    shown: list[ResourceChange], done: list[ResourceChange]
) -> None:
    assert list(deploy.surprises(shown, done)) == []


@pytest.mark.parametrize(
    ("shown", "done", "line"),
    [
        ([], [_change("create")], "create ConfigMap a: not shown"),
        ([_change("delete", data=None)], [], "delete ConfigMap a: shown and not done"),
        (
            [_change(data="1")],
            [_change("replace", data="1")],
            "replace ConfigMap a: shown was update",
        ),
        (
            [_change(data="1")],
            [_change(data="2")],
            "update ConfigMap a: other values than shown at data",
        ),
        (
            [_change(data=UNKNOWN, date="1")],
            [_change(data="1")],
            "update ConfigMap a: other values than shown at date",
        ),
        (
            [_change(data=UNKNOWN)],
            [_change(data__a="1", database="2")],
            "update ConfigMap a: other values than shown at database",
        ),
    ],
)
def test_what_was_not_shown_is_named_without_its_value(
    shown: list[ResourceChange], done: list[ResourceChange], line: str
) -> None:
    assert list(deploy.surprises(shown, done)) == [line]


class _Stack:
    name = "dev"


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """What the engine does in each update; the tests see how many there were."""
    done: list[Plan] = []

    def update(_: object) -> Plan:
        step = Step(
            operation="create", type=KIND, name="a", urn=URN, parent="", old=None, new={"data": "1"}
        )
        done.append(Plan(steps=(step,), old_outputs={}, new_outputs={}, errors=()))
        return done[-1]

    monkeypatch.setattr(preview, "update", update)
    return done


def _deploy(monkeypatch: pytest.MonkeyPatch, report: Report, **options: Any) -> ExitCode:  # noqa: ANN401 - of run
    def write(*_: object) -> Report:
        return report

    monkeypatch.setattr(deploy, "preview_and_write", write)
    return deploy.run(cast("auto.Stack", _Stack()), output=Path("unused"), **options)


def test_a_preview_that_stops_is_not_deployed(
    monkeypatch: pytest.MonkeyPatch, updates: list[Plan]
) -> None:
    failed = dataclasses.replace(QUIET, errors=("no",))

    assert _deploy(monkeypatch, REPORT) == ExitCode.RISK_RAISED
    assert _deploy(monkeypatch, failed) == ExitCode.FAILED
    assert updates == []


def test_another_plan_than_the_reviewed_one_is_not_deployed(
    monkeypatch: pytest.MonkeyPatch, updates: list[Plan]
) -> None:
    def stale(_: object) -> bool:
        return True

    monkeypatch.setattr(deploy, "is_stale", stale)

    assert _deploy(monkeypatch, QUIET, reviewed=True) == ExitCode.STALE
    assert updates == []


def test_an_update_that_did_what_was_shown_succeeds(
    monkeypatch: pytest.MonkeyPatch, updates: list[Plan]
) -> None:
    shown = dataclasses.replace(QUIET, resources=(_change("create", data="1"),))

    assert _deploy(monkeypatch, shown) == ExitCode.NO_CHANGE
    assert len(updates) == 1


@pytest.mark.usefixtures("updates")
def test_an_update_that_did_more_fails_and_says_what(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = dataclasses.replace(QUIET, resources=())

    assert _deploy(monkeypatch, shown) == ExitCode.STALE
    assert "- create ConfigMap a: not shown" in capsys.readouterr().err


def test_an_update_that_fails_says_how_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> Plan:
        return Plan(steps=(), old_outputs={}, new_outputs={}, errors=("no",))

    monkeypatch.setattr(preview, "update", fail)

    assert _deploy(monkeypatch, QUIET) == ExitCode.FAILED
    assert "deploy again" in capsys.readouterr().err
