import os
import signal
import subprocess
import sys
from collections.abc import Generator

import pytest

from commands.shared import interrupt
from dev.paths import CHECKOUT


@pytest.fixture(autouse=True)
def handler() -> Generator[None]:
    """Give pytest its own handler back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, known in before.items():
        signal.signal(number, known)


def _ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_a_command_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    interrupt.end_in_one_line()

    with pytest.raises(SystemExit) as ended:
        _ctrl_c()

    assert ended.value.code == 130
    assert (
        capfd.readouterr().err == "interrupted; run the same command again, it finishes the work\n"
    )


def test_the_end_of_a_pipelines_job_counts_as_ctrl_c(capfd: pytest.CaptureFixture[str]) -> None:
    interrupt.end_by_request_too()

    with pytest.raises(SystemExit) as ended:
        os.kill(os.getpid(), signal.SIGTERM)

    assert ended.value.code == 130
    assert capfd.readouterr().err.startswith("interrupted")


def _run_an_engine(*, ctrl_c: int) -> Generator[str]:
    with interrupt.left_to_the_engine():
        for _ in range(ctrl_c):
            _ctrl_c()
        yield "what the engine had begun is done"


def test_ctrl_c_lets_the_engine_end_first(capfd: pytest.CaptureFixture[str]) -> None:
    engine = _run_an_engine(ctrl_c=1)

    assert next(engine)
    with pytest.raises(SystemExit):
        next(engine)
    assert len(capfd.readouterr().err.splitlines()) == 2


def test_a_second_ctrl_c_waits_for_nothing() -> None:
    with pytest.raises(SystemExit):
        next(_run_an_engine(ctrl_c=2))


def test_ctrl_c_has_its_usual_meaning_after_the_engine() -> None:
    before = signal.getsignal(signal.SIGINT)

    with interrupt.left_to_the_engine():
        assert signal.getsignal(signal.SIGINT) is not before

    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("package", ["commands", "dev"])
def test_ctrl_c_may_come_while_a_command_starts(package: str) -> None:
    """The signal is sent by the first import that takes time."""
    script = (
        "import builtins, os, runpy, signal\n"
        "real = builtins.__import__\n"
        "def slow(name, *args, **kwargs):\n"
        "    if name == 'typer':\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(name, *args, **kwargs)\n"
        "builtins.__import__ = slow\n"
        f"runpy.run_module({package!r}, run_name='__main__')\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=CHECKOUT, check=False, capture_output=True, text=True
    )

    assert (ended.returncode, len(ended.stderr.splitlines())) == (130, 1)
