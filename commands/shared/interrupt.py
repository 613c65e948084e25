"""Ctrl-C ends a command in one line, without a traceback."""

import contextlib
import os
import signal
import sys
from collections.abc import Generator
from types import FrameType

EXIT_CODE = 128 + signal.SIGINT
"""What shells report of a command that Ctrl-C ended."""
_ENDED = b"interrupted; run the same command again, it finishes the work\n"
_ASKED = b"interrupted; the engine finishes what it has begun, Ctrl-C again ends it at once\n"


def end_in_one_line() -> None:
    """Have Ctrl-C end this process from now on; call it before anything slow is imported."""
    signal.signal(signal.SIGINT, _end)


def end_by_request_too() -> None:
    """Have what ends a job of a pipeline (SIGTERM) count as Ctrl-C, so that things are removed."""
    signal.signal(signal.SIGTERM, _end)


@contextlib.contextmanager
def left_to_the_engine() -> Generator[None]:
    """Let the engine, to which the terminal sends the same Ctrl-C, end before this process does.

    It would lose the program and the events in the midst of an update otherwise.
    """
    asked = False

    def wait(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            _end(number, frame)
        asked = True
        _say(_ASKED)

    before = signal.signal(signal.SIGINT, wait)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if asked:
            _end(signal.SIGINT, None)


def _end(_number: int, _frame: FrameType | None) -> None:
    # What is asked to stop from here on would only say so in a traceback.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _say(_ENDED)
    sys.exit(EXIT_CODE)


def _say(line: bytes) -> None:
    # A handler may interrupt a print, which cannot be entered twice.
    os.write(sys.stderr.fileno(), line)
