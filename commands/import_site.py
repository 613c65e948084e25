"""Makes a stack file of what a site has: values of the chart, a config.toml, live releases."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from commands.shared.checkout import stack_file
from commands.shared.exit_codes import ExitCode
from components.ownership.cluster import Kubeconfig, LiveCluster, UnreadableError
from components.settings.models import Settings
from components.types import JSON
from convert.pipeline.check import Result, check
from convert.pipeline.outputs import terminal as pipelines
from convert.pipeline.runner import candidates, runners
from convert.site import cluster
from convert.site.importer import import_releases
from convert.site.outputs import stack_file as text
from convert.site.outputs import terminal
from convert.site.sources import CHART, Sources
from report.errors import ReportError
from report.inputs import helm


def run(
    files: Sequence[Path],
    stack: str,
    *,
    gitlab_ci: Sequence[Path] = (),
    context: str = "",
    overwrite: bool = False,
) -> ExitCode:
    """Import some files and the releases of a cluster, and check pipelines against the result.

    A stack file that exists stays as it is unless ``overwrite`` says otherwise.
    """
    target = stack_file(stack)
    if target.exists() and not overwrite:
        print(
            f"{target.name}: exists, and an import would replace it; name another stack, or add "
            "--overwrite",
            file=sys.stderr,
        )
        return ExitCode.FAILED
    console = Console()
    sources, known = Sources(), dict[str, JSON]()
    for file in files:
        sources.read(file)
    if context:
        known = _read_cluster(context, sources, console, releases=not files)
    terminal.problems(sources.problems, console)
    if not sources.releases:
        print(
            "no file has a runner to import; name values of the chart or a config.toml",
            file=sys.stderr,
        )
        return ExitCode.FAILED
    imported = import_releases(sources.releases, stack, known)
    terminal.write(imported, console)
    target.write_text(text.write(imported, context), encoding="utf-8")
    console.print(f"{target.name} is written; preview it before you deploy", soft_wrap=True)
    if gitlab_ci and not imported.errors:
        settings = Settings.model_validate(imported.draft.settings)
        found = check(gitlab_ci, runners(settings), candidates(settings))
        pipelines.write(found, console)
        _propose(found, console)
    failed = imported.errors or any(problem.fatal for problem in sources.problems)
    return ExitCode.FAILED if failed else ExitCode.NO_CHANGE


def _propose(found: Result, console: Console) -> None:
    """Say which strategy with less privilege runs all jobs of the pipelines."""
    suits = {(verdict.suits, verdict.suits_as) for verdict in found.verdicts}
    own = {verdict.strategy for verdict in found.verdicts}
    if len(suits) == 1 and not own & {suit for suit, _ in suits}:
        (suit, how) = suits.pop()
        console.print(f"all of these jobs run with {suit}, {how}", soft_wrap=True)


def _read_cluster(
    context: str, sources: Sources, console: Console, *, releases: bool
) -> dict[str, JSON]:
    """Return what a cluster says of itself; add its ``releases`` where no file has any.

    Raises:
        ReportError: the cluster or its releases cannot be read.
    """
    try:
        live = LiveCluster(Kubeconfig("", context))
        known = cluster.facts(live)
        for line in cluster.levels(live):
            console.print(f"{context}: {line}", soft_wrap=True)
    except UnreadableError as error:
        message = f"--cluster {context}: {error}"
        raise ReportError(message) from None
    if releases:
        _read_releases(context, sources)
    return known


def _read_releases(context: str, sources: Sources) -> None:
    program = helm.find()
    if not program:
        message = "--cluster: needs helm on PATH to read releases; install it, or name their files"
        raise ReportError(message)
    at = ("--kube-context", context, "--output", "json")
    try:
        listed = helm.run(program, ["list", "--all-namespaces", *at])
        for release in cast("list[dict[str, Any]]", [item for found in listed for item in found]):
            chart = re.fullmatch(rf"{CHART}-(\d\S*)", release["chart"])
            if chart:
                name, namespace = release["name"], release["namespace"]
                found = helm.run(program, ["get", "values", name, "--namespace", namespace, *at])
                sources.live(name, namespace, chart[1], found[0] if found else {})
    except helm.HelmError:
        message = f"--cluster {context}: helm cannot read the releases; run helm list to see why"
        raise ReportError(message) from None
