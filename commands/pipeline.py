"""Says what becomes of the jobs of a pipeline on the runners of a stack."""

import contextlib
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from commands.shared import ci_lint
from commands.shared.checkout import stack_file
from commands.shared.exit_codes import ExitCode
from commands.shared.settings import read_settings
from convert.pipeline import edits
from convert.pipeline.check import Result, check
from convert.pipeline.outputs import code_quality, data, terminal
from convert.pipeline.runner import candidates, runners


def run(  # noqa: PLR0913 - one for each option
    files: Sequence[Path],
    stack: str,
    *,
    output: Path | None = None,
    write: bool = False,
    merged: bool = False,
    project: str = "",
) -> ExitCode:
    """Check the pipelines in some files; ``write`` makes the changes that need no decision.

    Includes that are not local are resolved as a ``project`` in GitLab may, if one is named.
    """
    file = stack_file(stack)
    settings = read_settings(file)
    own, every = runners(settings), candidates(settings)
    if not own:
        print(f"{file.name}: must have a runner that builds images; add one", file=sys.stderr)
        return ExitCode.FAILED
    asks = ci_lint.resolving(settings.gitlab, project) if project else contextlib.nullcontext()
    with asks as resolve:
        put = functools.partial(check, files, own, every, merged=merged, resolve=resolve)
        result = put()
        if write and (count := edits.write(_changes(result), result.root)):
            written = "1 change is" if count == 1 else f"{count} changes are"
            print(f"{written} written; what follows is left")
            result = put()
    if output:
        output.mkdir(parents=True, exist_ok=True)
        (output / "pipeline.json").write_text(data.write(result), encoding="utf-8")
        (output / "quality.json").write_text(code_quality.write(result), encoding="utf-8")
    terminal.write(result, Console())
    if result.failed:
        return ExitCode.FAILED
    left = any(verdict.verdict != "unchanged" for verdict in result.verdicts)
    return ExitCode.CHANGES if left else ExitCode.NO_CHANGE


def _changes(result: Result) -> list[edits.Change]:
    return [
        finding.change
        for verdict in result.verdicts
        for finding in verdict.findings
        if finding.change and finding.outcome != "note"
    ]
