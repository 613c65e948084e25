"""Figures of one session's builds: medians, ratios to Kaniko, tables and plots."""

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Matplotlib leaves its keyword arguments without types.
# pyright: reportUnknownMemberType=false

State = Literal["cold", "cached", "control"]

STRATEGIES = ("kaniko", "dood", "dind", "buildkit", "buildkit-service", "buildx", "buildah")
"""The compared strategies, each in its default variant, in the order of the tables."""

BASELINE = "kaniko"
"""The strategy that the others are compared with."""

_BAR = 40
"""The length of the longest bar of the text plot, in characters."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Build:
    """The cost of one build: one job, or ``jobs`` of them at once.

    ``seconds`` run from the first script's start to the last one's end, ``total`` from the creation
    of the first pod. ``memory``, ``pulled``, ``pushed`` and ``disk`` are in bytes. ``load`` is the
    machine's load average of one minute when the build starts.
    """

    strategy: str
    project: str
    state: State
    jobs: int
    run: int
    seconds: float
    total: float
    memory: float
    pulled: float
    pushed: float
    disk: float
    load: float


class Case(NamedTuple):
    """A project, the state that its build starts from, and the number of jobs at once."""

    project: str
    state: State
    jobs: int


class Spread(NamedTuple):
    """The spread of equal builds: seconds, and their middle half as a share of the median.

    ``drift`` is the ratio of the last third's median to the first third's.
    """

    builds: int
    least: float
    median: float
    most: float
    middle_half: float
    drift: float


def name(case: Case) -> str:
    """Name a case in a table."""
    jobs = f", {case.jobs} at once" if case.jobs > 1 else ""
    return f"{case.project}, {case.state}{jobs}"


def by_case(builds: Iterable[Build]) -> dict[Case, dict[str, list[Build]]]:
    """Return the builds by case, in order of measurement, and by strategy, in order of tables."""
    found: dict[Case, list[Build]] = {}
    for build in builds:
        found.setdefault(Case(build.project, build.state, build.jobs), []).append(build)
    return {
        case: {
            strategy: [build for build in every if build.strategy == strategy]
            for strategy in STRATEGIES
            if any(build.strategy == strategy for build in every)
        }
        for case, every in found.items()
    }


def median(builds: Sequence[Build], figure: str) -> float:
    """Return the median of one field of ``Build``."""
    return statistics.median(getattr(build, figure) for build in builds)


def spread(builds: Sequence[Build]) -> Spread:
    """Return the spread of at least three builds of the control."""
    seconds = [build.seconds for build in builds]
    middle = statistics.median(seconds)
    lower, _, upper = statistics.quantiles(seconds, n=4, method="inclusive")
    third = len(seconds) // 3
    first, last = statistics.median(seconds[:third]), statistics.median(seconds[-third:])
    return Spread(
        len(seconds), min(seconds), middle, max(seconds), (upper - lower) / middle, last / first
    )


def tables(builds: Sequence[Build]) -> str:
    """Return every table in Markdown."""
    cases = by_case(builds)
    single = {
        case: found for case, found in cases.items() if case.jobs == 1 and case.state != "control"
    }
    parts = ["## Time", _times(single)]
    if together := {case: found for case, found in cases.items() if case.jobs > 1}:
        parts += ["## Several jobs at once", _growth(cases, together)]
    for case, found in single.items():
        parts += [f"## {name(case)}", _costs(found)]
    control = [build for build in builds if build.state == "control"]
    parts += ["## Control", describe(spread(control))]
    return "\n\n".join(parts) + "\n"


def describe(control: Spread) -> str:
    """Return the spread of the control in a sentence."""
    return (
        f"The control, the same build {control.builds} times in between, took "
        f"{control.median:.1f} s, from {control.least:.1f} s to {control.most:.1f} s; "
        f"the middle half of them spans {control.middle_half:.0%} of the median, "
        f"and the last third took {control.drift:.2f} of what the first took."
    )


def text_plot(builds: Sequence[Build]) -> str:
    """Return the medians as bars, with one scale for each case."""
    lines: list[str] = []
    for case, found in by_case(builds).items():
        if case.state == "control":
            continue
        seconds = {strategy: median(every, "seconds") for strategy, every in found.items()}
        longest, width = max(seconds.values()), max(map(len, seconds))
        lines.append(f"{name(case)}:")
        for strategy, value in seconds.items():
            bar = "█" * max(1, round(value / longest * _BAR))
            lines.append(f"  {strategy:{width}} {bar} {value:.1f} s")
        lines.append("")
    return "\n".join(lines[:-1])


def plot(builds: Sequence[Build], title: str, file: Path) -> None:
    """Draw the medians with their ranges, and the growth by jobs, as a PNG."""
    cases = by_case(builds)
    single = [case for case in cases if case.jobs == 1 and case.state != "control"]
    figure = Figure(figsize=(16, 8), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    rows = figure.subplots(2, -(-(len(single) + 1) // 2), squeeze=False)
    axes: list[Axes] = list(rows.flat)
    for axis, case in zip(axes, single, strict=False):
        _bars(axis, case, cases[case])
    _lines(axes[len(single)], cases)
    for axis in axes[len(single) + 1 :]:
        axis.set_axis_off()
    figure.savefig(file, dpi=100)


def _times(cases: Mapping[Case, Mapping[str, Sequence[Build]]]) -> str:
    strategies = _strategies(cases)
    rows = [
        [f"`{strategy}`", *(_with_ratio(found, strategy) for found in cases.values())]
        for strategy in strategies
    ]
    return _markdown(["seconds (ratio to Kaniko)", *map(name, cases)], rows)


def _with_ratio(found: Mapping[str, Sequence[Build]], strategy: str) -> str:
    if strategy not in found:
        return "-"
    seconds = median(found[strategy], "seconds")
    return f"{seconds:.1f} ({seconds / median(found[BASELINE], 'seconds'):.2f})"


def _growth(
    cases: Mapping[Case, Mapping[str, Sequence[Build]]],
    together: Mapping[Case, Mapping[str, Sequence[Build]]],
) -> str:
    project = next(iter(together)).project
    alone = cases[Case(project, "cold", 1)]
    rows: list[list[str]] = []
    for strategy in _strategies(together):
        one = median(alone[strategy], "seconds")
        row = [f"`{strategy}`", f"{one:.1f}"]
        for found in together.values():
            seconds = median(found[strategy], "seconds")
            row.append(f"{seconds:.1f} ({seconds / one:.2f})")
        rows.append([*row, *(_memory(found[strategy]) for found in (alone, *together.values()))])
    jobs = [1, *(case.jobs for case in together)]
    headings = [
        f"{project}, cold: seconds until all are done (ratio to one job)",
        *(f"{count} at once" for count in jobs),
        *(f"memory of {count}" for count in jobs),
    ]
    return _markdown(headings, rows)


def _costs(found: Mapping[str, Sequence[Build]]) -> str:
    rows = [
        [
            f"`{strategy}`",
            f"{median(builds, 'seconds'):.1f} s",
            f"{min(build.seconds for build in builds):.1f} to "
            f"{max(build.seconds for build in builds):.1f} s",
            f"{median(builds, 'total'):.1f} s",
            _memory(builds),
            *(f"{median(builds, figure) / 1e6:.1f} MB" for figure in ("pulled", "pushed", "disk")),
        ]
        for strategy, builds in found.items()
    ]
    headings = ["strategy", "script", "of all runs", "with the pod's start", "memory"]
    return _markdown([*headings, "pulled", "pushed", "disk"], rows)


def _memory(builds: Sequence[Build]) -> str:
    return f"{median(builds, 'memory') / 2**20:.0f} MiB"


def _strategies(cases: Mapping[Case, Mapping[str, Sequence[Build]]]) -> list[str]:
    return [
        strategy for strategy in STRATEGIES if any(strategy in found for found in cases.values())
    ]


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * len(headings)
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, rule, *rows))


def _bars(axis: Axes, case: Case, found: Mapping[str, Sequence[Build]]) -> None:
    medians = [median(builds, "seconds") for builds in found.values()]
    least = [min(build.seconds for build in builds) for builds in found.values()]
    most = [max(build.seconds for build in builds) for builds in found.values()]
    whiskers = [
        [middle - end for middle, end in zip(medians, least, strict=True)],
        [end - middle for middle, end in zip(medians, most, strict=True)],
    ]
    names = list(found)
    axis.barh(names, medians, xerr=whiskers, color=_colours(names), capsize=2)
    axis.invert_yaxis()
    axis.set_title(f"{name(case)}: seconds", fontsize="medium")


def _lines(axis: Axes, cases: Mapping[Case, Mapping[str, Sequence[Build]]]) -> None:
    project = next((case.project for case in cases if case.jobs > 1), "")
    grown = {
        case.jobs: found
        for case, found in sorted(cases.items(), key=lambda item: item[0].jobs)
        if case.project == project and case.state == "cold"
    }
    names = _strategies(cases)
    for strategy, colour in zip(names, _colours(names), strict=True):
        seconds = [median(found[strategy], "seconds") for found in grown.values()]
        axis.plot(list(grown), seconds, marker="o", color=colour, label=strategy)
    axis.set_title(f"{project}, cold: seconds by jobs", fontsize="medium")
    axis.xaxis.set_major_locator(ticker.FixedLocator(list(grown)))
    axis.set_ylim(bottom=0)
    axis.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))


def _colours(names: Sequence[str]) -> list[str]:
    return [f"C{STRATEGIES.index(name)}" for name in names]
