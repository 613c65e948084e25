"""Finds the real gitlab-runner, which no package registry carries."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from components.gitlab_runner import charts
from dev.toolchain.programs import ToolchainError

VARIABLE = "GITLAB_RUNNER_BIN"
"""The ``gitlab-runner`` that runs jobs in the tests, of a version that a supported chart deploys.
Unset means the one on ``PATH``, if it has such a version.
"""


class GitLabRunner(NamedTuple):
    """A real ``gitlab-runner``."""

    file: Path
    version: str


def pinned() -> str:
    """Return the version that the pinned chart deploys."""
    return charts.runner_of(charts.DEFAULT_VERSION)


def installed() -> GitLabRunner | None:
    """Return the program, if there is one of a known version.

    Raises:
        ToolchainError: the one that ``VARIABLE`` names is missing, or has another version.
    """
    named = os.environ.get(VARIABLE, "")
    file = shutil.which(named or "gitlab-runner")
    found = _version(file) if file else ""
    known = charts.known_runners()
    fits = found.rpartition(".")[0] in known
    if named and not fits:
        wanted = f"{known[0]} to {known[-1]}"
        message = f"{VARIABLE}={named}: is {found or 'missing'}; name gitlab-runner {wanted}"
        raise ToolchainError(message)
    return GitLabRunner(Path(file), found) if file and fits else None


def used() -> str:
    """Return the version whose jobs the tests run: the real one's, or the pinned one."""
    real = installed()
    return real.version if real else pinned()


def _version(file: str) -> str:
    answer = subprocess.run([file, "--version"], check=False, capture_output=True, text=True)
    stated = re.search(r"Version:\s+v?(\S+)", answer.stdout)
    return stated[1] if stated else "of no stated version"
