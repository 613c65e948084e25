"""The command line of those who work on the project: ``python -m dev``.

A command imports what it needs when it runs, so that the help answers at once, and so that one
room can be used while another is being changed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dev.errors import DevError
from report.errors import ReportError

if TYPE_CHECKING:
    from dev.cluster.control_plane import ControlPlane
    from dev.node.node import Node

app = typer.Typer(
    help="Run the stacks of this checkout locally. The make targets call these commands.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
cluster = typer.Typer(help="Start, stop or show the local control plane.", no_args_is_help=True)
node = typer.Typer(help="Start, stop or show a real node (root, Linux).", no_args_is_help=True)
programs = typer.Typer(help="Make the programs of dev/programs.toml available.")
app.add_typer(cluster, name="cluster")
app.add_typer(node, name="node")
app.add_typer(programs, name="toolchain")

_Stack = Annotated[str, typer.Option("--stack", help="The stack, as in Pulumi.<stack>.yaml.")]
_Strategy = Annotated[str, typer.Option("--strategy", help="In YAML, for every runner.")]
_Names = Annotated[list[str] | None, typer.Argument(help="Programs; by default the cluster's.")]


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


@cluster.command("up")
def cluster_up() -> None:
    """Start the local control plane."""
    _control_plane().up()
    cluster_status()


@cluster.command("down")
def cluster_down() -> None:
    """Stop the local control plane; its state stays."""
    _control_plane().down()
    cluster_status()


@cluster.command("status")
def cluster_status() -> None:
    """Show the programs of the local control plane."""
    for entry in _control_plane().status():
        state = f"running, pid {entry.pid}" if entry.pid else "stopped"
        print(f"{entry.name:24} {state:22} {entry.address}")


def _control_plane() -> "ControlPlane":
    from dev.cluster.control_plane import ControlPlane
    from dev.paths import state_folder

    return ControlPlane(state_folder() / "cluster")


@node.command("up")
def node_up() -> None:
    """Start the real node."""
    _node().up()
    node_status()


@node.command("down")
def node_down() -> None:
    """Stop the real node, and let kwok simulate one from now on."""
    _node().down()
    node_status()


@node.command("status")
def node_status() -> None:
    """Show the programs of the real node."""
    for name, pid in _node().status():
        print(f"{name:24} {f'running, pid {pid}' if pid else 'stopped'}")


@node.command("check")
def node_check() -> None:
    """Fail with what this machine lacks for a real node."""
    from dev.node.node import check

    check(_node())


@node.command("packages")
def node_packages() -> None:
    """Print the Debian packages that a real node lacks."""
    from dev.node.programs import missing_packages

    print(*missing_packages())


def _node() -> "Node":
    from dev.node.node import Node
    from dev.paths import state_folder

    return Node(state_folder())


@programs.command("install")
def install_programs(names: _Names = None) -> None:
    """Fetch or build the programs that are missing."""
    from dev.toolchain.ensure import ensure

    for name in _chosen(names):
        ensure(name)


@programs.command("show")
def show_programs(names: _Names = None) -> None:
    """Show which programs are used, and from where."""
    from dev.toolchain.ensure import installed

    for name in _chosen(names):
        found = installed(name)
        where = f"{found.version:10} {found.source:8} {found.file}" if found else "not there yet"
        print(f"{name:28} {where}")


def _chosen(names: list[str] | None) -> list[str]:
    from dev.toolchain.programs import load

    return names or [item.name for item in load().values() if item.needed_for == "cluster"]
