"""Checks the state of a stack against the policies, without a cluster."""

import json
import sys
from pathlib import Path

from pulumi import automation as auto
from rich.console import Console

from commands.shared.checkout import stack_file
from commands.shared.exit_codes import ExitCode
from components.settings.errors import visible
from report.analysis.rules import RULES
from report.analysis.violations import violations
from report.inputs import state
from report.outputs import terminal
from report.outputs.phrases import acceptance, plural
from report.stack_file import StackFile
from report.tree import JSON


def run(stack: auto.Stack) -> ExitCode:
    """Check the state that a stack's backend has."""
    return _check(stack.name, {"deployment": stack.export_stack().deployment})


def check_file(file: Path) -> ExitCode:
    """Check a state that ``pulumi stack export`` has written, or the file of a backend."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        reason = f"cannot be read ({error.strerror}); --state must be an exported state"
        print(f"{file}: {reason}", file=sys.stderr)
        return ExitCode.FAILED
    except ValueError:
        # The content is not shown: it can be secret.
        reason = "must be JSON; write it with: pulumi stack export --file state.json"
        print(f"{file}: {reason}", file=sys.stderr)
        return ExitCode.FAILED
    return _check(str(file), content)


def _check(source: str, content: JSON) -> ExitCode:
    """Print the violations of a state, and how to accept them."""
    plan = state.read(content, source)
    # The name in the state, so that no rule for production is missed.
    stack = state.stack_of(plan)
    if stack is None:
        print(f"{source}: has no resources to check")
        return ExitCode.NO_CHANGE
    file = stack_file(stack)
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    found = violations(plan, stack, StackFile(file.name, text), {})
    stopping = [item for item in found if item.stops]
    counted = plural(len(stopping), "mandatory violation")
    print(f"{stack}: {len(RULES)} rules, {counted}")
    terminal.policies(found, file.name, Console())
    if stopping:
        print(f"To accept this, add the reasons to {file.name}:\n")
        print(visible(acceptance(item.identity for item in stopping)))
        return ExitCode.RISK_RAISED
    return ExitCode.NO_CHANGE
