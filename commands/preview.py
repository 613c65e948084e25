"""Preview one environment and tell what the change does to it.

Exit codes: 0 nothing changes, 1 the preview failed, 2 something changes, 3 the risk rises and the
stack file does not accept it, 4 the plan is not the one that was reviewed.
"""

import argparse
import contextlib
import os
import runpy
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

from pulumi import automation as auto
from rich.console import Console

from components.types import PROJECT
from dev import cluster, toolchain
from dev.local import LocalStack
from dev.paths import CHECKOUT, state_folder
from report.analysis import assemble
from report.inputs import preview
from report.inputs.charts import Charts
from report.model import (
    FAILED,
    NO_CHANGE,
    STALE,
    Report,
)
from report.outputs import (
    code_quality as quality,
)
from report.outputs import (
    gitlab,
    terminal,
)
from report.outputs import (
    html as page,
)
from report.outputs import (
    markdown as note,
)
from report.outputs import (
    terraform as widget,
)
from report.stack_file import StackFile, StackFileError

TOKEN = "IMAGE_BUILDS_NOTE_TOKEN"  # noqa: S105 - the name of a variable
"""A project access token with the role Reporter and the scope ``api``. Without it, no note and no
drift issue is written.
"""


def main(arguments: Sequence[str]) -> int:
    """Preview, write the outputs, tell GitLab where there is a merge request, and judge."""
    options = _options(arguments)
    file = CHECKOUT / f"Pulumi.{options.stack}.yaml"
    try:
        with opened(options.stack, options.strategy, local=options.local) as stack:
            report = tell(stack, options.stack, file, options.output, options.note_limit)
    except (StackFileError, cluster.ClusterError, toolchain.ToolchainError) as error:
        print(error, file=sys.stderr)
        return FAILED
    except auto.CommandError as error:
        print(preview.told(str(error), None, preview.Scrubber()), file=sys.stderr)
        return FAILED
    publish(report)
    if options.reviewed and stale(report):
        return STALE
    return report.exit_code


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stack", default="dev")
    parser.add_argument("--output", type=Path, default=Path("build/preview"))
    parser.add_argument(
        "--note-limit",
        type=int,
        default=note.LIMIT,
        help="the most characters that note.md may have",
    )
    parser.add_argument("--local", action="store_true", help="on the local control plane")
    parser.add_argument("--strategy", default="", help="in YAML, for every runner; with --local")
    parser.add_argument(
        "--reviewed",
        action="store_true",
        help="refuse if the merge request of this commit showed another plan",
    )
    return parser.parse_args(arguments)


@contextlib.contextmanager
def opened(name: str, strategy: str = "", *, local: bool) -> Generator[auto.Stack]:
    """Open a stack: the user's own, or that of the local control plane."""
    if local:
        control_plane = cluster.Cluster(state_folder() / "cluster")
        control_plane.up()
        here = LocalStack(name, state_folder(), control_plane.kubeconfig)
        with here.open(strategy) as stack:
            yield stack
    else:
        yield auto.select_stack(
            name,
            project_name=PROJECT,
            program=_program,
            opts=auto.LocalWorkspaceOptions(work_dir=str(CHECKOUT)),
        )


def _program() -> None:
    """The program, served as in the local run, so that no language host is needed."""
    runpy.run_path(str(CHECKOUT / "__main__.py"))


def tell(
    stack: auto.Stack,
    environment: str,
    file: Path,
    output: Path,
    note_limit: int = note.LIMIT,
) -> Report:
    """Preview, and tell it on the terminal and in a folder; ``file`` is the stack's own."""
    found = toolchain.installed("helm")
    with Charts(found.file if found else None) as charts:
        seen = preview.run(stack, charts)
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        stack_file = StackFile(file.name, text, seen.scrub)
        report = assemble.report(
            seen.plan,
            environment=environment,
            stack_file=stack_file,
            settings=seen.settings,
            charts=charts,
            scrub=seen.scrub,
            base=os.environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", ""),
            state=seen.state,
        )
    write(report, stack_file, output, note_limit)
    terminal.write(report, Console())
    if report.exit_code != NO_CHANGE:
        print(f"The whole report, for a browser: {output / 'report.html'}")
    return report


def write(report: Report, stack_file: StackFile, folder: Path, note_limit: int) -> None:
    """Write every output that is a file."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "plan.json": widget.write(report),
        "quality.json": quality.write(report, stack_file),
        "note.md": note.write(report, note_limit),
        "report.html": page.write(report),
        "digest.txt": f"{report.digest}\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def address() -> gitlab.Address | None:
    """Where this pipeline may write, which a project's own token decides."""
    token = os.environ.get(TOKEN)
    if not token:
        print(f"GitLab is not told, since {TOKEN} is not set; the files are there all the same")
        return None
    url, project = os.environ["CI_SERVER_URL"], os.environ["CI_PROJECT_ID"]
    return gitlab.Address(url=url, project=project, token=token)


def publish(report: Report) -> None:
    """Write note and label, if this is the pipeline of a merge request and there is a token."""
    merge_request = os.environ.get("CI_MERGE_REQUEST_IID")
    if not merge_request or not (to := address()):
        return
    name = f"risk raised: {report.environment}"
    try:
        gitlab.publish(to, merge_request, report.environment, note.write(report))
        gitlab.label(to, merge_request, name, wanted=report.stops)
    except gitlab.PublishError as error:
        print(f"The note of the merge request is not up to date: {error}", file=sys.stderr)


def stale(report: Report) -> bool:
    """Whether the merge request of this commit showed another plan than this one."""
    if not (to := address()):
        return False
    try:
        seen = gitlab.reviewed(to, os.environ["CI_COMMIT_SHA"], report.environment)
    except gitlab.PublishError as error:
        print(f"It is not known what was reviewed: {error}", file=sys.stderr)
        return True
    if seen is None:
        print("No merge request of this commit has a note of this environment")
        return False
    if seen == report.digest:
        return False
    print(
        f"{report.environment}: plan {report.digest} is not the reviewed one, {seen}; look at this "
        "one and deploy it by hand, or open a new merge request",
        file=sys.stderr,
    )
    return True
