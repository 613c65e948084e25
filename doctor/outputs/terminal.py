"""A diagnosis on a terminal."""

import rich.box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from doctor.diagnosis import Diagnosis
from doctor.outputs.phrases import parts, reasons, title

_STYLES = {"error": "bold red", "warning": "yellow"}


def write(found: Diagnosis, console: Console) -> None:
    """Print the verdicts, what is wrong with the way out, and what was not looked at."""
    verdicts = Table(title=f"{found.stack} on {found.context}", box=rich.box.SIMPLE)
    verdicts.title_justify = "left"
    for column in ("what", "verdict"):
        verdicts.add_column(column, overflow="fold")
    for runner in parts(found):
        verdicts.add_row(title(runner), found.verdict(runner))
    console.print(verdicts)
    for item in found.faults:
        console.print(
            f"[{_STYLES[item.check.severity]}]{item.check.severity}[/] {item.check.name} "
            f"({escape(title(item.runner))}): {escape(item.message)}\n"
            f"  What to do: {escape(item.way_out)} See docs/{escape(item.check.page)}.",
            soft_wrap=True,
        )
    for (runner, reason), names in reasons(found).items():
        text = f"did not run ({title(runner)}): {', '.join(names)}: {reason}"
        console.print(escape(text), style="dim", soft_wrap=True)
