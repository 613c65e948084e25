"""The stack file as people wrote it: on which line a key is, and which risks it accepts."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pydantic
import yaml

from components.settings.models import AcceptedRisks
from components.settings.plain_text import SECRET_KEYS
from components.settings.stack_file import beside
from components.types import ACCEPTED_RISKS, PROJECT
from report.errors import ReportError
from report.model import SettingError
from report.redact import Scrubber, clean
from report.tree import JSON, Tree, inside

SETTINGS = f"{PROJECT}:settings"
_KEYS = "|".join((SETTINGS, ACCEPTED_RISKS, *SECRET_KEYS))
_ERROR = re.compile(rf"^({_KEYS})(?:\.(\S+))?: (.*)$", re.MULTILINE)


class StackFile:
    """One stack file; the program reports its errors."""

    def __init__(self, name: str, text: str, scrub: Callable[[str], str] = str) -> None:
        """Read it; a text that is not YAML has no lines.

        ``scrub`` takes secrets out of the reasons for acceptances.
        """
        self.name = name
        try:
            self._lines, content = _read(text)
        except yaml.YAMLError:
            self._lines, content = {}, None
        config = inside(content, "config")
        self.settings = inside(config, SETTINGS)
        self.accepted = {
            identity: scrub(reason)
            for identity, reason in _accepted(config.get(ACCEPTED_RISKS)).items()
        }
        """The reason for each risk that is accepted in writing, by its identity."""
        self.declared = declared_in(content)
        """What it says beside the settings, as the outputs of a stack have it."""

    def declare(self, outputs: Tree) -> Tree:
        """Return the outputs of a stack as if this file were the one beside its program."""
        declared = inside(outputs, "declared")
        # Earlier versions had none, and so nothing to compare.
        return {**outputs, "declared": {**declared, **self.declared}} if declared else outputs

    def find(self, *path: str, under: str = SETTINGS) -> tuple[str, int | None]:
        """Return the nearest key on the way to a path in a config value, and its line."""
        for length in range(len(path), -1, -1):
            line = self._lines.get(("config", under, *path[:length]))
            if line is not None:
                return ".".join(path[:length]) or under, line
        return ".".join(path), None

    def find_errors(self, messages: Iterable[str]) -> tuple[SettingError, ...]:
        """Return the errors in this file that messages of the program name."""
        return tuple(
            self._locate(*found.groups(""))
            for message in messages
            for found in _ERROR.finditer(message)
        )

    def _locate(self, under: str, where: str, text: str) -> SettingError:
        path = [where] if under == ACCEPTED_RISKS else re.findall(r"[\w-]+", where)
        _, line = self.find(*path, under=under)
        return SettingError(key=where or under, text=text, line=line)


def _accepted(value: object) -> Mapping[str, str]:
    """Return the accepted risks, none where they have errors, which the program reports."""
    try:
        return AcceptedRisks.model_validate(value).root
    except pydantic.ValidationError:
        return {}


def _read(text: str) -> tuple[dict[tuple[str, ...], int], JSON]:
    """Return the line of each key of a text and what it says, parsed once for both."""
    loader: Any = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        return (dict(_lines(node, ())), loader.construct_document(node)) if node else ({}, None)
    finally:
        loader.dispose()


def _lines(node: yaml.Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield the path of each key with its line, counted from one."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*path, str(key.value))
            yield below, key.start_mark.line + 1
            yield from _lines(value, below)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            below = (*path, str(index))
            yield below, item.start_mark.line + 1
            yield from _lines(item, below)


def declared_in(content: object) -> dict[str, Any]:
    """Return what the content of a stack file says beside the settings."""
    return clean(cast("Tree", beside(_table(content))), Scrubber())


def read_config(file: Path, strategy: str = "") -> dict[str, Any]:
    """Return the config in a stack file, whose errors the program reports.

    A ``strategy``, in YAML, replaces that of every runner.

    Raises:
        ReportError: if there is no such file, or it or ``strategy`` is not YAML.
    """
    if not file.is_file():
        message = f"{file.name} does not exist; name a stack that has a file"
        raise ReportError(message)
    config = _table(parse(file.read_text(encoding="utf-8"), file.name).get("config"))
    if strategy:
        wanted = _yaml(strategy, "STRATEGY")
        for runner in _table(_table(config.get(SETTINGS)).get("runners")).values():
            _table(runner)["strategy"] = wanted
    return config


def parse(text: str, name: str) -> dict[str, Any]:
    """Return what a stack file holds, by its text; messages use its name.

    Raises:
        ReportError: if it is not YAML.
    """
    return _table(_yaml(text, name))


def _yaml(text: str, name: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        message = f"{name} must be YAML: {error}"
        raise ReportError(message) from None


def _table(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
