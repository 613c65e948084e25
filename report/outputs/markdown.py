"""The note of a merge request and the drift issue, in GitLab's Markdown.

Values are in code, where GitLab runs no quick action, notifies nobody and links nothing.
"""

import re
from collections.abc import Iterable, Iterator

from report.model import ObjectChange, Report, ResourceChange, RiskChange
from report.outputs import phrases

LIMIT = 1_000_000
"""The most characters of a note (gitlab:app/models/note.rb); an issue may have more."""
_CUT = "… {count} more lines are in report.html, an artifact of the job"


def write(report: Report, limit: int = LIMIT) -> str:
    """Return the note; details that exceed the limit are cut."""
    said = report.counts.total or report.risk_changes or report.stops or report.gaps
    if not (report.errors or said):
        quiet = f"{report.environment}: nothing changes. {phrases.stamp(report)}"
        return f"{phrases.marker(report.environment)}\n{quiet}\n"
    text = "\n".join(_summary(report))
    last = f"\n{phrases.stamp(report)}\n"
    if not report.errors:
        for name, lines in _details(report):
            room = limit - len(text) - len(last)
            text += _fold(name, list(lines), room)
    return text + last


def _summary(report: Report) -> Iterator[str]:
    yield phrases.marker(
        phrases.drift_of(report.environment) if report.drift else report.environment
    )
    yield f"### {phrases.heading(report)}"
    yield ""
    if report.errors:
        yield _fence("\n".join(report.errors), "text")
        return
    for effect in report.effects:
        if effect.loud:
            yield f"- :warning: **{_prose(effect.text)}**"
    for line in (*report.sentences, *(item.text for item in report.effects if not item.loud)):
        yield f"- {_prose(line)}"
    for gap in report.gaps:
        yield f"- Not compared: {_prose(gap)}"
    yield ""
    yield from _undo(report)
    yield from _table(("security", "what", "why it matters", "where"), _risks(report))
    yield from _table(("policy", "violation", "what to do", "where"), _policies(report))
    yield from _acceptance(report)
    yield from _table(("", "resource", "type", "what changes"), _resources(report))


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a table, none without rows."""
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    if lines:
        yield f"| {' | '.join(headings)} |".replace("|  |", "| |")
        yield f"| {' | '.join('---' for _ in headings)} |"
        yield from lines
        yield ""


def _undo(report: Report) -> Iterator[str]:
    if report.undo:
        yield "To keep these changes, add them to the stack file or the program. To revert them:"
        yield ""
        yield _fence("\n".join(report.undo), "sh")
        yield ""


def _risks(report: Report) -> Iterator[tuple[str, ...]]:
    for item in report.risk_changes:
        where = _where(report, item.key, item.line)
        yield _word(item), _prose(item.what), _prose(phrases.why(item)), where


def _policies(report: Report) -> Iterator[tuple[str, ...]]:
    for item in report.violations:
        where = _where(report, item.key, item.line)
        rule = f"{item.rule}, {phrases.level(item)}"
        yield rule, _prose(item.what), _prose(phrases.advice(item)), where


def _where(report: Report, key: str, line: int | None) -> str:
    place = f"{report.stack_file}:{line}" if line else report.stack_file
    return f"{_code(place)} {_code(key)}"


def _resources(report: Report) -> Iterator[tuple[str, ...]]:
    for change in report.resources:
        loud = change.operation in {"delete", "replace"}
        operation = f"**{change.operation}**" if loud else change.operation
        yield operation, _code(change.name), phrases.short_type(change), _paths(change)


def _paths(change: ResourceChange) -> str:
    if change.operation in {"create", "delete", "keep"}:
        return ""
    paths = ", ".join(_code(item.path) for item in change.properties[:3])
    more = len(change.properties) - 3
    return f"{paths} and {more} more" if more > 0 else paths


def _acceptance(report: Report) -> Iterator[str]:
    if report.unaccepted and not report.drift:
        yield f"To accept this, add the reasons to {_code(report.stack_file)}:"
        yield ""
        yield _fence(phrases.acceptance(report.unaccepted), "yaml")
        yield ""


def _word(change: RiskChange) -> str:
    bold = change.direction == "raised" and change.weighs and not change.accepted
    return phrases.word(change).replace("raised", "**raised**") if bold else phrases.word(change)


def _details(report: Report) -> Iterator[tuple[str, Iterator[str]]]:
    for runner in dict.fromkeys(item.runner for item in report.keys):
        keys = [item for item in report.keys if item.runner == runner]
        yield (
            f"config.toml of runner {runner}: {phrases.plural(len(keys), 'key')}",
            (
                line
                for item in keys
                for line in (f"# {item.change.path}: {item.meaning}", *phrases.diff([item.change]))
            ),
        )
    if report.objects:
        name = f"What the chart renders: {phrases.plural(len(report.objects), 'object')}"
        yield name, _properties(report.objects)
    if report.resources:
        name = f"Every property: {phrases.plural(len(report.resources), 'resource')}"
        yield name, _properties(report.resources)


def _properties(changes: Iterable[ResourceChange | ObjectChange]) -> Iterator[str]:
    for change in changes:
        yield f"# {phrases.title(change)}"
        yield from phrases.diff(change.properties)


def _fold(name: str, lines: list[str], room: int) -> str:
    """Fold a part of the details, with as many lines as fit."""
    for kept in _halves(len(lines)):
        rest = [_CUT.format(count=len(lines) - kept)] if kept < len(lines) else []
        body = _fence("\n".join([*lines[:kept], *rest]), "diff")
        text = f"<details><summary>{_prose(name)}</summary>\n\n{body}\n\n</details>\n"
        if len(text) <= room:
            return text
    return ""


def _halves(count: int) -> Iterable[int]:
    while count:
        yield count
        count //= 2
    yield 0


def _fence(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _code(text: str) -> str:
    shown = re.sub(r"\s+", " ", text.replace("`", "'")).replace("|", "\\|")
    return f"`{shown}`" if shown.strip() else ""


def _prose(text: str) -> str:
    """Escape Markdown, mentions, references and HTML in a sentence that contains names."""
    shown = re.sub(r"\s+", " ", text)
    shown = re.sub(r"([\\`*_{}\[\]<>|~$^])", r"\\\1", shown)
    return re.sub(r"([@#!&%])(?=\w)", "\\1\u200b", shown)
