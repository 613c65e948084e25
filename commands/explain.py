"""Print which strategy each runner of a stack has, why, and why not another."""

import os
import sys

import pydantic
import rich.box
from rich.console import Console
from rich.table import Table

from components.settings.explain import explain
from components.settings.models import Settings
from dev.paths import CHECKOUT
from report.stack_file import SETTINGS, StackFileError, read_config


def main() -> None:
    """Explain the stack that ``$STACK`` names, with ``$STRATEGY`` for every runner if it is set."""
    file = CHECKOUT / f"Pulumi.{os.environ['STACK']}.yaml"
    try:
        config = read_config(file, os.environ.get("STRATEGY", ""))
        settings = Settings.model_validate(config.get(SETTINGS))
    except StackFileError as error:
        sys.exit(str(error))
    except pydantic.ValidationError:
        sys.exit(f"{file.name}: has mistakes, which make preview tells one by one")
    for name, verdicts in explain(settings).items():
        table = Table(title=f"runners.{name}", box=rich.box.SIMPLE, title_justify="left")
        for column in ("strategy", "Pod Security", "privilege of a job", "why"):
            table.add_column(column, overflow="fold")
        for verdict in verdicts:
            table.add_row(
                verdict.strategy,
                verdict.pod_security,
                verdict.privilege,
                verdict.reason,
                style="bold" if verdict.chosen else None,
            )
        Console().print(table)


if __name__ == "__main__":
    main()
