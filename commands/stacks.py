"""Opens a stack with the CLI and the backend of the user."""

import runpy
import sys
from collections.abc import Callable

from pulumi import automation as auto

from commands import interrupt
from commands.checkout import CHECKOUT
from commands.exit_codes import ExitCode
from components.types import PROJECT
from report.inputs.events import safe_message
from report.redact import Scrubber


def on_stack(name: str, command: Callable[[auto.Stack], ExitCode]) -> ExitCode:
    """Run a command on a stack; an error of Pulumi becomes one line."""
    try:
        with interrupt.left_to_the_engine():
            return command(
                auto.select_stack(
                    name,
                    project_name=PROJECT,
                    program=_program,
                    opts=auto.LocalWorkspaceOptions(work_dir=str(CHECKOUT)),
                )
            )
    except auto.CommandError as error:
        print(safe_message(str(error), None, Scrubber()), file=sys.stderr)
        return ExitCode.FAILED


def _program() -> None:
    """Run the program in this process, so that the engine needs no language host."""
    runpy.run_path(str(CHECKOUT / "__main__.py"))
