"""The command line of those who work on the project: ``python -m dev``.

A command imports what it needs when it runs, so that the help answers at once, and so that one
room can be used while another is being changed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from dev.errors import DevError
from report.errors import ReportError

app = typer.Typer(
    help="Run the stacks of this checkout locally. The make targets call these commands.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_Stack = Annotated[str, typer.Option("--stack", help="The stack, as in Pulumi.<stack>.yaml.")]
_Strategy = Annotated[str, typer.Option("--strategy", help="In YAML, for every runner.")]
_Wanted = Annotated[
    list[str] | None,
    typer.Argument(
        help="Programs, or what needs them: cluster (the default), report, bench, node."
    ),
]


def main(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; an error that is foreseen ends in one line."""
    try:
        return app(arguments, prog_name="python -m dev", standalone_mode=False) or 0
    except typer.TyperException as error:
        message = error.format_message().strip().rstrip(".")
        print(f"{message}; see python -m dev --help", file=sys.stderr)
    except (DevError, ReportError) as error:
        print(error, file=sys.stderr)
    return 1


@app.command()
def up(*, stack: _Stack = "dev", strategy: _Strategy = "") -> None:
    """Bring a stack up on the local control plane."""
    from dev.local import commands

    commands.up(stack, strategy)


@app.command()
def preview(*, stack: _Stack = "dev", strategy: _Strategy = "") -> None:
    """Show what up would change."""
    from dev.local import commands

    commands.preview(stack, strategy)


@app.command()
def preview_report(*, stack: _Stack = "dev", strategy: _Strategy = "") -> int:
    """Show what up would change, and what that does to security and jobs."""
    from dev.local import commands

    return commands.preview_report(stack, strategy)


@app.command()
def drift(*, stack: _Stack = "dev") -> int:
    """Show what has changed in the local cluster since up."""
    from dev.local import commands

    return commands.drift(stack)


@app.command()
def policies(*, stack: _Stack = "dev") -> int:
    """Check the local state of a stack against the policies."""
    from dev.local import commands

    return commands.policies(stack)


@app.command()
def destroy(*, stack: _Stack = "dev") -> None:
    """Remove what a stack deployed locally."""
    from dev.local import commands

    commands.destroy(stack)


@app.command()
def check_secrets(files: list[Path]) -> None:
    """Fail if a stack file has a secret in plain text."""
    from dev.local.stack_file import check_secrets

    for file in files:
        check_secrets(file)


@app.command()
def clean() -> None:
    """Stop the local control plane and remove its state."""
    from dev.local import commands

    commands.clean()


@app.command()
def bench() -> None:
    """Measure previews, updates and reports against their floors."""
    from dev.bench import tables

    tables.main()


@app.command()
def browser(page: Path, image: Path) -> None:
    """Write a picture of a page, which README shows, taken in Chromium."""
    from dev.browser import picture

    picture(page, image, width=1000, height=1000)


@app.command()
def cluster(action: Literal["up", "down", "status"]) -> None:
    """Start, stop or show the local control plane. Its state stays while it is down."""
    from dev.cluster.control_plane import ControlPlane
    from dev.paths import state_folder
    from dev.turn import turn

    control_plane = ControlPlane(state_folder() / "cluster")
    if action != "status":
        with turn():
            control_plane.up() if action == "up" else control_plane.down()
    for entry in control_plane.status():
        state = f"running, pid {entry.pid}" if entry.pid else "stopped"
        print(f"{entry.name:24} {state:22} {entry.address}")


@app.command()
def node(action: Literal["up", "down", "status", "check", "packages"]) -> None:
    """Start, stop or show a real node (root, Linux). Once it is down, kwok simulates one again.

    With check, fail with what this machine lacks for a real node; with packages, print the
    Debian packages that it lacks.
    """
    from dev.node.node import Node, check
    from dev.node.programs import missing_packages
    from dev.paths import state_folder
    from dev.turn import turn

    real = Node(state_folder())
    if action == "check":
        check(real)
    elif action == "packages":
        print(*missing_packages())
    elif action != "status":
        with turn():
            real.up() if action == "up" else real.down()
    if action in {"up", "down", "status"}:
        for name, pid in real.status():
            print(f"{name:24} {f'running, pid {pid}' if pid else 'stopped'}")


@app.command()
def toolchain(action: Literal["install", "show"], wanted: _Wanted = None) -> None:
    """Fetch or build the programs that are missing, or show which are used, and from where."""
    from dev.toolchain.ensure import ensure_all, installed
    from dev.toolchain.programs import select

    names = select(*(wanted or ["cluster"]))
    if action == "install":
        ensure_all(names)
        return
    for name in names:
        found = installed(name)
        where = f"{found.version:10} {found.source:8} {found.file}" if found else "not there yet"
        print(f"{name:28} {where}")
