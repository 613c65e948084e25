"""The report of an import on a terminal, key by key."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from components.settings.errors import visible
from convert.items import Problem
from convert.site import security
from convert.site.importer import Imported
from convert.site.model import OUTCOMES, KeyFinding
from convert.site.secrets import scrub

_STYLES = {
    "taken": "green",
    "asks": "yellow",
    "extra": "yellow",
    "refused": "red",
    "unknown": "dim",
    "product": "dim",
}


def problems(found: list[Problem], console: Console) -> None:
    """Print what is wrong with the files, a line for each."""
    for problem in found:
        _print(str(problem), "red" if problem.fatal else "dim", console)


def write(imported: Imported, console: Console) -> None:
    """Print what becomes of each key, what changes for security, and the commands that are left."""
    for line, style in _lines(imported):
        _print(line, style, console)


def _lines(imported: Imported) -> Iterator[tuple[str, str]]:
    for finding in imported.findings:
        yield _line(finding), _STYLES[finding.outcome]
    outcomes = [finding.outcome for finding in imported.findings]
    counted = {name: outcomes.count(outcome) for outcome, name in OUTCOMES.items()}
    counts = ", ".join(f"{count} {name}" for name, count in counted.items() if count)
    keys = "1 key" if len(outcomes) == 1 else f"{len(outcomes) or 'no'} keys"
    yield ": ".join(filter(None, (keys, counts))), ""
    for error in imported.errors:
        yield f"to correct: {error}", "red"
    for said in security.better(imported):
        yield f"security: {said}", "green"
    for said in security.worse(imported):
        yield f"security, as it was: {said}", "yellow"
    if imported.draft.commands:
        yield "then run, and give what a command asks for:", ""
    for command in imported.draft.commands:
        yield f"  {command} --stack {imported.draft.stack}", ""


def _line(finding: KeyFinding) -> str:
    where = f"{finding.file}: {finding.path}: {OUTCOMES[finding.outcome]}"
    keys = f" as {', '.join(finding.keys)}" if finding.keys else ""
    return where + keys + "".join(f"; {part}" for part in (finding.text, finding.do) if part)


def _print(line: str, style: str, console: Console) -> None:
    shown = visible(scrub(line)).replace("\n", " ")
    console.print(Text(shown, style), soft_wrap=True)
