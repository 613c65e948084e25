"""Finds the real gitlab-runner, which no package registry carries."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import yaml

from dev.paths import STAND_IN_CHART
from dev.toolchain.programs import ToolchainError

VARIABLE = "GITLAB_RUNNER_BIN"
"""The ``gitlab-runner`` that runs jobs in the tests, of the version that the pinned chart deploys.
Unset means the one on ``PATH``, if it has that version.
"""


def pinned() -> str:
    """Return the version that the pinned chart deploys."""
    return yaml.safe_load((STAND_IN_CHART / "Chart.yaml").read_text("utf-8"))["appVersion"]


def installed() -> Path | None:
    """Return the pinned version's program, if there is one.

    Raises:
        ToolchainError: the one that ``VARIABLE`` names is missing, or has another version.
    """
    named = os.environ.get(VARIABLE, "")
    file = shutil.which(named or "gitlab-runner")
    found = _version(file) if file else ""
    if named and found != pinned():
        message = f"{VARIABLE}={named}: is {found or 'missing'}; name gitlab-runner {pinned()}"
        raise ToolchainError(message)
    return Path(file) if file and found == pinned() else None


def _version(file: str) -> str:
    answer = subprocess.run([file, "--version"], check=False, capture_output=True, text=True)
    stated = re.search(r"Version:\s+v?(\S+)", answer.stdout)
    return stated[1] if stated else "of no stated version"
