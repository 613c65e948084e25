"""The stack file of a merge request under the program of this checkout.

A preview of a branch runs the branch's program, which can read all that its job can. Here the
program is this checkout's, that of the default branch, and of the other stack file only what can
run nothing is taken: a kubeconfig may name a program to run, and ``gitlab:baseUrl`` and
``secretsprovider`` say where credentials go.
"""

import contextlib
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from components.settings.plain_text import plain_secrets
from components.types import ACCEPTED_RISKS, JSON, PROJECT
from report.errors import ReportError
from report.stack_file import SETTINGS, read_config

_SECRETS = ("cacheCredentials", "registryCredentials", "runnerTokens")
_TAKEN = (SETTINGS, ACCEPTED_RISKS, *(f"{PROJECT}:{key}" for key in _SECRETS))
_PROGRAM = (
    "changes of the program: that of the default branch ran; `python -m commands compare`, which "
    "needs no secret, shows what the changed program makes of the stack files"
)


@contextlib.contextmanager
def settings_of(proposed: Path, own: Path) -> Generator[tuple[str, ...]]:
    """Have the stack file ``own`` hold the settings of ``proposed`` while the block runs.

    Yields:
        what a report of them cannot show.

    Raises:
        ReportError: if either file is missing or not YAML, or ``proposed`` has a secret in plain
            text or an encrypted setting, which could show a secret under another name.
    """
    other, theirs = _read(proposed)
    top, ours = _read(own)
    stack = own.name.removeprefix("Pulumi.").removesuffix(".yaml")
    wrong = [f"{path}: {text}" for path, text in plain_secrets(theirs, stack, proposed.name)]
    wrong += [
        f"{key}: must not have encrypted values; write them in plain text"
        for key in (SETTINGS, ACCEPTED_RISKS)
        if _is_encrypted(theirs.get(key))
    ]
    if wrong:
        raise ReportError("\n".join(wrong))
    kept = {key: value for key, value in ours.items() if key not in _TAKEN}
    taken = {key: theirs[key] for key in _TAKEN if key in theirs}
    before = own.read_text(encoding="utf-8")
    own.write_text(yaml.safe_dump({**top, "config": {**kept, **taken}}), encoding="utf-8")
    try:
        yield (_PROGRAM, *_left_out({**other, **theirs, **taken}, {**top, **kept, **taken}))
    finally:
        own.write_text(before, encoding="utf-8")


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a stack file says of encryption and the like, and its config."""
    config = read_config(file)
    content = yaml.safe_load(file.read_bytes())
    table = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    return {key: value for key, value in table.items() if key != "config"}, config


def _is_encrypted(value: JSON) -> bool:
    if isinstance(value, dict):
        return "secure" in value or any(map(_is_encrypted, value.values()))
    return isinstance(value, list) and any(map(_is_encrypted, value))


def _left_out(proposed: Mapping[str, Any], used: Mapping[str, Any]) -> Iterator[str]:
    """Yield each other key that the merge request changes, since the default branch's holds."""
    for key in sorted({*proposed, *used}):
        if proposed.get(key) != used.get(key):
            yield f"the change of {key}: the stack file of the default branch decides it"
