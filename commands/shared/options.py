"""The options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from commands.shared.checkout import CHECKOUT


def _stacks(incomplete: str) -> list[str]:
    """Return what a shell offers for --stack: the stacks that have a file."""
    names = [file.name.split(".")[1] for file in sorted(CHECKOUT.glob("Pulumi.?*.yaml"))]
    return [name for name in names if name.startswith(incomplete)]


Stack = Annotated[
    str,
    typer.Option("--stack", help="The stack, as in Pulumi.<stack>.yaml.", autocompletion=_stacks),
]
Reviewed = Annotated[
    bool,
    typer.Option(
        "--reviewed", help="Fail if the merge request of this commit showed another plan."
    ),
]
Output = Annotated[Path, typer.Option("--output", help="The folder to write to.")]
