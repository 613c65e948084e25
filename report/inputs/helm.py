"""Finds and runs helm, for what it prints: Kubernetes objects."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from report.tree import Tree

_TIMEOUT = 60.0


class HelmError(Exception):
    """Helm failed; its output can contain values, so it is not in the message."""


def find() -> Path | None:
    """Return the helm that is on PATH."""
    found = shutil.which("helm")
    return Path(found) if found else None


def run(helm: Path, arguments: Sequence[str], **environment: str) -> list[Tree]:
    """Return the objects that helm prints; it has ``environment`` besides that of this process.

    Raises:
        HelmError: helm fails, or does not end within a minute.
    """
    try:
        answer = subprocess.run(
            [str(helm), *arguments],
            # Helm ends soon, and collecting garbage takes a sixth of its time.
            env={**os.environ, "GOGC": "off", **environment},
            check=True,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise HelmError from error
    # The loader in C, since many runners have many objects.
    return [found for found in yaml.load_all(answer.stdout, yaml.CSafeLoader) if found]
