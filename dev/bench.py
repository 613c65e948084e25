"""Measures previews, their report and a no-change ``up`` against a floor and helm with kubectl.

The floor is a program without our code that registers the same resources by literals, written
from the state of what was deployed. Every figure is the median of runs that take turns in one
session on one cluster, each in a process of its own.
"""

import argparse
import datetime as dt
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import psutil
import yaml
from rich.console import Console
from rich.table import Table

from commands.preview import preview_and_write
from dev import toolchain
from dev.cluster import Cluster
from dev.local import CHART_VARIABLE, LocalStack
from dev.paths import CHECKOUT, STAND_IN_CHART

RUNS = 5
SIZES = (1, 10, 50)
REPORTED = (1, 20)
SWITCH = "{kind: dind, acceptPrivileged: true}"
_SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105 - Pulumi's mark of a secret value


def settings(prefix: str, runners: int) -> dict[str, Any]:
    """A stack file's settings with this many runners."""
    return {
        "gitlab": {"url": "https://gitlab.example.com"},
        "cluster": {"kind": "managed", "nodes": {"trusted": True}},
        "namespace": prefix,
        "registries": [{"host": "registry.example.com", "pull": "pull", "push": "push"}],
        "runners": {
            f"runner-{number}": {"tags": ["bench"], "strategy": "kaniko"}
            for number in range(1, runners + 1)
        },
    }


def literal_program(deployment: Mapping[str, Any], file: Path) -> None:
    """Write a program that registers what ``deployment`` (an exported state) holds."""
    lines = ["import pulumi", "import pulumi_kubernetes as k8s", ""]
    names: dict[str, str] = {}
    for resource in deployment["resources"]:
        urn, kind = resource["urn"], resource["type"]
        name = urn.rpartition("::")[2]
        if kind.startswith("pulumi:providers:"):
            names[urn] = f"r{len(names)}"
            if name == "cluster":
                arguments = "context='image-builds-local', kubeconfig='', "
                arguments += "enable_secret_mutable=True, enable_config_map_mutable=True"
                lines.append(f"{names[urn]} = k8s.Provider('cluster', {arguments})")
            continue
        if kind == "pulumi:pulumi:Stack":
            continue
        options = [f"parent={names[resource['parent']]}"] if resource["parent"] in names else []
        if provider := resource.get("provider"):
            options.append(f"provider={names[provider.rpartition('::')[0]]}")
        made = f"opts=pulumi.ResourceOptions({', '.join(options)})"
        names[urn] = f"r{len(names)}"
        if resource.get("custom"):
            call = f"k8s.{_class(kind)}({name!r}, **{_literal(_inputs(resource))}, {made})"
        else:
            call = f"pulumi.ComponentResource({kind!r}, {name!r}, None, {made})"
        lines.append(f"{names[urn]} = {call}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _class(kind: str) -> str:
    group, version_and_kind = kind.removeprefix("kubernetes:").split("/", 1)
    version, name = version_and_kind.split(":")
    return f"{group.removesuffix('.authorization.k8s.io').removesuffix('.sh')}.{version}.{name}"


def _inputs(resource: Mapping[str, Any]) -> dict[str, Any]:
    """A resource's inputs as arguments: the SDK adds the API version and kind itself."""
    left_out = {"apiVersion", "kind", "__defaults", "compat"}
    inputs = {key: value for key, value in resource["inputs"].items() if key not in left_out}
    if resource["type"].startswith("kubernetes:helm.sh"):
        kept = ("chart", "name", "namespace", "timeout", "values", "version")
        inputs = {key: inputs[key] for key in kept}
    return {
        "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key): value
        for key, value in inputs.items()
    }


def _literal(value: object) -> str:
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        if _SECRET in table:
            return f"pulumi.Output.secret({json.loads(table['plaintext'])!r})"
        items = ((key, item) for key, item in table.items() if key != "__defaults")
        return "{" + ", ".join(f"{key!r}: {_literal(item)}" for key, item in items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, cast("list[object]", value))) + "]"
    return repr(value)


