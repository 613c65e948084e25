"""Reads a stack file as it was written, for tools that run without Pulumi's own reader."""

from pathlib import Path
from typing import Any, cast

import yaml

from components.config import PROJECT

SETTINGS = f"{PROJECT}:settings"


class StackFileError(Exception):
    """A stack file cannot be read; the message says why and what to do."""


def read_config(file: Path, strategy: str = "") -> dict[str, Any]:
    """Return the config in a stack file; what is wrong within it is left to the program.

    Args:
        file: the stack file.
        strategy: in YAML, what ``strategy`` of every runner is to be instead.

    Raises:
        StackFileError: if there is no such file, or it or ``strategy`` is no YAML.
    """
    if not file.is_file():
        message = f"{file.name} does not exist; name a stack that has a file: STACK="
        raise StackFileError(message)
    config = parse_config(file.read_text(encoding="utf-8"), file.name)
    if strategy:
        wanted = _yaml(strategy, "STRATEGY")
        for runner in _table(_table(config.get(SETTINGS)).get("runners")).values():
            _table(runner)["strategy"] = wanted
    return config


def parse_config(text: str, name: str) -> dict[str, Any]:
    """Return the config in the text of a stack file, whose name is for the message.

    Raises:
        StackFileError: if it is no YAML.
    """
    return _table(_table(_yaml(text, name)).get("config"))


def _yaml(text: str, name: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        message = f"{name} is no YAML; correct it: {error}"
        raise StackFileError(message) from None


def _table(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
