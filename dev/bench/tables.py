"""Measures everything and prints the tables.

A ratio is the median of the ratios of runs that followed each other, so that a machine that
becomes busier or slower meanwhile changes it little.
"""

import datetime as dt
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import psutil
from rich.console import Console
from rich.table import Table

from dev.bench.session import Session, start_session

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
Measure = Callable[[], Figures]
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
            ours = partial(session.operate, operation, name)
            floor = partial(session.operate, operation, least, program)
            pairs = _take_turns(f"{size} runners: {operation}", runs, ours, floor)
            for figure, bar in (("seconds", BARS[size]), ("program", 0), ("cpu", 0)):
                _add(table, [str(size), operation], figure, pairs, bar)
    apply = session.helm_and_kubectl("ours1")
    apply()
    pairs = _take_turns("helm and kubectl", RUNS[1], partial(session.operate, "up", "ours1"), apply)
    _add(table, ["1", "up, against helm and kubectl"], "seconds", pairs)
    return table


def measure_report(session: Session) -> Table:
    """Measure a preview with its report against the preview alone, where every runner changes."""
    table = _table("every runner changes", "runners", "operation", "with report", "preview")
    name = "reported"
    session.create(name, REPORTED)
    session.operate("up", name)
    with_report = partial(session.operate, "report", name, strategy=SWITCH)
    alone = partial(session.operate, "preview", name, strategy=SWITCH)
    pairs = _take_turns("report", REPORT_RUNS, with_report, alone)
    for figure, bar in (("command", REPORT_BAR), ("cpu", 0)):
        _add(table, [str(REPORTED), "the whole command"], figure, pairs, bar)
    return table


def _take_turns(what: str, runs: int, ours: Measure, other: Measure) -> Pairs:
    pairs: list[tuple[Figures, Figures]] = []
    for run in range(runs):
        print(f"{what} {run + 1} of {runs}", file=sys.stderr, flush=True)
        pairs.append((ours(), other()))
    return pairs


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
