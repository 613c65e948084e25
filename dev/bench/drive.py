"""Runs one operation on a stack in this process and prints its figures: ``python -m`` this.

Arguments: operation (preview, up, report or export_stack), stack, state folder, kubeconfig, stack
file, program, strategy.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from pulumi import automation as auto

from commands.preview import preview_and_write
from dev.local.stack import LocalStack


def main(arguments: Sequence[str]) -> None:
    """Run the operation and print its figures as JSON.

    ``seconds`` is the operation's wall time, ``program`` that of the program until it has
    declared everything, imports included, ``memory`` this process' peak in MiB, ``command`` the
    wall time since Python was started, as a user waits for it, ``cpu`` what it and the programs
    that it ran have used meanwhile, which a busy machine changes less.
    """
    operation, name, state, kubeconfig, stack_file, program, strategy = arguments
    stack = LocalStack(
        name, Path(state), Path(kubeconfig), stack_file=Path(stack_file), program=Path(program)
    )
    spent: list[float] = []
    run = stack.run

    def timed() -> None:
        started = time.perf_counter()
        run()
        spent.append(time.perf_counter() - started)

    stack.run = timed
    with stack.open(strategy) as opened:
        if operation == "export_stack":
            print(json.dumps(opened.export_stack().deployment))
            return
        started = time.perf_counter()
        if operation == "report":
            preview_and_write(opened, stack.stack_file, Path(state) / "report")
        else:
            # The SDK's own also asks for the outputs and the summary of what it did.
            getattr(auto.Stack.select(name, opened.workspace), operation)()
        seconds = time.perf_counter() - started
    process = psutil.Process()
    figures = {
        "seconds": seconds,
        "program": spent[-1],
        "memory": process.memory_info().rss / 2**20,
        "command": time.time() - process.create_time(),
        # In user and system mode, and the same of its children.
        "cpu": sum(process.cpu_times()[:4]),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
