import contextlib
import dataclasses
import json
import runpy
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest
from pulumi import automation as auto

from commands import preview as command
from report.inputs import preview
from report.inputs.events import Plan
from report.inputs.preview import Preview
from report.model import (
    CHANGES,
    FAILED,
    NO_CHANGE,
    STALE,
)
from report.outputs import gitlab
from report.stack_file import StackFileError
from report.values import Scrubber
from tests.report.test_outputs import RAISED, REPORT
from tests.support.previewed import pre_event


@pytest.fixture(autouse=True)
def _no_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI_MERGE_REQUEST_IID", command.TOKEN, "CI_MERGE_REQUEST_DIFF_BASE_SHA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "CI_MERGE_REQUEST_IID": "7",
        "CI_SERVER_URL": "https://gitlab.example.com",
        "CI_PROJECT_ID": "5",
        "CI_COMMIT_SHA": "abc",
        command.TOKEN: "glpat-PlantedNoteToken",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Previews say what this list holds, in place of the engine's."""
    received: list[Any] = []

    @contextlib.contextmanager
    def opened(*_: object, **__: object) -> Generator[None]:
        yield

    def run(*_: object) -> Preview:
        plan = preview.read(received, Scrubber())
        return Preview(plan=plan, settings={}, state="", scrub=Scrubber())

    monkeypatch.setattr(command, "opened", opened)
    monkeypatch.setattr(preview, "run", run)
    return received


def _run(tmp_path: Path, *arguments: str) -> int:
    return command.main(["--output", str(tmp_path / "out"), *arguments])


def _change() -> object:
    kind = "kubernetes:core/v1:ConfigMap"
    return pre_event("create", f"urn:pulumi:dev::image-builds::{kind}::a", kind, new={"data": {}})


def test_every_output_is_written_and_the_code_says_whether_something_changes(
    tmp_path: Path,
    seen: list[Any],
) -> None:
    assert _run(tmp_path) == NO_CHANGE

    seen.append(_change())

    assert _run(tmp_path) == CHANGES
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"plan.json", "quality.json", "note.md", "report.html", "digest.txt"}
    assert json.loads((tmp_path / "out" / "plan.json").read_text("utf-8"))["create"] == 1


def test_a_stack_without_a_file_is_reported_without_lines(
    tmp_path: Path,
    seen: list[Any],
) -> None:
    seen.append(_change())

    assert _run(tmp_path, "--stack", "nowhere") == CHANGES


@pytest.mark.parametrize(
    "error",
    [
        StackFileError("what to do"),
        auto.CommandError(cast("Any", "no stack named; planted")),
    ],
)
def test_what_stops_a_preview_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    def opened(*_: object, **__: object) -> object:
        raise error

    monkeypatch.setattr(command, "opened", opened)

    assert _run(tmp_path) == FAILED
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "planted" not in said


def test_the_local_stack_is_opened_on_the_local_control_plane(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[Any] = []

    class Local:
        """Takes the place of the local stack."""

        def __init__(self, *place: object) -> None:
            """Keep what it was made of."""
            opened.append(place)

        @contextlib.contextmanager
        def open(self, strategy: str) -> Generator[str]:
            yield strategy

    class Plane:
        """Takes the place of the control plane."""

        kubeconfig = "kubeconfig"

        def __init__(self, _: object) -> None:
            """Take a folder."""

        def up(self) -> None:
            opened.append("up")

    def run(stack: object, _: object) -> Preview:
        opened.append(stack)
        plan = Plan(steps=(), old_outputs={}, new_outputs={}, errors=())
        return Preview(plan=plan, settings={}, state="", scrub=Scrubber())

    monkeypatch.setenv("IMAGE_BUILDS_STATE", str(tmp_path))
    monkeypatch.setattr(command, "LocalStack", Local)
    monkeypatch.setattr(command.cluster, "Cluster", Plane)
    monkeypatch.setattr(preview, "run", run)

    assert _run(tmp_path, "--local", "--strategy", "kaniko") == NO_CHANGE
    assert opened == ["up", ("dev", tmp_path, "kubeconfig"), "kaniko"]


def test_the_users_own_stack_is_selected_and_served_the_program(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served: list[str] = []

    def select(name: str, **arguments: Any) -> str:  # noqa: ANN401 - the SDK's
        arguments["program"]()
        return name

    def run(stack: object, _: object) -> Preview:
        served.append(str(stack))
        plan = Plan(steps=(), old_outputs={}, new_outputs={}, errors=("broken",))
        return Preview(plan=plan, settings={}, state="", scrub=Scrubber())

    monkeypatch.setattr(auto, "select_stack", select)
    monkeypatch.setattr(runpy, "run_path", served.append)
    monkeypatch.setattr(preview, "run", run)

    assert _run(tmp_path, "--stack", "prod") == FAILED
    assert [Path(item).name for item in served] == ["__main__.py", "prod"]


@pytest.mark.usefixtures("pipeline")
@pytest.mark.parametrize("deltas", [(), (RAISED,)])
def test_a_merge_request_gets_its_note_and_the_label_of_a_raised_risk(
    monkeypatch: pytest.MonkeyPatch,
    deltas: tuple[Any, ...],
) -> None:
    said: list[object] = []

    def publish(_: object, *given: str) -> None:
        said.append(given[:2])

    def label(_: object, *given: str, wanted: bool) -> None:
        said.append((*given, wanted))

    monkeypatch.setattr(gitlab, "publish", publish)
    monkeypatch.setattr(gitlab, "label", label)

    command.publish(dataclasses.replace(REPORT, deltas=deltas))

    assert said == [("7", "dev"), ("7", "risk raised: dev", bool(deltas))]


@pytest.mark.usefixtures("pipeline")
def test_a_note_that_cannot_be_written_is_told_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: object) -> None:
        message = "GitLab answers 401: make a token"
        raise gitlab.PublishError(message)

    monkeypatch.setattr(gitlab, "publish", refuse)

    command.publish(REPORT)

    assert "GitLab answers 401" in capsys.readouterr().err


def test_without_a_token_the_pipeline_says_so(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CI_MERGE_REQUEST_IID", "7")

    command.publish(REPORT)

    assert command.TOKEN in capsys.readouterr().out


@pytest.mark.usefixtures("pipeline")
@pytest.mark.parametrize(
    ("reviewed", "refused"),
    [(REPORT.digest, False), (None, False), ("fedcba9876543210", True)],
)
def test_only_the_plan_that_was_reviewed_is_let_through(
    monkeypatch: pytest.MonkeyPatch,
    reviewed: str | None,
    *,
    refused: bool,
) -> None:
    def seen(*_: object) -> str | None:
        return reviewed

    monkeypatch.setattr(gitlab, "reviewed", seen)

    assert command.stale(REPORT) is refused


@pytest.mark.usefixtures("pipeline")
def test_what_was_reviewed_must_be_known_if_there_is_a_token(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seen: list[Any],
) -> None:
    def refuse(*_: object) -> None:
        message = "GitLab answers 500"
        raise gitlab.PublishError(message)

    monkeypatch.delenv("CI_MERGE_REQUEST_IID")
    monkeypatch.setattr(gitlab, "reviewed", refuse)

    assert _run(tmp_path, "--reviewed") == STALE
    assert seen == []


def test_without_a_token_nothing_is_compared() -> None:
    assert command.stale(REPORT) is False


def test_the_package_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["report", "--help"])

    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("commands", run_name="__main__")

    assert stopped.value.code == 0
