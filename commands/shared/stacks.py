"""Opens a stack with the CLI and the backend of the user."""

import contextlib
import os
import runpy
import sys
from collections.abc import Callable, Generator, Mapping

from pulumi import automation as auto

from commands.shared import interrupt
from commands.shared.checkout import CHECKOUT
from commands.shared.exit_codes import ExitCode
from components.ownership.cluster import Kubeconfig, locate
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


@contextlib.contextmanager
def located(stack: auto.Stack, config: Mapping[str, auto.ConfigValue]) -> Generator[Kubeconfig]:
    """Yield the kubeconfig that the provider of a stack with this config finds."""
    given, context = (
        config[key].value if key in config else None
        for key in ("kubernetes:kubeconfig", "kubernetes:context")
    )
    otherwise = stack.workspace.env_vars.get("KUBECONFIG") or os.environ.get("KUBECONFIG", "")
    with locate(given or "", context, otherwise) as where:
        yield where


def _program() -> None:
    """Run the program in this process, so that the engine needs no language host."""
    runpy.run_path(str(CHECKOUT / "__main__.py"))
