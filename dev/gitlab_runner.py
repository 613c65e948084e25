"""Finds the real gitlab-runner, which no package registry carries."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import yaml

from dev.local import STAND_IN_CHART
from dev.toolchain import ToolchainError

VARIABLE = "GITLAB_RUNNER_BIN"
PINNED: str = yaml.safe_load((STAND_IN_CHART / "Chart.yaml").read_text("utf-8"))["appVersion"]
"""The version that the pinned chart deploys."""


def find() -> Path | None:
    """Return the pinned version's program, if there is one.

    Raises:
        ToolchainError: the one that was named is not there, or is another version.
    """
    named = os.environ.get(VARIABLE, "")
    file = shutil.which(named or "gitlab-runner")
    found = _version(file) if file else ""
    if named and found != PINNED:
        message = f"{VARIABLE}={named}: is {found or 'not there'}; name gitlab-runner {PINNED}"
        raise ToolchainError(message)
    return Path(file) if file and found == PINNED else None


def _version(file: str) -> str:
    answer = subprocess.run([file, "--version"], check=False, capture_output=True, text=True)
    stated = re.search(r"Version:\s+v?(\S+)", answer.stdout)
    return stated[1] if stated else "of no stated version"
