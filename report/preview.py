"""Runs a preview and brings together what the report needs of it.

The state is read beside the preview, since the engine takes seconds and the reader waits; the
config comes with the program, since each command of Pulumi derives the key of the secrets anew.
What the two mark as secret is known from there on, to be taken out of everything else.
"""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pulumi
from pulumi import automation as auto
from pulumi.automation import events

from report.events import Plan, read, read_refresh, sides_of_release, told
from report.rendered import Charts
from report.values import Scrubber, config_secrets, inside, secrets_of
from tools.stack_file import SETTINGS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preview:
    """What one preview said; ``settings`` are those that the program was given."""

    plan: Plan
    settings: Mapping[str, Any]
    state: str
    scrub: Scrubber


def run(stack: auto.Stack, charts: Charts) -> Preview:
    """Preview ``stack``; a failure is told in the plan's errors.

    ``charts`` begins to render what changes as soon as the engine names it.
    """
    configured: set[str] = set()

    def program() -> None:
        configured.update(_configured())
        cast("Callable[[], object]", stack.workspace.program)()

    def see(event: events.EngineEvent) -> None:
        for inputs in sides_of_release(event):
            charts.begin(inputs)

    preview = functools.partial(stack.preview, program=program)
    return _run(stack, preview, read, configured, see)


def refresh(stack: auto.Stack, config: Mapping[str, auto.ConfigValue]) -> Preview:
    """Preview a refresh, which compares the state with the cluster and runs no program.

    ``config`` is the stack's, since reading it takes the engine half a second.
    """
    values = (entry.value for entry in config.values() if entry.secret)
    configured = {secret for value in values for secret in config_secrets(value)}
    return _run(stack, stack.preview_refresh, read_refresh, configured)


def _run(
    stack: auto.Stack,
    operation: Callable[..., object],
    reader: Callable[[list[events.EngineEvent], Scrubber], Plan],
    configured: set[str],
    see: Callable[[events.EngineEvent], None] | None = None,
) -> Preview:
    received: list[events.EngineEvent] = []

    def receive(event: events.EngineEvent) -> None:
        received.append(event)
        if see:
            see(event)

    failure = ""
    with ThreadPoolExecutor(max_workers=1) as beside:
        kept = beside.submit(_kept, stack)
        try:
            operation(on_event=receive)
        except auto.CommandError as error:
            failure = str(error)
        secrets, state = kept.result()
    scrub = Scrubber(configured | secrets)
    plan = reader(received, scrub)
    if failure and not plan.errors:
        plan = dataclasses.replace(plan, errors=(told(failure, None, scrub),))
    return Preview(plan=plan, settings=_settings(received), state=state, scrub=scrub)


def _configured() -> Iterator[str]:
    """Yield all that is secret in the config of the program that runs."""
    # Pulumi has no public function that lists the keys.
    for key, value in pulumi.runtime.config.CONFIG.get().items():
        if pulumi.runtime.is_config_secret(key):
            yield from config_secrets(value)


def _kept(stack: auto.Stack) -> tuple[frozenset[str], str]:
    """Return all that is secret in the state, and when it was written.

    What cannot be read fails the preview too, which tells it.
    """
    try:
        deployment = stack.export_stack().deployment
    except auto.CommandError:
        return frozenset(), ""
    time = str(inside(deployment, "manifest").get("time", ""))
    return frozenset(secrets_of(deployment)), time


def _settings(received: list[events.EngineEvent]) -> Mapping[str, Any]:
    for config in _configs(received):
        with contextlib.suppress(ValueError):
            return inside(json.loads(config.get(SETTINGS, "")))
    return {}


def _configs(received: list[events.EngineEvent]) -> Iterator[Mapping[str, str]]:
    for event in received:
        if event.prelude_event:
            yield event.prelude_event.config
