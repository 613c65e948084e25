"""Where the program and its stack files are: the folder that contains ``commands``."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def stack_file(name: str) -> Path:
    """Return the path of a stack file, which may not exist."""
    return CHECKOUT / f"Pulumi.{name}.yaml"
