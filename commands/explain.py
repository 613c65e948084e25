"""Prints which strategy each runner of a stack has, why, and what rules out the others."""

import sys

import pydantic
import rich.box
from rich.console import Console
from rich.table import Table

from commands.shared.checkout import stack_file
from commands.shared.exit_codes import ExitCode
from components.settings.explain import explain
from components.settings.models import Settings
from report.stack_file import SETTINGS, read_config


def run(stack: str, strategy: str = "") -> ExitCode:
    """Explain a stack file; ``strategy``, in YAML, takes the place of every runner's own."""
    file = stack_file(stack)
    try:
        settings = Settings.model_validate(read_config(file, strategy).get(SETTINGS))
    except pydantic.ValidationError:
        print(f"{file.name}: has errors; a preview lists them", file=sys.stderr)
        return ExitCode.FAILED
    for name, verdicts in explain(settings, settings.plans()).items():
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
    return ExitCode.NO_CHANGE
