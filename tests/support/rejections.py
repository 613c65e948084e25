"""Errors in a config, written as a stack file has them, and what the program says of them."""

from typing import Any

import pulumi
import pytest
import yaml

from components.settings.load import load
from tests.support.configured import PULL, PUSH, SECRETS, SETTINGS, TOKEN, configure, replace_values

_SETTINGS = "image-builds:settings"


def change(text: str) -> dict[str, Any]:
    """Return the good settings with changes: dotted paths and values, as in a YAML mapping."""
    return replace_values(SETTINGS, yaml.safe_load(f"{{{text}}}"))


def reject() -> list[str]:
    """Load the config, which must fail, and return the lines of the message."""
    with pytest.raises(pulumi.RunError) as failure:
        load()
    return str(failure.value).splitlines()


def assert_says(lines: list[str], key: str, advice: str) -> None:
    """Assert that one line is about ``key``, by default of the settings, and gives the advice."""
    path = key if ":" in key else f"{_SETTINGS}.{key}" if key else _SETTINGS
    found = [line for line in lines[1:] if line.startswith(f"{path}: ")]
    assert len(found) == 1, lines
    assert advice in found[0]
    assert lines[0].endswith("in the config of this stack; nothing was changed:")
    text = "\n".join(lines)
    assert [secret for secret in (TOKEN, PULL, PUSH) if secret in text] == []


def assert_rejected(settings: object, key: str, advice: str) -> None:
    """Assert what the program says of these settings, with the good secrets."""
    configure(settings, SECRETS)
    assert_says(reject(), key, advice)
