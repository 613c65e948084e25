"""The command, on a stack of Pulumi and an API server that answers by HTTP."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation as auto

from commands.app import main
from commands.shared.exit_codes import ExitCode
from tests.support.clinic import World, config, kubeconfig, world
from tests.support.configured import PULL, PUSH, TOKEN
from tests.support.servers import Reply, serving
from tests.support.stacks import encodings


class _Workspace:
    env_vars: Mapping[str, str] = {}


class _Opened:
    """A stack with a config."""

    name = "test"
    workspace = _Workspace()

    def __init__(self, values: dict[str, auto.ConfigValue]) -> None:
        self.get_all_config = lambda: values


def _run(
    at: World, folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str, context: str = ""
) -> int:
    def answers(method: str, path: str, _: Mapping[str, str], body: bytes) -> Reply:
        answer = at.api.ask(method, path, json.loads(body or b"null"))
        return Reply(answer.status, answer.body)

    settings = at.wanted.settings
    values = config(
        {
            "gitlab.url": settings.gitlab.url,
            "registries.0.host": settings.registries[0].host,
            "chart": {"repository": settings.chart.repository},
        }
    )

    def select(*_: Any, **__: Any) -> _Opened:  # noqa: ANN401 - the SDK's
        return _Opened(values)

    monkeypatch.setattr(auto, "select_stack", select)
    with serving(answers) as host:
        file = kubeconfig(folder, f"http://{host}").kubeconfig
        if context:
            values["kubernetes:context"] = auto.ConfigValue(context)
        monkeypatch.setenv("KUBECONFIG", file)
        return main(["doctor", "--output", str(folder / "out"), *options])


def test_a_healthy_stack_has_exit_code_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with world() as at:
        code = _run(at, tmp_path, monkeypatch)

    assert code == ExitCode.NO_CHANGE, capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "doctor.json").read_text("utf-8"))["faults"] == []


def test_a_fault_has_its_exit_code_and_no_output_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with world() as at:
        at.api.refusals["/api/v1/namespaces/builds-main/pods"] = f"quota {TOKEN} {PULL} {PUSH}"
        code = _run(at, tmp_path, monkeypatch, "--repository", "registry.example.com/app")
    printed = capsys.readouterr()
    files = [file.read_text("utf-8") for file in (tmp_path / "out").iterdir()]
    text = "\n".join([printed.out, printed.err, *files])

    assert code == ExitCode.CHANGES
    assert text.count("[secret]") >= 6
    assert [secret for secret in encodings([TOKEN, PULL, PUSH]) if secret in text] == []


def test_a_context_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with world() as at:
        code = _run(at, tmp_path, monkeypatch, context="elsewhere")

    assert code == ExitCode.FAILED
    assert "check its path and kubernetes:context" in capsys.readouterr().err


@pytest.mark.parametrize(
    "repository", ["r.example.com/app:1.0", "https://r.example.com/app", "App"]
)
def test_a_repository_that_is_none_is_one_line(
    repository: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with world() as at:
        code = _run(at, tmp_path, monkeypatch, "--repository", repository)

    assert code == ExitCode.FAILED
    assert "--repository must be a repository" in capsys.readouterr().err


def test_a_build_that_nobody_may_make_did_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ends the job of a pipeline lets it clean up."""
    ended: list[bool] = []
    monkeypatch.setattr("commands.doctor.interrupt.end_by_request_too", lambda: ended.append(True))
    with world() as at:
        at.api.refusals["/apis/batch"] = "jobs is forbidden"
        code = _run(at, tmp_path, monkeypatch, "--build", "--repository", "r.example.com/app")

    content = json.loads((tmp_path / "out" / "doctor.json").read_text("utf-8"))
    reasons = {item["check"]: item["reason"] for item in content["notRun"]}
    assert code == ExitCode.NO_CHANGE
    assert "cannot be made in builds-main: jobs is forbidden" in reasons["build"]
    assert ended == [True]


def test_another_strategy_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with world(deployed=False) as at:
        at.api.find("Node", "worker")["status"]["nodeInfo"]["osImage"] = "CentOS Linux 8"
        _run(at, tmp_path, monkeypatch, "--what-if", "{kind: buildah}")

    content = json.loads((tmp_path / "out" / "doctor.json").read_text("utf-8"))
    assert {item["check"] for item in content["faults"]} == {"declared-os", "node-cgroup"}
