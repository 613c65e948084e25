"""Where the program and its stack files are: the folder that contains ``commands``."""

import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAM = ("__main__.py", "components", "requirements.lock", "Pulumi.yaml")
"""What decides which resources follow from a stack file, and which packages run with it."""


def stack_file(name: str) -> Path:
    """Return the path of a stack file, which may not exist."""
    return CHECKOUT / f"Pulumi.{name}.yaml"


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in a folder, and return its answer, whatever it is."""
    return subprocess.run(
        ["git", *arguments],  # noqa: S607 - the user's own, which made this checkout
        cwd=folder,
        check=False,
        capture_output=True,
        encoding="utf-8",
    )


def changed_program(folder: Path, base: str) -> tuple[str, ...] | None:
    """Return the files of the program that differ from those of a commit, None if it is unknown.

    Paths are those in the folder.
    """
    asked = ("diff", "--name-only", "--relative", "-z", base, "--", *PROGRAM)
    try:
        answer = git(folder, *asked)
    except OSError:
        return None
    return None if answer.returncode else tuple(filter(None, answer.stdout.split("\0")))
