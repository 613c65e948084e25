"""The config.toml that a stack file leads to, by the program's own way from one to the other."""

from typing import Any

from components.arguments import Placement
from components.settings import load as stack
from tests.support.configured import (
    SECRETS,
    SETTINGS,
    bent,
    configure,
)
from tests.support.harness import deploy


def config_toml(strategy: object, changes: dict[str, Any]) -> str:
    """Return the text of runner ``main``, whose jobs are in the namespace ``builds-main``."""
    configure(bent(SETTINGS, {**changes, "runners.main.strategy": strategy}), SECRETS)
    texts: list[str] = []

    def program() -> None:
        runners = Placement(*stack.load()).environment["runners"]
        texts.append(runners["main"]["config_toml"])

    deploy(program)
    return texts[0]