def drive(arguments: Sequence[str]) -> None:
    """Run one operation in this process and print its figures as JSON.

    ``seconds`` is the operation's wall time, ``program`` that of the program until it has
    declared everything, imports included, ``memory`` this process' peak in MiB, ``command`` the
    wall time since Python was started, as a user waits for it, ``cpu`` what it and the programs
    that it ran have used meanwhile, which a busy machine changes less.
    """
    operation, name, state, kubeconfig, stack_file, program, strategy = arguments
    stack = LocalStack(
        name,
        Path(state),
        Path(kubeconfig),
        stack_file=Path(stack_file),
        program=Path(program),
    )
    spent: list[float] = []
    run = stack.run

    def timed() -> None:
        started = time.perf_counter()
        run()
        spent.append(time.perf_counter() - started)

    stack.run = timed
    with stack.open(strategy) as opened:
        started = time.perf_counter()
        if operation == "report":
            preview_and_write(opened, stack.stack_file, Path(state) / "report")
        else:
            cast("Callable[[], object]", getattr(opened, operation))()
        seconds = time.perf_counter() - started
        if operation == "export_stack":
            print(json.dumps(opened.export_stack().deployment))
            return
    process = psutil.Process()
    spent_by = process.cpu_times()
    figures = {
        "seconds": seconds,
        "program": spent[-1],
        "memory": process.memory_info().rss / 2**20,
        "command": time.time() - process.create_time(),
        "cpu": spent_by.user + spent_by.system + spent_by.children_user + spent_by.children_system,
    }
    print(json.dumps(figures))


