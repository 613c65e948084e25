"""Runs a preview and brings together what the report needs of it.

The state is read beside the preview, since the engine takes seconds and the reader waits. What it
and the config mark as secret is known from there on, to be taken out of everything else.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pulumi import automation as auto
from pulumi.automation import events

from report.events import Plan, read, told
from report.values import Scrubber, config_secrets, inside, secrets_of
from tools.stack_file import SETTINGS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preview:
    """What one preview said; ``settings`` are those that the program was given."""

    plan: Plan
    settings: Mapping[str, Any]
    state: str
    scrub: Scrubber


def run(stack: auto.Stack) -> Preview:
    """Preview ``stack``; a failure is told in the plan's errors."""
    received: list[events.EngineEvent] = []
    failure = ""
    with ThreadPoolExecutor(max_workers=1) as beside:
        known = beside.submit(_known, stack)
        try:
            stack.preview(on_event=received.append)
        except auto.CommandError as error:
            failure = str(error)
        secrets, state = known.result()
    scrub = Scrubber(secrets)
    plan = read(received, scrub)
    if failure and not plan.errors:
        plan = dataclasses.replace(plan, errors=(told(failure, None, scrub),))
    return Preview(plan=plan, settings=_settings(received), state=state, scrub=scrub)


def _known(stack: auto.Stack) -> tuple[frozenset[str], str]:
    """Return all that is secret in config and state, and when the state was written.

    What cannot be read fails the preview too, which tells it.
    """
    secrets: set[str] = set()
    state = ""
    with contextlib.suppress(auto.CommandError):
        for value in stack.get_all_config().values():
            if value.secret:
                secrets.update(config_secrets(value.value))
        deployment = stack.export_stack().deployment
        secrets.update(secrets_of(deployment))
        state = str(inside(deployment, "manifest").get("time", ""))
    return frozenset(secrets), state


def _settings(received: list[events.EngineEvent]) -> Mapping[str, Any]:
    for config in _configs(received):
        with contextlib.suppress(ValueError):
            return inside(json.loads(config.get(SETTINGS, "")))
    return {}


def _configs(received: list[events.EngineEvent]) -> Iterator[Mapping[str, str]]:
    for event in received:
        if event.prelude_event:
            yield event.prelude_event.config
