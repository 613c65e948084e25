"""Previews a stack and reports what the change does to it."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from pulumi import automation as auto
from rich.console import Console

from commands.shared.checkout import CHECKOUT, changed_program, stack_file
from commands.shared.exit_codes import ExitCode, exit_code
from commands.shared.publishing import is_stale, publish_note
from commands.shared.stacks import located
from components.ownership.cluster import UnreadableError
from report.analysis import assemble, impact
from report.inputs import helm, live, preview
from report.inputs.charts import Charts
from report.inputs.events import RELEASE, Plan
from report.inputs.proposal import settings_of
from report.model import Report
from report.outputs import code_quality, html, markdown, terminal, terraform
from report.stack_file import StackFile

_NO_BASE = (
    "the program with that of the base, a commit that this clone does not have; set GIT_DEPTH to 0"
)


def run(
    stack: auto.Stack,
    *,
    output: Path,
    note_limit: int | None = None,
    reviewed: bool = False,
    settings_from: Path | None = None,
) -> ExitCode:
    """Preview a stack, write the report and the note of the merge request, and judge.

    ``settings_from`` is a stack file whose settings are previewed in place of this checkout's.
    """
    own = stack_file(stack.name)
    if settings_from:
        with settings_of(settings_from, own) as gaps:
            report = preview_and_write(stack, settings_from, output, note_limit, gaps)
    else:
        report = preview_and_write(stack, own, output, note_limit)
    publish_note(report)
    if reviewed and is_stale(report):
        return ExitCode.STALE
    return exit_code(report)


def preview_and_write(
    stack: auto.Stack,
    file: Path,
    output: Path,
    note_limit: int | None = None,
    gaps: tuple[str, ...] = (),
) -> Report:
    """Preview a stack, and write the report to the terminal and a folder.

    ``file`` is the stack file, and ``gaps`` is what a report of it cannot show.
    """
    with Charts(helm.find()) as charts:
        seen = preview.run(stack, charts)
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        base = os.environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", "")
        # With the settings of another file, the program is not that of the merge request.
        program = changed_program(CHECKOUT, base) if base and not gaps else ()
        source = assemble.Source(
            environment=stack.name,
            stack_file=StackFile(file.name, text, seen.scrub),
            settings=seen.settings,
            base=base,
            program=program or (),
            state=seen.state,
        )
        outputs = source.stack_file.declare(seen.plan.new_outputs)
        plan = dataclasses.replace(seen.plan, new_outputs=outputs) if text else seen.plan
        source, unread = _with_workloads(source, stack, plan)
        report = assemble.report(plan, source, charts, seen.scrub)
    unknown = () if program is not None else (_NO_BASE,)
    report = dataclasses.replace(report, gaps=(*gaps, *unknown, *report.gaps, *unread))
    texts = {
        "plan.json": terraform.write(report),
        "quality.json": code_quality.write(report),
        "digest.txt": f"{report.digest}\n",
    }
    write(report, output, texts, note_limit)
    terminal.write(report, Console())
    if exit_code(report) != ExitCode.NO_CHANGE:
        print(f"Full report: {output / 'report.html'}")
    return report


def _with_workloads(
    source: assemble.Source, stack: auto.Stack, plan: Plan
) -> tuple[assemble.Source, tuple[str, ...]]:
    """Add what others run in the namespaces that are deleted, or say why it is not known."""
    namespaces = impact.deleted_namespaces(plan)
    if not namespaces:
        return source, ()
    releases = {str(step.inputs_before.get("name")) for step in plan.steps if step.type == RELEASE}
    try:
        with located(stack, stack.get_all_config()) as where:
            found = live.workloads(where, namespaces, releases)
    except UnreadableError as error:
        return source, (f"what others run in the namespaces that are deleted: {error}",)
    return dataclasses.replace(source, workloads=found), ()


def write(
    report: Report, folder: Path, texts: Mapping[str, str], note_limit: int | None = None
) -> None:
    """Write the files of the report: the note, the page, and ``texts`` by their names."""
    note = markdown.write(report, note_limit or markdown.LIMIT)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**texts, "note.md": note, "report.html": html.write(report)}.items():
        (folder / name).write_text(text, encoding="utf-8")
