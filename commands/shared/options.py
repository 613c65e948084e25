"""The options that several commands have, and those of the command that has the most."""

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
ImportedFiles = Annotated[
    list[Path] | None, typer.Argument(help="Values of the chart, or a config.toml.")
]
NewStack = Annotated[str, typer.Option("--stack", help="The stack whose file is written.")]
Context = Annotated[
    str,
    typer.Option(
        "--cluster",
        help="A context of the kubeconfig: its nodes are read, and its releases without FILES.",
    ),
]
Namespace = Annotated[
    str, typer.Option("--namespace", help="The namespace whose releases are read; by default all.")
]
Pipelines = Annotated[
    list[Path] | None,
    typer.Option("--gitlab-ci", help="A pipeline that is to run there; it may repeat."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a stack file that exists.")]
