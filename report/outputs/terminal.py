"""The report on a terminal, in colour if it has any."""

import itertools
from collections.abc import Iterable, Iterator

import rich.box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from report.model import ObjectChange, Report, ResourceChange, Risk, Violation
from report.outputs import phrases

_STYLES: dict[Risk, str] = {
    "failed": "bold red",
    "raised": "bold red",
    "accepted": "bold yellow",
    "lowered": "bold green",
    "minor": "bold",
    "unchanged": "bold",
}
_SIGNS = {"-": "red", "+": "green", "@": "dim"}


def write(report: Report, console: Console) -> None:
    """Print the report; values are plain text, never markup of rich."""
    style = _STYLES["raised" if report.stops else report.risk]
    console.print(_text(phrases.heading(report), style))
    for error in report.errors:
        console.print(_text(error, "red"))
    if report.errors:
        return
    _summary(report, console)
    # At once: each call of print takes rich as long as dozens of lines.
    if details := list(_details(report)):
        console.print(Text("\n").join(details), soft_wrap=True)


def _summary(report: Report, console: Console) -> None:
    for effect in report.effects:
        console.print(_text(f"• {effect.text}", "bold red" if effect.loud else ""))
    undo = (f"To revert: {command}" for command in report.undo)
    for sentence in (*undo, *report.sentences):
        console.print(_text(f"• {sentence}"), soft_wrap=True)
    for gap in report.gaps:
        console.print(_text(f"• Not compared: {gap}", "yellow"))
    if report.risk_changes:
        console.print(_security(report))
    policies(report.violations, report.stack_file, console)
    if (wanted := phrases.acceptance(report.unaccepted)) and not report.drift:
        console.print(_text(f"To accept this, add the reasons to {report.stack_file}:"))
        # Not wrapped, so that it can be copied.
        console.print(_text(wanted, "yellow"), soft_wrap=True)


def _details(report: Report) -> Iterator[Text]:
    for runner, keys in itertools.groupby(report.keys, lambda key: key.runner):
        yield _section(f"config.toml of runner {runner}")
        for key in keys:
            yield _text(key.change.path).append(f"  {key.meaning}", "dim")
            yield from _lines(phrases.values(key.change))
    if report.objects:
        yield _section("What the chart renders")
        yield from _changes(report.objects, report)
    if report.resources:
        yield _section("Resources")
        yield from _changes(report.resources, report)


def _section(name: str) -> Text:
    return _text(f"\n{name}", "bold underline")


def _changes(changes: Iterable[ObjectChange | ResourceChange], report: Report) -> Iterator[Text]:
    for change in changes:
        yield _text(phrases.title(change), "bold")
        # New objects are in the stack file and the page, and config.toml is above.
        if change.operation != "create":
            known = {"values.runners.config", 'data["config.template.toml"]'} if report.keys else ()
            shown = (item for item in change.properties if item.path not in known)
            yield from _lines(phrases.diff(shown))


def _security(report: Report) -> Table:
    table = Table(box=rich.box.SIMPLE)
    for column in ("risk", "what", "why it matters", "where"):
        table.add_column(column, overflow="fold")
    for item in report.risk_changes:
        raised = item.direction == "raised"
        style = "" if not raised or not item.weighs else "yellow" if item.accepted else "red"
        where = f"{report.stack_file}:{item.line}" if item.line else item.key
        cells = (phrases.word(item), item.what, phrases.why(item), where)
        table.add_row(*(_text(cell) for cell in cells), style=style if raised else "green")
    return table


def policies(violations: Iterable[Violation], stack_file: str, console: Console) -> None:
    """Print the violations of rules."""
    for item in violations:
        style = "red" if item.stops else "yellow" if item.accepted else ""
        where = f"{stack_file}:{item.line}" if item.line else item.key
        console.print(_text(f"{item.rule}, {phrases.level(item)}: {item.what} ({where})", style))
        console.print(_text(f"  {phrases.advice(item)}"))


def _lines(lines: Iterable[str]) -> Iterator[Text]:
    for line in lines:
        yield _text(line, _SIGNS.get(line[0], ""))


def _text(text: str, style: str = "") -> Text:
    """Return a text in which no character commands the terminal."""
    return Text(phrases.visible(text), style)
