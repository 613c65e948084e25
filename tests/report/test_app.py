import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation as auto

from commands.app import main
from commands.shared.checkout import CHECKOUT
from commands.shared.exit_codes import ExitCode

COMMANDS = ["preview", "deploy", "drift", "compare", "explain", "doctor", "pipeline", "policies"]


def test_the_help_lists_every_command_and_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["commands", "--help"])

    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("commands", run_name="__main__")

    assert stopped.value.code == 0
    words = " ".join(capsys.readouterr().out.split())
    assert [name for name in COMMANDS if name not in words] == []
    assert [code for code in ExitCode if f"{code:d} {code.meaning[:30]}" not in words] == []


def test_the_help_imports_no_engine() -> None:
    program = (
        "import sys; from commands.app import main; main(['--help']); print(list(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, check=True, capture_output=True, text=True
    )

    assert "'typer'" in answer.stdout
    assert "'pulumi'" not in answer.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert "--stack" in capsys.readouterr().out


def test_without_a_command_the_help_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == ExitCode.FAILED
    captured = capsys.readouterr()
    assert ("policies" in captured.out, captured.err) == (True, "")


@pytest.mark.parametrize("arguments", [["preview", "--stak"], ["previw"], ["compare"]], ids=str)
def test_a_usage_error_is_a_failure_and_never_a_change(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == ExitCode.FAILED
    assert "--help" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("image-builds p", ["preview", "pipeline", "policies"]),
        ("image-builds explain --stack ", ["dev", "prod"]),
        ("image-builds explain --stack p", ["prod"]),
    ],
)
def test_a_shell_completes_commands_and_stacks(
    words: str,
    offered: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("_IMAGE_BUILDS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))

    with pytest.raises(SystemExit):
        main([], "image-builds")

    assert capsys.readouterr().out.split() == offered


def test_the_script_is_the_same_command_line_by_one_word() -> None:
    command = [CHECKOUT / "image-builds", "policies", "--help"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)

    assert "Usage: image-builds policies" in answer.stdout


def test_a_runner_is_explained_with_another_strategy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--stack", "dev", "--strategy", "kaniko"]) == 0
    assert "kaniko" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "Pulumi.dev.yaml does not exist"),
        ("config: {}", "Pulumi.dev.yaml: has errors; a preview lists them"),
    ],
)
def test_what_cannot_be_explained_is_one_line(
    text: str | None,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("commands.shared.checkout.CHECKOUT", tmp_path)
    if text:
        (tmp_path / "Pulumi.dev.yaml").write_text(text, encoding="utf-8")

    assert main(["explain"]) == ExitCode.FAILED
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_policies_read_the_state_in_the_stacks_backend(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stack:
        """A stack whose backend has no resources of it."""

        name = "empty"

        def export_stack(self) -> auto.Deployment:
            return auto.Deployment(version=3, deployment={"manifest": {}})

    def select(*_: Any, **__: Any) -> Stack:  # noqa: ANN401 - the SDK's
        return Stack()

    monkeypatch.setattr(auto, "select_stack", select)

    assert main(["policies", "--stack", "empty"]) == ExitCode.NO_CHANGE
    assert "empty: has no resources" in capsys.readouterr().out
