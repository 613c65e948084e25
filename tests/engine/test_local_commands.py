"""The local commands, each in a process: as `make` starts them, and as the pages say."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.shared import interrupt
from dev.paths import CHECKOUT, STATE_VARIABLE
from tests.support.pages import README, TASKS, distinct, make_lines, name, run_line

EXPECTED = {
    "make up": "Available",
    "make up STRATEGY=kaniko": "kaniko",
    "make up STACK=prod": "image-builds-prod",
}
"""What some lines print."""


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment whose local state is that of these tests, at first none."""
    state = tmp_path_factory.mktemp("local") / "state"
    environment = {**os.environ, STATE_VARIABLE: str(state)}
    yield environment
    run_line("make clean", CHECKOUT, environment)
    assert not state.exists()


def _start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start a command of dev in a separate process group."""
    return subprocess.Popen(
        [sys.executable, "-m", "dev", *arguments],
        cwd=CHECKOUT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def test_local_commands_survive_each_other_and_ctrl_c(local: dict[str, str]) -> None:
    """The state folder is new; Ctrl-C comes while the engine is at work."""
    both = [_start(local, "up"), _start(local, "up", "--stack", "prod")]
    outputs = [_end(process) for process in both]

    assert sum("waiting for it" in output for output in outputs) == 1
    assert all("Available" in output for output in outputs)

    with _start(local, "up", "--strategy", "kaniko") as interrupted:
        assert interrupted.stdout
        begun = next(line for line in interrupted.stdout if line.startswith("update"))
        os.killpg(interrupted.pid, signal.SIGINT)
        rest = interrupted.stdout.read()

    assert begun
    assert interrupted.returncode == interrupt.EXIT_CODE
    assert "Traceback" not in rest
    assert rest.splitlines()[-1].startswith("interrupted; run the same command again")
    assert "kaniko" in _end(_start(local, "up", "--strategy", "kaniko"))
    assert "nothing changed" in _end(_start(local, "up", "--strategy", "kaniko"))


def _walked() -> list[Path]:
    """The pages whose lines are run: first those that leave the cluster up."""
    pages = distinct(TASKS, make_lines)
    return sorted(pages, key=lambda page: ("make clean" in make_lines(page), page == README))


@pytest.mark.parametrize("page", _walked(), ids=name)
def test_lines_of_a_page_work_in_its_order(page: Path, local: dict[str, str]) -> None:
    before = subprocess.check_output(["git", "status", "--porcelain"], cwd=CHECKOUT)
    for line in make_lines(page):
        assert EXPECTED.get(line, "") in run_line(line, CHECKOUT, local)
    after = subprocess.check_output(["git", "status", "--porcelain"], cwd=CHECKOUT)

    assert after == before
