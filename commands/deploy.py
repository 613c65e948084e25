"""Deploys a stack, if its preview may be deployed, and checks that the update did what it showed.

Pulumi's update plans would refuse the difference before it is there, and are not used: ADR 0008.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pulumi import automation as auto

from commands.preview import preview_and_write
from commands.shared.checkout import stack_file
from commands.shared.exit_codes import ExitCode, exit_code
from commands.shared.publishing import is_stale
from report.analysis import assemble
from report.inputs import preview
from report.model import PropertyChange, ResourceChange
from report.redact import SECRET, UNKNOWN


def run(stack: auto.Stack, *, output: Path, reviewed: bool = False) -> ExitCode:
    """Preview a stack, judge, update it, and compare what was done with what was shown."""
    report = preview_and_write(stack, stack_file(stack.name), output)
    if reviewed and is_stale(report):
        return ExitCode.STALE
    if (code := exit_code(report)) not in {ExitCode.NO_CHANGE, ExitCode.CHANGES}:
        return code
    done = preview.update(stack)
    if done.errors:
        print(
            f"{stack.name}: the update failed, see above; deploy again, which finishes it",
            file=sys.stderr,
        )
        return ExitCode.FAILED
    if found := list(surprises(report.resources, assemble.resources(done))):
        lines = "\n".join(f"- {line}" for line in found)
        print(
            f"{stack.name}: the update did not do what its preview showed, because the program, "
            "its files or the cluster changed in between; look at the cluster with "
            f"'commands drift', and deploy what was reviewed:\n{lines}",
            file=sys.stderr,
        )
        return ExitCode.STALE
    return ExitCode.NO_CHANGE


def surprises(shown: Sequence[ResourceChange], done: Sequence[ResourceChange]) -> Iterator[str]:
    """Yield a line for each operation that a preview showed otherwise, or not at all.

    What a preview cannot know may become any value, or prove to be no change.
    """
    before = {change.urn: change for change in shown}
    after = {change.urn: change for change in done}
    for urn, found in sorted(after.items()):
        expected = before.get(urn)
        if expected is None:
            yield f"{_named(found)}: not shown"
        elif expected.operation != found.operation:
            yield f"{_named(found)}: shown was {expected.operation}"
        elif paths := _other_values(expected.properties, found.properties):
            yield f"{_named(found)}: other values than shown at {', '.join(paths)}"
    for urn in sorted(before.keys() - after.keys()):
        if not all(item.new == UNKNOWN for item in before[urn].properties):
            yield f"{_named(before[urn])}: shown and not done"


def _other_values(shown: Sequence[PropertyChange], done: Sequence[PropertyChange]) -> list[str]:
    """Return the paths of what differs, but for secrets and what the preview could not know.

    The provider spells a new Secret's contents as ``stringData`` in one and ``data`` in the other.
    """
    unknown = tuple(item.path for item in shown if item.new == UNKNOWN)

    def known(properties: Sequence[PropertyChange]) -> set[PropertyChange]:
        return {
            item
            for item in properties
            if item.new != SECRET and not any(_within(item.path, top) for top in unknown)
        }

    return sorted({item.path for item in known(shown) ^ known(done)})


def _within(path: str, top: str) -> bool:
    return path == top or path.startswith((f"{top}.", f"{top}["))


def _named(change: ResourceChange) -> str:
    return f"{change.operation} {change.type.rpartition(':')[2]} {change.name}"
