"""Measures everything and prints the tables.

A ratio is the median of the ratios of runs that followed each other, so that a machine that
becomes busier or slower meanwhile changes it little.
"""

import datetime as dt
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence

import psutil
from rich.console import Console
from rich.table import Table

from dev.bench.session import PROGRAM, Session, start_session

RUNS = {1: 5, 10: 3, 50: 3}
"""How often each number of runners is measured."""
BARS = {1: 1.05, 10: 1.10, 50: 1.10}
"""The most that a preview or a no-change up may take, as a multiple of its floor."""
REPORTED = 20
"""The runners of the stack of which a report is measured; all of them change."""
REPORT_RUNS = 5
REPORT_BAR = 1.15
"""The most that a preview with its report may take, as a multiple of the preview alone."""
SWITCH = "{kind: dind, acceptPrivileged: true}"

Figures = Mapping[str, float]
Pairs = Sequence[tuple[Figures, Figures]]


def main() -> None:
    """Run everything and print the tables."""
    with start_session() as session:
        tables = [measure_floors(session), measure_report(session)]
    memory = psutil.virtual_memory().total / 2**30
    today = dt.datetime.now(tz=dt.UTC).date()
    machine = f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
    console = Console(width=110)
    console.print(f"{today}, {machine}")
    for table in tables:
        console.print(table)


def measure_floors(session: Session) -> Table:
    """Measure previews and updates without a change against their floors, and helm with kubectl."""
    table = _table("nothing changes, against the floor", "runners", "operation", "here", "floor")
    for size, runs in RUNS.items():
        name, least = f"ours{size}", f"least{size}"
        session.create(name, size)
        session.operate("up", name)
        program = session.create_floor(least, name, size)
        session.operate("up", least, program)
        for operation in ("preview", "up"):
            pairs: list[tuple[Figures, Figures]] = []
            for run in range(runs):
                _say(f"{size} runners: {operation} {run + 1} of {runs}")
                ours = session.operate(operation, name, PROGRAM)
                pairs.append((ours, session.operate(operation, least, program)))
            for figure, bar in (("seconds", BARS[size]), ("program", 0), ("cpu", 0)):
                _add(table, [str(size), operation], figure, pairs, bar)
    _add_helm_and_kubectl(table, session)
    return table


def _add_helm_and_kubectl(table: Table, session: Session) -> None:
    apply = session.helm_and_kubectl(session.export("ours1"), "ours1")
    apply()
    pairs: list[tuple[Figures, Figures]] = []
    for run in range(RUNS[1]):
        _say(f"helm and kubectl {run + 1} of {RUNS[1]}")
        pairs.append((session.operate("up", "ours1"), {"seconds": apply()}))
    _add(table, ["1", "up, against helm and kubectl"], "seconds", pairs)


def measure_report(session: Session) -> Table:
    """Measure a preview with its report against the preview alone, where every runner changes."""
    table = _table("every runner changes", "runners", "operation", "with report", "preview")
    name = "reported"
    session.create(name, REPORTED)
    session.operate("up", name)
    pairs: list[tuple[Figures, Figures]] = []
    for run in range(REPORT_RUNS):
        _say(f"report {run + 1} of {REPORT_RUNS}")
        with_report = session.operate("report", name, strategy=SWITCH)
        pairs.append((with_report, session.operate("preview", name, strategy=SWITCH)))
    for figure, bar in (("command", REPORT_BAR), ("cpu", 0)):
        _add(table, [str(REPORTED), "the whole command"], figure, pairs, bar)
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=f"{title}; medians")
    for heading in (*headings[:2], "figure", *headings[2:], "ratio", "bar"):
        table.add_column(heading, justify="left" if heading in ("operation", "figure") else "right")
    return table


def _add(table: Table, row: list[str], figure: str, pairs: Pairs, bar: float = 0) -> None:
    """Add a row; a ratio over its bar is marked."""
    mine, other = (statistics.median(pair[side][figure] for pair in pairs) for side in (0, 1))
    ratio = statistics.median(ours[figure] / least[figure] for ours, least in pairs)
    mark = " OVER" if bar and round(ratio, 2) > bar else ""
    numbers = [f"{mine:.2f} s", f"{other:.2f} s", f"{ratio:.2f}{mark}", f"{bar:.2f}" if bar else ""]
    table.add_row(*row, figure, *numbers)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
