"""Check the state of a stack against the rules, without a cluster and without an engine.

Exit codes: 0 no mandatory rule is violated, 1 there is no state to check, 3 a mandatory rule is
violated and the stack file does not accept it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from dev.paths import CHECKOUT, checkpoint
from report.analysis import violations as policies
from report.analysis.rules import RULES
from report.inputs import state
from report.model import FAILED, RISK_RAISED
from report.outputs import markdown as note
from report.outputs import terminal
from report.stack_file import StackFile


def main(arguments: Sequence[str]) -> int:
    """Read a state, say what it violates and how that is accepted, and judge."""
    options = _options(arguments)
    file: Path = options.state or checkpoint(options.stack)
    if not options.state and not file.is_file():
        advice = f"run make up STACK={options.stack} first, or give --state an exported state"
        print(f"{options.stack}: is not up on the local control plane; {advice}", file=sys.stderr)
        return FAILED
    try:
        plan = state.read(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, state.StateError) as error:
        print(f"{file}: {_reason(error)}", file=sys.stderr)
        return FAILED
    # The state's own name, since rules for production are not to be missed.
    stack = state.stack_of(plan)
    if stack is None:
        print(f"{file}: has no resources, so there is nothing to check")
        return 0
    stack_file = _stack_file(stack)
    violations = policies.violations(plan, stack, stack_file)
    stopping = [item for item in violations if item.stops]
    counted = note.plural(len(stopping), "mandatory violation")
    print(f"{stack}: {len(RULES)} rules, {counted}")
    terminal.policies(violations, stack_file.name, Console())
    if stopping:
        print(f"To accept this, give the reasons in {stack_file.name}:\n")
        print(note.acceptance(item.identity for item in stopping))
        return RISK_RAISED
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="commands.policies",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--stack", default="dev", help="one of the local control plane")
    source.add_argument("--state", type=Path, help="a file that pulumi stack export has written")
    return parser.parse_args(arguments)


def _reason(error: Exception) -> str:
    """Say what is wrong with a file, and of one that is no JSON no part, which could be secret."""
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror}); give --state the file of an exported state"
    if isinstance(error, state.StateError):
        return str(error)
    return "is no JSON; write it by: pulumi stack export --file state.json"


def _stack_file(stack: str) -> StackFile:
    file = CHECKOUT / f"Pulumi.{stack}.yaml"
    return StackFile(file.name, file.read_text(encoding="utf-8") if file.is_file() else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
