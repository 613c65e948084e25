"""Runs ``up`` on a stack of the engine tests in a process that a test can kill."""

import sys
from pathlib import Path

from pulumi import automation as auto

from dev.local.progress import Progress
from dev.local.stack import LocalStack


def main() -> int:
    state, kubeconfig, stack_file = map(Path, sys.argv[1:])
    stack = LocalStack("test", state, kubeconfig, stack_file=stack_file)
    try:
        with stack.open() as opened:
            opened.up(on_event=Progress())
    except auto.CommandError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
