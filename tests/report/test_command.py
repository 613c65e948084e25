import dataclasses
import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pulumi import automation as auto
from pulumi.automation import events

from commands.app import main
from commands.shared.exit_codes import ExitCode
from commands.shared.publishing import TOKEN, is_stale, publish_note
from components.ownership.cluster import Kubeconfig, UnreadableError
from report.inputs import live, preview
from report.inputs.events import RELEASE, Plan
from report.inputs.preview import Preview
from report.outputs import gitlab
from report.redact import Scrubber
from tests.support.previews import pre_event
from tests.support.reports import RAISED, REPORT

ACCEPTED = dataclasses.replace(RAISED, accepted="a reason")


@pytest.fixture(autouse=True)
def _no_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI_MERGE_REQUEST_IID", TOKEN, "CI_MERGE_REQUEST_DIFF_BASE_SHA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "CI_MERGE_REQUEST_IID": "7",
        "CI_SERVER_URL": "https://gitlab.example.com",
        "CI_PROJECT_ID": "5",
        "CI_COMMIT_SHA": "abc",
        "CI_DEFAULT_BRANCH": "main",
        TOKEN: "glpat-PlantedNoteToken",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)


class Stack:
    """Takes the place of a stack."""

    name = "dev"
    workspace = SimpleNamespace(env_vars={"KUBECONFIG": "theirs"})

    def get_all_config(self) -> dict[str, auto.ConfigValue]:
        """Return the config, in which the context is named."""
        return {"kubernetes:context": auto.ConfigValue("ctx")}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Previews say what this list holds, in place of the engine's."""
    received: list[Any] = []

    def select(name: str, **_: object) -> Stack:
        stack = Stack()
        stack.name = name
        return stack

    def run(*_: object) -> Preview:
        plan = preview.read(received, Scrubber())
        return Preview(plan=plan, settings={}, state="", scrub=Scrubber())

    monkeypatch.setattr(auto, "select_stack", select)
    monkeypatch.setattr(preview, "run", run)
    return received


def _run(tmp_path: Path, *arguments: str) -> int:
    return main(["preview", "--output", str(tmp_path / "out"), *arguments])


def _change() -> object:
    kind = "kubernetes:core/v1:ConfigMap"
    return pre_event("create", f"urn:pulumi:dev::image-builds::{kind}::a", kind, new={"data": {}})


def test_every_output_is_written_and_the_code_says_changes(tmp_path: Path, seen: list[Any]) -> None:
    assert _run(tmp_path) == ExitCode.NO_CHANGE

    seen.append(_change())

    assert _run(tmp_path) == ExitCode.CHANGES
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"plan.json", "quality.json", "note.md", "report.html", "digest.txt"}
    assert json.loads((tmp_path / "out" / "plan.json").read_text("utf-8"))["create"] == 1


@pytest.mark.parametrize(
    ("files", "text"),
    [
        (("requirements.lock",), "the program differs from that of the base in requirements.lock"),
        ((), ""),
        (None, "Not compared: the program with that of the base, a commit that this clone"),
    ],
)
def test_another_program_than_that_of_the_base_is_said(
    files: tuple[str, ...] | None,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seen: list[Any],
) -> None:
    def changed(_: Path, base: str) -> tuple[str, ...] | None:
        assert base == "0123abc"
        return files

    monkeypatch.setenv("CI_MERGE_REQUEST_DIFF_BASE_SHA", "0123abc")
    monkeypatch.setattr("commands.preview.changed_program", changed)
    seen.append(_change())

    assert _run(tmp_path) == ExitCode.CHANGES

    assert text in (tmp_path / "out" / "note.md").read_text(encoding="utf-8")


def test_the_settings_of_another_file_are_previewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[Any]
) -> None:
    seen.append(_change())
    own, proposed = tmp_path / "own.yaml", tmp_path / "Pulumi.dev.yaml"
    own.write_text("config: {kubernetes:context: a}", encoding="utf-8")
    risk = "config:\n  image-builds:acceptedRisks: {a/b/c: 'said in the proposal'}\n"
    proposed.write_text(risk, encoding="utf-8")
    monkeypatch.setattr("commands.preview.stack_file", lambda _: own)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType] - a stand-in

    assert _run(tmp_path, "--settings-from", str(proposed)) == ExitCode.CHANGES

    note = (tmp_path / "out" / "note.md").read_text(encoding="utf-8")
    assert "changes of the program: that of the default branch ran" in note
    assert own.read_text(encoding="utf-8") == "config: {kubernetes:context: a}"


NAMESPACE = "kubernetes:core/v1:Namespace"


def _namespace_goes(*, kept: bool = False) -> events.EngineEvent:
    urn = f"urn:pulumi:dev::image-builds::{NAMESPACE}::target-apps"
    event = pre_event("delete", urn, NAMESPACE, old={"metadata": {"name": "apps"}})
    old = cast("Any", event.resource_pre_event).metadata.old
    old.retain_on_delete = kept
    return event


