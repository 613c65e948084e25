"""The local commands, each in a process as `make` starts them."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commands.shared import interrupt
from dev.paths import CHECKOUT, STATE_VARIABLE

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a command of dev in a state folder of the test, in a separate process group."""
    environment = {**os.environ, STATE_VARIABLE: str(tmp_path / "state")}

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "dev", *arguments],
            cwd=CHECKOUT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    yield start
    _end(start("clean"))
    assert not (tmp_path / "state").exists()


def _end(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def test_local_commands_survive_each_other_and_ctrl_c(start: Start) -> None:
    """The state folder is new; Ctrl-C comes while the engine is at work."""
    both = [start("up"), start("up", "--stack", "prod")]
    outputs = [_end(process) for process in both]

    assert sum("waiting for it" in output for output in outputs) == 1
    assert all("Available" in output for output in outputs)

    with start("up", "--strategy", "kaniko") as interrupted:
        assert interrupted.stdout
        begun = next(line for line in interrupted.stdout if line.startswith("update"))
        os.killpg(interrupted.pid, signal.SIGINT)
        rest = interrupted.stdout.read()

    assert begun
    assert interrupted.returncode == interrupt.EXIT_CODE
    assert "Traceback" not in rest
    assert rest.splitlines()[-1].startswith("interrupted; run the same command again")
    assert "kaniko" in _end(start("up", "--strategy", "kaniko"))
