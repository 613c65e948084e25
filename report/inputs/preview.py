"""Runs a preview, a refresh or an update, and collects what the report needs.

The state is read while the preview runs, which takes the engine seconds. The config is read in the
program, since each command of Pulumi derives the key of the secrets again. What either marks as
secret is masked everywhere else. Releases that the program changes are rendered meanwhile.
"""

import asyncio
import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import pulumi
from pulumi import automation as auto
from pulumi.automation import events
from pydantic.alias_generators import to_camel

from components.ownership.marks import TAKES_OVER
from report.inputs.charts import API_VERSION, Charts, OtherChartError, render_error, rendering_key
from report.inputs.events import RELEASE, Plan, read, read_refresh, safe_message, sides_of_release
from report.redact import Scrubber, clean, config_secrets, secrets_of
from report.stack_file import SETTINGS
from report.tree import Tree, entries, inside, leaves, number

_KUBERNETES = "1.36.0"
"""The version for which charts are rendered, the same for both sides."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preview:
    """A preview; ``settings`` are those that the program read."""

    plan: Plan
    settings: Tree
    state: str
    scrub: Scrubber


@dataclasses.dataclass(frozen=True, kw_only=True)
class _State:
    """The secrets of a state, the time of its last update, and the inputs of releases by name."""

    secrets: frozenset[str] = frozenset()
    time: str = ""
    releases: Mapping[str, Tree] = dataclasses.field(default_factory=dict[str, Tree])


def run(stack: auto.Stack, charts: Charts) -> Preview:
    """Preview a stack; a failure is in the errors of the plan.

    ``charts`` renders each release that changes as soon as the program or the engine names it.
    """
    configured: set[str] = set()

    def see(event: events.EngineEvent) -> None:
        for inputs in sides_of_release(event):
            charts.begin(inputs)

    with _state(stack) as state:

        def program() -> None:
            configured.update(_read_config_secrets())
            foresee = functools.partial(_foresee, charts, state)
            pulumi.runtime.register_stack_transformation(foresee)
            cast("Callable[[], object]", stack.workspace.program)()

        preview = functools.partial(stack.preview, program=program)
        return _run(preview, state, read, configured, see)


def update(stack: auto.Stack) -> Plan:
    """Deploy a stack, show what the engine says, and return what it did; errors say a failure."""
    configured: set[str] = set()

    def program() -> None:
        configured.update(_read_config_secrets())
        cast("Callable[[], object]", stack.workspace.program)()

    with _state(stack) as state:
        up = functools.partial(stack.up, program=program, on_output=print)
        return _run(up, state, read, configured).plan


def refresh(stack: auto.Stack, config: Mapping[str, auto.ConfigValue]) -> Preview:
    """Preview a refresh, which compares the state with the cluster and runs no program.

    ``config`` is that of the stack, which the caller needs too: reading it takes half a second.
    """
    values = (entry.value for entry in config.values() if entry.secret)
    configured = {secret for value in values for secret in config_secrets(value)}
    with _state(stack) as state:
        return _run(stack.preview_refresh, state, read_refresh, configured)


def _run(
    operation: Callable[..., object],
    state: "Future[_State]",
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
    try:
        operation(on_event=receive)
    except auto.CommandError as error:
        failure = str(error)
    scrub = Scrubber(configured | state.result().secrets)
    plan = dataclasses.replace(reader(received, scrub), taken_over=_taken_over(received, scrub))
    if failure and not plan.errors:
        plan = dataclasses.replace(plan, errors=(safe_message(failure, None, scrub),))
    return Preview(plan=plan, settings=_settings(received), state=state.result().time, scrub=scrub)


def _taken_over(received: list[events.EngineEvent], scrub: Scrubber) -> tuple[str, ...]:
    """Return what the program says of objects that others made."""
    said = (
        scrub(event.diagnostic_event.message.strip())
        for event in received
        if event.diagnostic_event
    )
    return tuple(sorted(text for text in said if text.startswith(TAKES_OVER)))


def _foresee(
    charts: Charts, state: "Future[_State]", args: pulumi.ResourceTransformationArgs
) -> None:
    """Render a release that the program registers, if it differs from that in the state."""
    if args.type_ != RELEASE or charts.helm is None:
        return
    given = {to_camel(key): value for key, value in args.props.items() if value is not None}
    # Of the outputs alone, since an output of all inputs takes the SDK long.
    outputs: list[Any] = [leaf for leaf in leaves(given) if isinstance(leaf, pulumi.Output)]
    # A copy, since a transform of the program may change them in place afterwards.
    inputs = _fill(given, iter(outputs))

    async def compare(resolved: list[object]) -> None:
        # Values contain no secrets. If they did, it would not be known yet what to mask.
        if await together.is_secret():
            return
        new = _fill(inputs, iter(resolved))
        old = (await asyncio.wrap_future(state)).releases.get(args.name)
        if old is None or rendering_key(old) != rendering_key(new):
            options = pulumi.InvokeOptions(parent=args.opts.parent)
            sides = (clean(side, Scrubber()) for side in (old, new) if side)
            await asyncio.gather(*(_render(charts, side, options) for side in sides))

    together = pulumi.Output.all(*outputs)
    together.apply(compare)


async def _render(charts: Charts, inputs: Tree, options: pulumi.InvokeOptions) -> None:
    """Let the provider render one side: it runs already, unlike helm."""
    promised = charts.promise(inputs)
    failure = render_error(inputs)
    try:
        # What failed can contain values, so it is not reported.
        with contextlib.suppress(Exception):
            try:
                chart = await asyncio.to_thread(charts.local, inputs)
            except OtherChartError as error:
                failure = error
                raise
            asked = {
                "path": str(chart.parent),
                "chart": chart.name,
                "release_name": inputs["name"],
                "namespace": inputs["namespace"],
                "values": inputs["values"],
                # Without both, the provider asks the cluster for them each time.
                "kube_version": _KUBERNETES,
                "api_versions": [API_VERSION],
            }
            call = ("kubernetes:helm:template", {"jsonOpts": json.dumps(asked)}, options)
            answer = await pulumi.runtime.invoke_async(*call)
            # All numbers come back as floats.
            text = json.dumps(answer["result"])
            promised.set_result(json.loads(text, parse_float=number))
    finally:
        if not promised.done():
            promised.set_exception(failure)


def _fill(value: object, resolved: Iterator[object]) -> Any:  # noqa: ANN401 - JSON and outputs
    """Replace the outputs in a value by what they resolved to, in the order of ``leaves``."""
    if isinstance(value, pulumi.Output):
        return next(resolved)
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        return {key: _fill(item, resolved) for key, item in table.items()}
    if isinstance(value, list):
        return [_fill(item, resolved) for item in cast("list[object]", value)]
    return value


def _read_config_secrets() -> Iterator[str]:
    """Yield the secrets in the config of the running program."""
    # Pulumi has no public function that lists the keys.
    for key, value in pulumi.runtime.config.CONFIG.get().items():
        if pulumi.runtime.is_config_secret(key):
            yield from config_secrets(value)


@contextlib.contextmanager
def _state(stack: auto.Stack) -> Generator["Future[_State]"]:
    """Read the state in another thread while the block runs."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        yield beside.submit(_export, stack)


def _export(stack: auto.Stack) -> _State:
    """Return the state, an empty one if it cannot be read: the preview fails then, and says so."""
    try:
        deployment = stack.export_stack().deployment
    except auto.CommandError:
        return _State()
    return _State(
        secrets=frozenset(secrets_of(deployment)),
        time=str(inside(deployment, "manifest").get("time", "")),
        releases={
            str(resource["urn"]).rpartition("::")[2]: inside(resource, "inputs")
            for resource in entries(inside(deployment), "resources")
            if resource["type"] == RELEASE
        },
    )


def _settings(received: list[events.EngineEvent]) -> Tree:
    for event in received:
        with contextlib.suppress(ValueError):
            if event.prelude_event:
                return inside(json.loads(event.prelude_event.config.get(SETTINGS, "")))
    return {}
