"""Programs that go on in the background, each with its own log."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

STARTED: list[subprocess.Popen[bytes]] = []
"""Keeps the handles, whose destructor would warn of processes that are meant to go on."""


def plain_environment() -> dict[str, str]:
    """The environment without the user's kubeconfig."""
    return {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}


def spawn(
    command: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in ``folder`` that outlives this process, and append to its log."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**plain_environment(), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    STARTED.append(process)
    return process


def end_of(log: Path) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
