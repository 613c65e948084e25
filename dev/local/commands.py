"""The commands of a local stack: up, preview, its report, drift, policies and destroy."""

import contextlib
import os
import shutil
import time
from collections.abc import Generator
from pathlib import Path

from pulumi import automation as auto

from commands import drift as drift_command
from commands import policies as policies_command
from commands import preview as preview_command
from commands.shared import interrupt
from dev.cluster.control_plane import ControlPlane
from dev.errors import DevError
from dev.local.progress import Progress, count, show
from dev.local.stack import LocalStack
from dev.paths import checkpoint, state_folder
from dev.toolchain.ensure import ensure, ensure_all
from dev.toolchain.programs import select
from dev.turn import turn


class LocalError(DevError):
    """A local command failed; the message says why and what to do."""


def up(name: str, strategy: str) -> None:
    """Bring the stack up and show what runs where."""
    with _timed(name, "up"), _stack(name, strategy) as (opened, control_plane):
        progress = Progress()
        opened.up(on_event=progress)
        print(f"{name}: {count(progress.changes)}")
        with control_plane.api() as api:
            show(name, progress.outputs, api)


def preview(name: str, strategy: str) -> None:
    """Show what ``up`` would change."""
    with _timed(name, "preview"), _stack(name, strategy) as (opened, _):
        opened.preview(on_output=print, diff=True, suppress_progress=True)


def preview_report(name: str, strategy: str) -> int:
    """Show what ``up`` would change and what that means, by the users' command."""
    with _stack(name, strategy) as (opened, _), _helm():
        return preview_command.run(opened, output=Path("build/preview"))


def drift(name: str) -> int:
    """Show what has changed in the cluster since ``up``, by the users' command."""
    with _stack(name) as (opened, _), _helm():
        return drift_command.run(opened, output=Path("build/drift"))


def policies(name: str) -> int:
    """Check the local state of the stack against the policies, without a cluster.

    Raises:
        LocalError: the stack is not up.
    """
    file = checkpoint(name)
    if not file.is_file():
        message = f"{name}: is not up on the local control plane; run make up STACK={name} first"
        raise LocalError(message)
    return policies_command.check_file(file)


def destroy(name: str) -> None:
    """Remove everything that the stack deployed, and the stack."""
    with _timed(name, "destroy"), _stack(name) as (opened, _):
        opened.destroy(on_event=Progress(), remove=True)


def clean() -> None:
    """Stop the cluster and remove the state folder."""
    state = state_folder()
    with turn():
        ControlPlane(state / "cluster").down()
        shutil.rmtree(state, ignore_errors=True)


@contextlib.contextmanager
def _stack(name: str, strategy: str = "") -> Generator[tuple[auto.Stack, ControlPlane]]:
    """Start the cluster and open the stack on it.

    Raises:
        LocalError: the engine failed.
    """
    ensure_all(select("cluster"))
    state = state_folder()
    control_plane = ControlPlane(state / "cluster")
    stack = LocalStack(name, state, control_plane.kubeconfig)
    try:
        with turn():
            control_plane.up()
            with stack.open(strategy) as opened, interrupt.left_to_the_engine():
                yield opened, control_plane
    except auto.CommandError as error:
        # The engine prints what is wrong; before it runs, the CLI says it here.
        reason = str(error).partition("stderr: ")[2].strip().removeprefix("error: ")
        message = f"{name}: the engine failed{f': {reason}' if reason else ', see above'}"
        raise LocalError(message) from error


@contextlib.contextmanager
def _timed(name: str, command: str) -> Generator[None]:
    started = time.monotonic()
    yield
    print(f"{name}: {command} took {time.monotonic() - started:.0f} s")


@contextlib.contextmanager
def _helm() -> Generator[None]:
    """Have the toolchain's helm on PATH, where the report searches for it."""
    before = os.environ["PATH"]
    helm = ensure("helm").file
    os.environ["PATH"] = os.pathsep.join((str(helm.parent), before))
    try:
        yield
    finally:
        os.environ["PATH"] = before