def test_a_preview_lists_what_goes_with_a_namespace(
    tmp_path: Path, seen: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def workloads(*asked: object) -> dict[str, tuple[str, ...]]:
        assert asked == (Kubeconfig("theirs", "ctx"), ["apps"], {"r"})
        return {"apps": tuple(f"Pod p{number}" for number in range(12))}

    monkeypatch.setattr(live, "workloads", workloads)
    seen.append(_namespace_goes())
    urn = f"urn:pulumi:dev::image-builds::{RELEASE}::r"
    seen.append(pre_event("delete", urn, RELEASE, old={"name": "r"}))

    assert _run(tmp_path) == ExitCode.CHANGES

    note = (tmp_path / "out" / "note.md").read_text("utf-8")
    assert "Others have there: Pod p0, Pod p1, " in note
    assert "Pod p9 and 2 more." in note


def test_what_cannot_be_listed_is_a_gap(
    tmp_path: Path, seen: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def workloads(*_: object) -> dict[str, tuple[str, ...]]:
        message = "it says no"
        raise UnreadableError(message)

    monkeypatch.setattr(live, "workloads", workloads)
    seen.append(_namespace_goes())

    assert _run(tmp_path) == ExitCode.CHANGES

    note = (tmp_path / "out" / "note.md").read_text("utf-8")
    assert "Not compared: what others run in the namespaces that are deleted: it says no" in note


def test_a_namespace_that_stays_is_said_with_how_to_remove_it(
    tmp_path: Path, seen: list[Any]
) -> None:
    seen.append(_namespace_goes(kept=True))

    assert _run(tmp_path) == ExitCode.CHANGES

    note = (tmp_path / "out" / "note.md").read_text("utf-8")
    assert "dev: 1 to keep; " in note
    assert "run: kubectl delete namespace apps." in note
    assert "| keep | `target-apps` | Namespace |" in note


def test_a_stack_without_a_file_is_reported_without_lines(tmp_path: Path, seen: list[Any]) -> None:
    seen.append(_change())

    assert _run(tmp_path, "--stack", "nowhere") == ExitCode.CHANGES


def test_an_error_of_pulumi_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def select(*_: object, **__: object) -> object:
        raise auto.CommandError(cast("Any", "no stack named; planted"))

    monkeypatch.setattr(auto, "select_stack", select)

    assert _run(tmp_path) == ExitCode.FAILED
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "planted" not in said


def test_the_users_own_stack_is_selected_and_served_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[str] = []

    def select(name: str, **arguments: Any) -> Stack:  # noqa: ANN401 - the SDK's
        arguments["program"]()
        served.append(name)
        return Stack()

    def run(*_: object) -> Preview:
        plan = Plan(steps=(), old_outputs={}, new_outputs={}, errors=("broken",))
        return Preview(plan=plan, settings={}, state="", scrub=Scrubber())

    monkeypatch.setattr(auto, "select_stack", select)
    monkeypatch.setattr(runpy, "run_path", served.append)
    monkeypatch.setattr(preview, "run", run)

    assert _run(tmp_path, "--stack", "prod") == ExitCode.FAILED
    assert [Path(item).name for item in served] == ["__main__.py", "prod"]


def test_a_deployment_updates_the_named_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[Any]
) -> None:
    updated: list[str] = []

    def update(stack: Stack) -> Plan:
        updated.append(stack.name)
        return preview.read(seen, Scrubber())

    monkeypatch.setattr(preview, "update", update)

    code = main(["deploy", "--stack", "prod", "--output", str(tmp_path / "out")])

    assert (code, updated) == (ExitCode.NO_CHANGE, ["prod"])


@pytest.mark.usefixtures("pipeline")
@pytest.mark.parametrize(
    ("deltas", "raised", "accepted"),
    [
        ((), False, False),
        ((RAISED,), True, False),
        ((ACCEPTED,), False, True),
        ((RAISED, ACCEPTED), True, True),
        ((dataclasses.replace(ACCEPTED, severity="minor"),), False, False),
        ((dataclasses.replace(ACCEPTED, direction="lowered"),), False, False),
    ],
)
def test_a_merge_request_gets_its_note_and_its_labels(
    monkeypatch: pytest.MonkeyPatch, deltas: tuple[Any, ...], *, raised: bool, accepted: bool
) -> None:
    said: list[object] = []

    def publish(_: object, *given: str) -> None:
        said.append(given[:2])

    def label(_: object, *given: str, wanted: bool) -> None:
        said.append((*given, wanted))

    monkeypatch.setattr(gitlab, "publish_note", publish)
    monkeypatch.setattr(gitlab, "label", label)

    publish_note(dataclasses.replace(REPORT, risk_changes=deltas))

    assert said == [
        ("7", "dev"),
        ("7", "risk raised: dev", raised),
        ("7", "risk accepted: dev", accepted),
    ]


@pytest.mark.usefixtures("pipeline")
def test_a_note_that_cannot_be_written_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        message = "GitLab answers 401: make a token"
        raise gitlab.PublishError(message)

    monkeypatch.setattr(gitlab, "publish_note", refuse)

    publish_note(REPORT)

    assert "GitLab answers 401" in capsys.readouterr().err


def test_without_a_token_the_pipeline_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI_MERGE_REQUEST_IID", "7")

    publish_note(REPORT)

    assert TOKEN in capsys.readouterr().out


@pytest.mark.usefixtures("pipeline")
@pytest.mark.parametrize(
    ("reviewed", "refused"), [(REPORT.digest, False), (None, False), ("fedcba9876543210", True)]
)
def test_only_the_plan_that_was_reviewed_is_let_through(
    monkeypatch: pytest.MonkeyPatch, reviewed: str | None, *, refused: bool
) -> None:
    def seen(_: object, *asked: str) -> str | None:
        assert asked == ("abc", "dev", "main")
        return reviewed

    monkeypatch.setattr(gitlab, "reviewed_digest", seen)

    assert is_stale(REPORT) is refused


@pytest.mark.usefixtures("pipeline")
def test_what_was_reviewed_must_be_known_if_there_is_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[Any]
) -> None:
    def refuse(*_: object) -> None:
        message = "GitLab answers 500"
        raise gitlab.PublishError(message)

    monkeypatch.delenv("CI_MERGE_REQUEST_IID")
    monkeypatch.setattr(gitlab, "reviewed_digest", refuse)

    assert _run(tmp_path, "--reviewed") == ExitCode.STALE
    assert seen == []


def test_without_a_token_nothing_is_compared() -> None:
    assert is_stale(REPORT) is False
