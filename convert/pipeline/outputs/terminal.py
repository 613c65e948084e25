"""The result of a check on a terminal, in colour if it has any."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from components.settings.errors import visible
from convert.pipeline.check import JobFinding, JobVerdict, Result

_STYLES = {"unchanged": "green", "change": "yellow", "cannot": "bold red"}
_PHRASES = {"unchanged": "runs unchanged", "change": "runs with a change", "cannot": "cannot run"}


def write(result: Result, console: Console) -> None:
    """Print a paragraph for each job, one line where it runs unchanged, and the counts."""
    for verdict in result.verdicts:
        for text, style in _lines(verdict):
            console.print(Text(visible(text), style), soft_wrap=True)
    for problem in result.problems:
        console.print(
            Text(visible(str(problem)), "red" if problem.fatal else "dim"), soft_wrap=True
        )
    counts = [f"{count} {_PHRASES[name]}" for name, count in result.counts.items() if count]
    jobs = len(result.verdicts)
    handling = "1 job handles" if jobs == 1 else f"{jobs or 'no'} jobs handle"
    others = "1 other job" if result.others == 1 else f"{result.others} other jobs"
    summary = ": ".join(filter(None, (f"{handling} images", ", ".join(counts))))
    console.print(Text(f"{summary}; {others}"), soft_wrap=True)


def _lines(verdict: JobVerdict) -> Iterator[tuple[str, str]]:
    where = f"runners.{verdict.runner}, {verdict.strategy}"
    head = f"{verdict.file}:{verdict.line} {verdict.job}: {_PHRASES[verdict.verdict]} on {where}"
    yield head, _STYLES[verdict.verdict]
    for finding in verdict.findings:
        yield from _finding(finding)
    if verdict.elsewhere:
        yield f"  runners.{verdict.elsewhere} needs less change", ""
    if verdict.suits and verdict.suits != verdict.strategy:
        yield f"  least privilege: {verdict.suits}, {verdict.suits_as}", "dim"


def _finding(finding: JobFinding) -> Iterator[tuple[str, str]]:
    yield f"  {finding.file}:{finding.line} {finding.rule}: {finding.text}; {finding.do}", ""
    if finding.change and finding.outcome != "note":
        for sign, text, style in (
            ("-", finding.change.old, "red"),
            ("+", finding.change.new, "green"),
        ):
            for line in text.strip("\n").splitlines():
                yield f"    {sign} {line.strip()}", style
