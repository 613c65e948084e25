"""The config.toml that the program makes of a stack file."""

from typing import Any

from components.arguments import environment_args
from components.settings.load import load
from tests.support.configured import SECRETS, SETTINGS, configure, replace_values
from tests.support.harness import YEAR, deploy


def config_toml(strategy: object, changes: dict[str, Any]) -> str:
    """Return the text of runner ``main``, whose jobs are in the namespace ``builds-main``."""
    configure(replace_values(SETTINGS, {**changes, "runners.main.strategy": strategy}), SECRETS)
    texts: list[str] = []

    def program() -> None:
        runners = environment_args(load(), YEAR)["runners"]
        texts.append(runners["main"]["values"]["runners"]["config"])

    deploy(program)
    return texts[0]
