"""Measures how long builds take with each strategy, and what they take of the node.

Jobs of the pipelines in ``templates/`` build the same projects: first with nothing to reuse, then
with all layers of an earlier build but the last ones. Strategies take turns. Before each round the
same small build of Kaniko runs as a control, which shows how the machine changes the figures. An
interrupted run continues where it stopped.
"""

import contextlib
import dataclasses
import datetime as dt
import io
import json
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
from pulumi import automation as auto
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dev.node.machine import NodeError
from dev.node.node import Node
from dev.node.registry import OPEN
from dev.paths import CHECKOUT, state_folder
from dev.toolchain.programs import load
from tests.bench import figures
from tests.bench.figures import BASELINE, STRATEGIES, Build, Case
from tests.bench.meters import Traffic
from tests.bench.session import BuildFailedError, Session, deployed

RUNS = 5
RESULTS = CHECKOUT / "build" / "bench-builds"

CASES = (
    Case("small", "cold", 1),
    Case("several stages", "cold", 1),
    Case("several stages", "cached", 1),
    Case("several stages", "cold", 4),
    Case("20 layers", "cold", 1),
    Case("200 MB layer", "cold", 1),
    Case("small", "cached", 1),
    Case("20 layers", "cached", 1),
    Case("200 MB layer", "cached", 1),
)
CONTROL = Case("small", "control", 1)

_PROGRAMS = {
    "Kaniko": "executor",
    "BuildKit": "buildkitd",
    "Docker": "docker",
    "buildx": "buildx",
    "Buildah": "buildah",
    "containerd in DinD and DooD": "containerd",
    "kubelet": "kubelet",
}


def schedule() -> Iterator[tuple[Case, str, int]]:
    """Yield every build: a case, a strategy and the number of the run.

    All runs of a case come before the next case, so compared builds are close in time.
    """
    for number, case in enumerate(CASES):
        for run in range(RUNS):
            yield CONTROL, BASELINE, number * RUNS + run
            # Each strategy comes first in some run.
            turn = run % len(STRATEGIES)
            for strategy in STRATEGIES[turn:] + STRATEGIES[:turn]:
                yield case, strategy, run


def known(file: Path) -> list[Build]:
    """Return the builds in the file of an earlier run."""
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return [Build(**json.loads(line)) for line in lines]


def machine() -> str:
    """Return the machine and the versions of its programs, in one line."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = psutil.virtual_memory().total / 2**30
    groups = "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1"
    programs = load()
    versions = [f"{name} {programs[program].version}" for name, program in _PROGRAMS.items()]
    return ", ".join(
        [
            f"{os.cpu_count()} cores ({model[1] if model else platform.machine()})",
            f"{memory:.0f} GiB",
            f"Linux {platform.release().partition('-')[0]}, cgroup {groups}",
            *versions,
        ]
    )


def measure(session: Session, done: list[Build], file: Path) -> list[Build]:
    """Run the rest of the schedule and return all builds; write each to the file at once."""
    found = {(Case(one.project, one.state, one.jobs), one.strategy, one.run) for one in done}
    left = [entry for entry in schedule() if entry not in found]
    builds = [*done]
    columns = (MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    console = Console(stderr=True)
    with Progress(*columns, console=console) as progress, file.open("a", encoding="utf-8") as log:
        task = progress.add_task("warming up", total=len(done) + len(left), completed=len(done))
        for strategy in STRATEGIES:
            session.warm_up(strategy)
        for case, strategy, run in left:
            progress.update(task, description=f"{strategy}: {figures.name(case)}")
            build = session.measure(case, strategy, run)
            builds.append(build)
            log.write(json.dumps(dataclasses.asdict(build)) + "\n")
            log.flush()
            progress.advance(task)
    return builds


def write(builds: list[Build], about: str) -> None:
    """Write the tables and plots, and print the plot in text."""
    loads = [build.load for build in builds]
    about = f"{about}; load average {min(loads):.1f} to {max(loads):.1f}"
    (RESULTS / "table.md").write_text(f"{about}\n\n{figures.tables(builds)}", encoding="utf-8")
    text = figures.text_plot(builds)
    (RESULTS / "plot.txt").write_text(text, encoding="utf-8")
    figures.plot(builds, about, RESULTS / "plot.png")
    print(text)
    print(f"{RESULTS} has the tables, the plot and every build")


def main() -> int:
    """Measure, write and print the results, and return the exit status."""
    node = Node(state_folder())
    if not node.machine.holder:
        print("the node is not running; start it with make node-up", file=sys.stderr)
        return 1
    RESULTS.mkdir(parents=True, exist_ok=True)
    file, heading = RESULTS / "builds.jsonl", RESULTS / "machine.txt"
    here = machine()
    done = known(file) if heading.exists() and here in heading.read_text(encoding="utf-8") else []
    if len(done) in (0, len(list(schedule()))):
        done = []
        file.unlink(missing_ok=True)
        heading.write_text(f"{dt.datetime.now(tz=dt.UTC).date()}, {here}", encoding="utf-8")
    try:
        with tempfile.TemporaryDirectory(prefix="image-builds-bench-") as name:
            folder = Path(name)
            traffic = Traffic(node.machine, OPEN)
            with deployed(node, folder), traffic.counted():
                session = Session(node, folder, traffic)
                # The error shows the trace of a job that fails.
                with contextlib.redirect_stdout(io.StringIO()):
                    builds = measure(session, done, file)
    except (auto.CommandError, BuildFailedError, NodeError) as error:
        print(f"{error}\nrun it again to continue after the last build", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run it again to continue after the last build", file=sys.stderr)
        return 130
    write(builds, heading.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
