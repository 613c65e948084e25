"""Prints which strategy each runner of a stack has, why, and what rules out the others."""

import rich.box
from rich.console import Console
from rich.table import Table

from commands.shared.checkout import stack_file
from commands.shared.exit_codes import ExitCode
from commands.shared.settings import read_settings
from components.settings.explain import explain


def run(stack: str, strategy: str = "") -> ExitCode:
    """Explain a stack file; ``strategy``, in YAML, takes the place of every runner's own."""
    settings = read_settings(stack_file(stack), strategy)
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
