"""Makes a stack file of what a site has: values of the chart, a config.toml, live releases."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
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
from convert.site.reading.sources import CHART, Sources
from report.errors import ReportError
from report.inputs import helm


def run(  # noqa: PLR0913 - one for each option
    files: Sequence[Path],
    stack: str,
    *,
    gitlab_ci: Sequence[Path] = (),
    context: str = "",
    namespace: str = "",
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
    sources.finish()
    live = _connect(context) if context else None
    if live:
        known = _read_cluster(live, context, console)
    if live and not files:
        _read_releases(context, namespace, sources)
    terminal.problems(sources.problems, console)
    if not sources.releases:
        print(
            "no file has a runner to import; name values of the chart or a config.toml",
            file=sys.stderr,
        )
        return ExitCode.FAILED
    imported = import_releases(sources.releases, stack, known)
    if not context:
        imported.draft.command("pulumi config set kubernetes:context NAME")
    terminal.write(imported, console)
    if live:
        for line in _lines(context, cluster.secrets(live, imported.draft)):
            console.print(line, soft_wrap=True)
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


def _connect(context: str) -> LiveCluster:
    try:
        return LiveCluster(Kubeconfig(os.environ.get("KUBECONFIG", ""), context))
    except UnreadableError as error:
        message = f"--cluster {context}: {error}"
        raise ReportError(message) from None


def _read_cluster(live: LiveCluster, context: str, console: Console) -> dict[str, JSON]:
    """Return what a cluster says of itself.

    Raises:
        ReportError: it cannot be read.
    """
    for line in _lines(context, cluster.levels(live)):
        console.print(line, soft_wrap=True)
    try:
        return cluster.facts(live)
    except UnreadableError as error:
        message = f"--cluster {context}: nodes: {error}"
        raise ReportError(message) from None


def _lines(context: str, lines: Iterator[str]) -> Iterator[str]:
    """Yield what a cluster says, and why it does not say more."""
    try:
        yield from (f"{context}: {line}" for line in lines)
    except UnreadableError as error:
        yield f"{context}: {error}"


def _read_releases(context: str, namespace: str, sources: Sources) -> None:
    """Add the releases of the chart in a namespace, or in all if it is empty."""
    program = helm.find()
    if not program:
        message = "--cluster: needs helm on PATH to read releases; install it, or name their files"
        raise ReportError(message)
    at = ("--kube-context", context, "--output", "json")
    try:
        where = ["--namespace", namespace] if namespace else ["--all-namespaces"]
        listed = helm.run(program, ["list", *where, *at])
        for release in cast("list[dict[str, Any]]", [item for found in listed for item in found]):
            chart = re.fullmatch(rf"{CHART}-(\d\S*)", release["chart"])
            if chart:
                name, home = release["name"], release["namespace"]
                found = helm.run(program, ["get", "values", name, "--namespace", home, *at])
                sources.live(name, home, chart[1], found[0] if found else {})
    except helm.HelmError:
        message = f"--cluster {context}: helm cannot read the releases; run helm list to see why"
        raise ReportError(message) from None
