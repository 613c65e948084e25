"""The program's own checks of a stack file, before it is written."""

import json
from collections.abc import Iterator

import pulumi

from components.settings.load import load
from components.types import JSON, PROJECT
from convert.site.draft import Draft

_ROUNDS = 20
"""How often values are removed and the rest is checked again, since one error can hide others."""


def prune(draft: Draft) -> list[str]:
    """Remove what the program rejects, turn its findings into refusals, and return what is left.

    What is left are errors in no value of the site, such as one that is missing.
    """
    for _ in range(_ROUNDS):
        errors = list(_errors(draft))
        reasons = {path: text for where, text in errors if (path := draft.origin(where))}
        if not reasons:
            return [f"{where}: {text}" for where, text in errors]
        for path, text in reasons.items():
            if draft.get(path) is not None:
                reason, _, do = text.partition("; ")
                draft.remove(path).refuse(f"the program rejects it: it {reason}", do)
    return [f"{where}: {text}" for where, text in _errors(draft)]


def _errors(draft: Draft) -> Iterator[tuple[str, str]]:
    """Yield (path, message) of each error of the program, as if all secrets were stored."""
    config: dict[str, JSON] = {"settings": draft.settings, **_secrets(draft)}
    values = {f"{PROJECT}:{key}": json.dumps(value) for key, value in config.items()}
    secret = [f"{PROJECT}:{key}" for key in config if key != "settings"]
    pulumi.runtime.set_all_config({**values, "kubernetes:context": "import"}, secret)
    try:
        load()
    except pulumi.RunError as error:
        for line in str(error).splitlines()[1:]:
            where, _, text = line.partition(": ")
            yield where.removeprefix(f"{PROJECT}:settings.").removeprefix(f"{PROJECT}:"), text
    finally:
        pulumi.runtime.set_all_config({})


def _secrets(draft: Draft) -> dict[str, JSON]:
    """Return secrets in the form of those that the settings need."""
    runners = draft.settings["runners"]
    tokens: dict[str, JSON] = {}
    logins: dict[str, JSON] = {}
    for index, (name, runner) in enumerate(runners.items() if isinstance(runners, dict) else ()):
        if isinstance(runner, dict) and "registration" not in runner:
            tokens[name] = f"glrt-{index:020}"
    del logins
    return {"runnerTokens": tokens}
