"""The command line and the targets of make as Markdown, from what both print as their help."""

import re
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from commands.app import app
from commands.shared.exit_codes import ExitCode
from dev.generate.keys import plain, table, text
from dev.paths import CHECKOUT


def write() -> str:
    """Return a section for each subcommand, with its options."""
    group: Any = get_command(app)
    return "\n\n".join(part for name in group.commands for part in _command(name, group))


def _command(name: str, group: Any) -> Iterator[str]:  # noqa: ANN401 - click's, which typer wraps
    command = group.commands[name]
    yield f"### `{name}`"
    yield from (text(paragraph) for paragraph in str(command.help).split("\n\n"))
    rows = [_option(option) for option in command.params if not option.hidden]
    if rows:
        yield table(["option", "default", "meaning"], rows)


def _option(option: Any) -> list[str]:  # noqa: ANN401 - click's, which typer wraps
    value = (option.metavar or option.name).upper().replace("_", "-")
    if option.param_type_name == "argument":
        return [f"`{value}`", "required" if option.required else "", text(option.help or "")]
    names = ", ".join(
        f"`{name}`" if option.is_flag else f"`{name} {value}`" for name in option.opts
    )
    default = "required" if option.required else ""
    if option.default and not option.is_flag:
        default = f"`{plain(str(option.default))}`"
    return [names, default, text(option.help or "")]


def exit_codes() -> str:
    """Return what each exit code means."""
    return table(["exit code", "meaning"], ([f"{code:d}", code.meaning] for code in ExitCode))


def targets() -> str:
    """Return the targets of the Makefile, as ``make help`` shows them."""
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    rows = [
        [", ".join(f"`make {name}`" for name in names.split()), text(meaning)]
        for names, meaning in re.findall(r"^([a-z -]+):.*## (.*)$", makefile, re.MULTILINE)
    ]
    return table(["target", "what it does"], rows)
