"""Reports how the cluster differs from what was deployed.

A refresh compares the resources of Pulumi. A Helm release is one of them, so its objects are
compared with its manifest. What others added to the stack's namespaces is listed. Neither the
cluster nor the state changes.
"""

import dataclasses
import sys
from pathlib import Path

from pulumi import automation as auto
from rich.console import Console

from commands.preview import write
from commands.shared.exit_codes import ExitCode, exit_code
from commands.shared.publishing import publish_issue
from commands.shared.stacks import located
from report.analysis import drift
from report.inputs import additions, helm, live, preview
from report.inputs.events import RELEASE
from report.model import Report
from report.outputs import terminal
from report.tree import Tree


def run(stack: auto.Stack, *, output: Path) -> ExitCode:
    """Compare, write the report if something differs, update the issue, and judge."""
    program = helm.find()
    if program is None:
        print("helm is not on PATH; install helm 3.17 or later", file=sys.stderr)
        return ExitCode.FAILED
    found = build_report(stack, program)
    if found.errors or found.counts.total:
        write(found, output, {})
    terminal.write(found, Console())
    publish_issue(found)
    return exit_code(found)


def build_report(stack: auto.Stack, program: Path) -> Report:
    """Return the report; if the cluster cannot be read, its errors say why."""
    config = stack.get_all_config()
    seen = preview.refresh(stack, config)
    releases: dict[str, live.Release] = {}
    added: list[Tree] = []
    with located(stack, config) as where:
        try:
            for step in () if seen.plan.errors else seen.plan.steps:
                if step.type == RELEASE and step.new:
                    name, namespace = str(step.new.get("name")), str(step.new.get("namespace"))
                    found = live.read_release(program, where, name, namespace, seen.scrub)
                    releases[step.urn] = found
            if not seen.plan.errors:
                added = additions.read(where, drift.known(seen.plan, releases))
        except live.LiveError as error:
            plan = dataclasses.replace(seen.plan, errors=(str(error),))
            seen, releases = dataclasses.replace(seen, plan=plan), {}
    return drift.report(stack.name, seen, releases, added, where.context)
