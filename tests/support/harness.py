"""Runs a program with the recorder and keeps what it registered; assertions stay outside."""

import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from components.arguments import environment_args
from components.resources.environment import EnvironmentArgs
from components.settings.load import Stack
from report.inputs.recorder import Recorder, RegisteredResource
from report.redact import MARK

YEAR = 2026
"""The year in which tests place a stack, whatever the clock says."""


def is_secret(value: object) -> bool:
    """Whether a recorded input is marked secret."""
    return isinstance(value, dict) and MARK in cast("dict[str, Any]", value)


def unmarked(value: object) -> str:
    """Return the text of all that is not marked secret in a recorded input."""
    if is_secret(value):
        return ""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return "\n".join(f"{key} {unmarked(item)}" for key, item in table.items())
    if isinstance(value, list):
        return "\n".join(map(unmarked, cast("list[object]", value)))
    return str(value)


def eventually(holds: Callable[[], bool]) -> None:
    """Claim that something comes true within two minutes."""
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def in_year(program: Callable[[], object], year: int = YEAR) -> Callable[[], None]:
    """Have ``__main__.py``, which takes the year from the clock, run in another one."""

    def place(stack: Stack, _: int) -> EnvironmentArgs:
        return environment_args(stack, year)

    def run() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("components.arguments.environment_args", place)
            program()

    return run


def deploy(program: Callable[[], object], *, preview: bool = False) -> list[RegisteredResource]:
    """Run ``program`` and return what it registered, in order.

    Raises:
        Exception: any that the program or one of its ``apply`` raised.
    """
    recorder = Recorder("test", preview=preview)
    recorder.run(program)
    return recorder.registered
