"""Runs a program under Pulumi's mocks and keeps what it registered; assertions stay outside.

``asyncio.run`` gives each program a loop and a context of its own: the SDK keeps the root stack
in a context variable, which would otherwise leak into the next test.
"""

import asyncio
import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any, cast

import pulumi
from pulumi.runtime import mocks

SECRET_MARK = "4dabf18193072939515e22adb298388d"


def is_secret(value: object) -> bool:
    """Whether a recorded input is marked secret."""
    return isinstance(value, dict) and SECRET_MARK in cast("dict[str, Any]", value)


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return a recorded input without its marks of secrecy."""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        if SECRET_MARK in table:
            return plain(table["value"])
        return {key: plain(item) for key, item in table.items()}
    if isinstance(value, list):
        return [plain(item) for item in cast("list[object]", value)]
    return value


def unmarked(value: object) -> str:
    """Return the text of all that is not marked secret in a recorded input."""
    if is_secret(value):
        return ""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return "\n".join(f"{key} {unmarked(item)}" for key, item in table.items())
    if isinstance(value, list):
        return "\n".join(map(unmarked, cast("list[object]", value)))
    return str(value)


@dataclasses.dataclass
class Registered:
    """One resource: its type, name, URN and inputs, and what the engine was told beside them.

    ``parent`` and ``provider`` are references, ``after`` the URNs that it waits for, ``outputs``
    what a component or the stack has registered.
    """

    kind: str
    name: str
    urn: str
    inputs: dict[str, Any]
    parent: str
    provider: str
    after: list[str]
    outputs: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])


class _Mocks(mocks.Mocks):
    def __init__(self, *, preview: bool) -> None:
        self.preview = preview

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        outputs: dict[str, Any] = dict(cast("Any", args).inputs)
        if args.typ == "kubernetes:helm.sh/v3:Release":
            outputs["status"] = {"name": outputs["name"]}
        # Until it is made, nobody knows the runner's token.
        if args.typ == "gitlab:index/userRunner:UserRunner" and not self.preview:
            outputs["token"] = "glrt-made-by-gitlab"
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        message = f"the program called {args.token}, which no test expects"
        raise AssertionError(message)


class _Monitor(mocks.MockMonitor):
    def __init__(self, registered: list[Registered], *, preview: bool) -> None:
        super().__init__(_Mocks(preview=preview))
        self.registered = registered

    def RegisterResource(self, request: Any) -> Any:  # noqa: ANN401, N802 - the SDK's signature
        response = cast("Any", super()).RegisterResource(request)
        self.registered.append(
            Registered(
                request.type,
                request.name,
                response.urn,
                _recorded(request.object),
                request.parent,
                request.provider,
                sorted(request.dependencies),
            ),
        )
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: ANN401, N802 - the SDK's signature
        (owner,) = [item for item in self.registered if item.urn == request.urn]
        owner.outputs = _recorded(request.outputs)
        return cast("Any", super()).RegisterResourceOutputs(request)


def _recorded(properties: Any) -> dict[str, Any]:  # noqa: ANN401 - a protobuf Struct
    values = pulumi.runtime.rpc.deserialize_properties(properties, keep_unknowns=True)
    return json.loads(json.dumps(values, default=str))


def eventually(holds: Callable[[], bool]) -> None:
    """Claim that something comes true within two minutes."""
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def deploy(
    program: Callable[[], object],
    *,
    preview: bool = False,
    into: list[Registered] | None = None,
) -> list[Registered]:
    """Run ``program`` and return what it registered, in order.

    A list given as ``into`` has it even if the program fails.

    Raises:
        Exception: whatever the program or one of its ``apply`` raised.
    """

    async def run() -> list[Registered]:
        monitor = _Monitor([] if into is None else into, preview=preview)
        pulumi.runtime.set_mocks(
            monitor.mocks,
            project="image-builds",
            stack="test",
            preview=preview,
            monitor=monitor,
        )

        def settled() -> None:
            program()

        cast("Any", pulumi.runtime).test(settled)()
        return monitor.registered

    return asyncio.run(run())
