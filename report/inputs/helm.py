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
    """Helm failed or is not there; what it said can hold values, and is not told."""


def find() -> Path | None:
    """Return the helm that is on PATH."""
    found = shutil.which("helm")
    return Path(found) if found else None


def run(helm: Path, arguments: Sequence[str], **environment: str) -> list[Tree]:
    """Return the objects that helm prints.

    Args:
        helm: the program.
        arguments: what to do.
        environment: variables beside those of this process.

    Raises:
        HelmError: it ended with a failure, or not within a minute.
    """
    try:
        answer = subprocess.run(
            [str(helm), *arguments],
            # It ends before it is worth collecting garbage, which takes a sixth of its time.
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