class Bench:
    """The stacks of one session and how to run them."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        """Remember the folder for files and the cluster to work on."""
        self.folder = folder
        self.cluster = cluster
        self.chart = os.environ.get(CHART_VARIABLE) or str(STAND_IN_CHART)

    def operate(
        self,
        operation: str,
        name: str,
        program: Path = CHECKOUT / "__main__.py",
        strategy: str = "",
    ) -> dict[str, Any]:
        """Run one operation of the stack ``name`` in a new process and return its figures."""
        answer = subprocess.run(
            [
                sys.executable,
                "-m",
                "dev.bench",
                "--drive",
                operation,
                name,
                str(self.folder / "state"),
                str(self.cluster.kubeconfig),
                str(self.folder / f"{name}.yaml"),
                str(program),
                strategy,
            ],
            cwd=CHECKOUT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return json.loads(answer.stdout.splitlines()[-1])

    def stack_file(self, name: str, prefix: str, runners: int) -> None:
        """Write a stack file."""
        config = {"config": {"image-builds:settings": settings(prefix, runners)}}
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def helm_and_kubectl(self, deployment: Mapping[str, Any]) -> Callable[[], float]:
        """Return a function that applies the same objects with helm and kubectl, timed."""
        manifests: list[str] = []
        releases: list[list[str]] = []
        for number, resource in enumerate(deployment["resources"]):
            inputs = json.loads(json.dumps(resource.get("inputs", {})).replace("bench-", "plain-"))
            if resource["type"].startswith("kubernetes:helm.sh"):
                values = self.folder / f"values-{number}.yaml"
                values.write_text(yaml.safe_dump(inputs["values"]), encoding="utf-8")
                where = ["--namespace", inputs["namespace"], "--values", str(values)]
                releases.append([inputs["name"], self.chart, *where])
            elif resource["type"].startswith("kubernetes:"):
                manifests.append(yaml.safe_dump(_plain(inputs)))
        file = self.folder / "manifests.yaml"
        file.write_text("---\n".join(manifests), encoding="utf-8")
        environment = {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)}
        kubectl, helm = (str(toolchain.ensure(name).file) for name in ("kubectl", "helm"))
        commands = [[kubectl, "apply", "--server-side", "--filename", str(file)]]
        commands += [[helm, "upgrade", "--install", "--wait", *release] for release in releases]

        def apply() -> float:
            started = time.perf_counter()
            for command in commands:
                subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
            return time.perf_counter() - started

        return apply


def _plain(value: object) -> object:
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        if _SECRET in table:
            return json.loads(table["plaintext"])
        return {key: _plain(item) for key, item in table.items() if key != "__defaults"}
    return (
        [_plain(item) for item in cast("list[object]", value)] if isinstance(value, list) else value
    )


def compare(bench: Bench) -> Table:
    """Measure our program, the floor, and helm with kubectl, taking turns."""
    ours, floor = CHECKOUT / "__main__.py", bench.folder / "floor.py"
    bench.stack_file("ours", "bench-ours", 1)
    bench.stack_file("floor", "bench-floor", 1)
    bench.operate("up", "ours", ours)
    deployment = bench.operate("export_stack", "ours", ours)
    moved = json.loads(json.dumps(deployment).replace("bench-ours", "bench-floor"))
    literal_program(moved, floor)
    bench.operate("up", "floor", floor)
    apply = bench.helm_and_kubectl(deployment)
    apply()
    figures: dict[tuple[str, str], list[dict[str, float]]] = {}
    applied: list[float] = []
    for run in range(RUNS):
        print(f"run {run + 1} of {RUNS}", file=sys.stderr)
        for operation in ("preview", "up"):
            for name, program in (("ours", ours), ("floor", floor)):
                figures.setdefault((operation, name), []).append(
                    bench.operate(operation, name, program),
                )
        applied.append(apply())
    table = Table(title=f"medians of {RUNS}, one runner, nothing to change")
    for heading in ("operation", "figure", "ours", "floor", "ratio", "difference"):
        table.add_column(heading, justify="left" if heading in ("operation", "figure") else "right")
    for operation in ("preview", "up"):
        for figure, unit in (("seconds", "s"), ("program", "s"), ("memory", "MiB")):
            mine, least = (
                statistics.median(item[figure] for item in figures[operation, name])
                for name in ("ours", "floor")
            )
            numbers = (f"{mine:.3f} {unit}", f"{least:.3f} {unit}", f"{mine / least:.2f}")
            table.add_row(operation, figure, *numbers, f"{mine - least:+.3f} {unit}")
    mine = statistics.median(item["seconds"] for item in figures["up", "ours"])
    least = statistics.median(applied)
    numbers = (f"{mine:.3f} s", f"{least:.3f} s", f"{mine / least:.2f}", f"{mine - least:+.3f} s")
    table.add_row("up", "against helm and kubectl", *numbers)
    return table


def grow(bench: Bench) -> Table:
    """Measure a first preview of 1, 10 and 50 runners."""
    table = Table(title=f"first preview by number of runners, medians of {RUNS}")
    for heading in ("runners", "seconds", "program", "per runner, to one runner"):
        table.add_column(heading, justify="right")
    runs: dict[int, list[dict[str, float]]] = {size: [] for size in SIZES}
    for size in SIZES:
        bench.stack_file(f"grow-{size}", f"grow-{size}", size)
    for run in range(RUNS):
        print(f"growth, run {run + 1} of {RUNS}", file=sys.stderr)
        for size in SIZES:
            runs[size].append(bench.operate("preview", f"grow-{size}"))
    one = statistics.median(item["seconds"] for item in runs[1])
    for size in SIZES:
        seconds, program = (
            statistics.median(item[figure] for item in runs[size])
            for figure in ("seconds", "program")
        )
        table.add_row(
            str(size),
            f"{seconds:.2f} s",
            f"{program:.2f} s",
            f"{seconds / size / one:.2f}",
        )
    return table


def report(bench: Bench) -> Table:
    """Measure the report of a preview against the same preview alone, taking turns."""
    table = Table(title=f"report of a preview, medians of {RUNS}, the whole command")
    for heading in ("runners", "what changes", "figure", "preview", "report", "ratio"):
        table.add_column(heading, justify="right")
    changes = {"nothing": "", "every runner": SWITCH}
    runs: dict[tuple[int, str, str], list[dict[str, float]]] = {}
    for size in REPORTED:
        bench.stack_file(f"report-{size}", f"report-{size}", size)
        bench.operate("up", f"report-{size}")
    for run in range(RUNS):
        print(f"report, run {run + 1} of {RUNS}", file=sys.stderr)
        for size in REPORTED:
            for change, strategy in changes.items():
                for operation in ("preview", "report"):
                    figures = bench.operate(operation, f"report-{size}", strategy=strategy)
                    runs.setdefault((size, change, operation), []).append(figures)
    for size in REPORTED:
        for change in changes:
            for figure in ("command", "cpu"):
                alone, told = (
                    statistics.median(item[figure] for item in runs[size, change, operation])
                    for operation in ("preview", "report")
                )
                numbers = (f"{alone:.2f} s", f"{told:.2f} s", f"{told / alone:.2f}")
                table.add_row(str(size), change, figure, *numbers)
    return table


def main() -> None:
    """Run everything and print the tables."""
    folder = Path(tempfile.mkdtemp(prefix="image-builds-bench-"))
    cluster = Cluster(folder / "cluster")
    console = Console(width=110)
    try:
        cluster.up()
        bench = Bench(folder, cluster)
        tables = [compare(bench), grow(bench), report(bench)]
    finally:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)
    memory = psutil.virtual_memory().total / 2**30
    today = dt.datetime.now(tz=dt.UTC).date()
    machine = f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"
    console.print(f"{today}, {machine}")
    for table in tables:
        console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drive", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        drive(options.drive)
    else:
        main()
