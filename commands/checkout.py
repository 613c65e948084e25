"""Where the program and its stack files are: the folder that holds ``commands``."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def stack_file(name: str) -> Path:
    """Return the stack file of a stack, which need not exist."""
    return CHECKOUT / f"Pulumi.{name}.yaml"
