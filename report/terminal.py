"""The report on a terminal, in colour where there is one."""

from collections.abc import Iterable

import rich.box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from report.lines import diff, title
from report.model import Report, Risk, Violation
from report.note import heading, level

_STYLES: dict[Risk, str] = {
    "failed": "bold red",
    "raised": "bold red",
    "accepted": "bold yellow",
    "lowered": "bold green",
    "unchanged": "bold",
}
_SIGNS = {"-": "red", "+": "green", "@": "dim"}


def write(report: Report, console: Console) -> None:
    """Print the report; values are text, never rich's markup."""
    style = _STYLES["raised" if report.stops else report.risk]
    console.print(Text(heading(report), style))
    for error in report.errors:
        console.print(Text(error, "red"))
    if report.errors:
        return
    for effect in report.effects:
        console.print(Text(f"• {effect.text}", "bold red" if effect.loud else ""))
    for sentence in report.sentences:
        console.print(Text(f"• {sentence}"))
    for gap in report.gaps:
        console.print(Text(f"• Not looked at: {gap}", "yellow"))
    if report.deltas:
        console.print(_security(report))
    policies(report.violations, report.stack_file, console)
    for key in report.keys:
        console.print(Text(f"{key.runner} {key.change.path}: {key.meaning}", "bold"))
        _lines(diff([key.change]), console)
    for change in (*report.objects, *report.resources):
        console.print(Text(title(change), "bold"))
        # Whatever is new can be read in the stack file and in the page.
        if change.operation != "create":
            _lines(diff(change.properties), console)


def _security(report: Report) -> Table:
    table = Table(box=rich.box.SIMPLE)
    for column in ("risk", "what", "why it matters", "where"):
        table.add_column(column, overflow="fold")
    for delta in report.deltas:
        raised = delta.direction == "raised"
        word = "accepted" if delta.accepted else delta.severity
        style = "" if not raised or not delta.weighs else "yellow" if delta.accepted else "red"
        where = f"{report.stack_file}:{delta.line}" if delta.line else delta.key
        cells = (f"raised, {word}" if raised else "lowered", delta.what, delta.reason, where)
        table.add_row(*(Text(cell) for cell in cells), style=style if raised else "green")
    return table


def policies(violations: Iterable[Violation], stack_file: str, console: Console) -> None:
    """Print violated rules."""
    for item in violations:
        style = "red" if item.stops else "yellow" if item.accepted else ""
        where = f"{stack_file}:{item.line}" if item.line else item.key
        console.print(Text(f"{item.rule}, {level(item)}: {item.what} ({where})", style))
        console.print(Text(f"  {item.remediation}"))


def _lines(lines: Iterable[str], console: Console) -> None:
    for line in lines:
        console.print(Text(line, _SIGNS.get(line[0], "")))
