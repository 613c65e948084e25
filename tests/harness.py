"""Runs a program under Pulumi's mocks and keeps what it registered; assertions stay outside.

``asyncio.run`` gives each program a loop and a context of its own: the SDK keeps the root stack
in a context variable, which would otherwise leak into the next test.
"""

import asyncio
import dataclasses
import json
from collections.abc import Callable, Mapping
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
    """One resource: its type, name, URN and inputs."""

    kind: str
    name: str
    urn: str
    inputs: dict[str, Any]


class _Mocks(mocks.Mocks):
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        outputs: dict[str, Any] = dict(cast("Any", args).inputs)
        if args.typ == "kubernetes:helm.sh/v3:Release":
            outputs["status"] = {"name": outputs["name"]}
        if args.typ == "gitlab:index/userRunner:UserRunner":
            outputs["token"] = "glrt-made-by-gitlab"
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        message = f"the program called {args.token}, which no test expects"
        raise AssertionError(message)


class _Monitor(mocks.MockMonitor):
    def __init__(self) -> None:
        super().__init__(_Mocks())
        self.registered: list[Registered] = []

    def RegisterResource(self, request: Any) -> Any:  # noqa: ANN401, N802 - the SDK's signature
        response = cast("Any", super()).RegisterResource(request)
        inputs = cast(
            "dict[str, Any]",
            pulumi.runtime.rpc.deserialize_properties(request.object, keep_unknowns=True),
        )
        self.registered.append(
            Registered(request.type, request.name, response.urn, _json(inputs)),
        )
        return response


def _json(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(inputs, default=str))


def deploy(program: Callable[[], object]) -> list[Registered]:
    """Run ``program`` and return what it registered, in order.

    Raises:
        Exception: whatever the program or one of its ``apply`` raised.
    """

    async def run() -> list[Registered]:
        monitor = _Monitor()
        pulumi.runtime.set_mocks(
            monitor.mocks, project="image-builds", stack="test", monitor=monitor
        )

        def settled() -> None:
            program()

        cast("Any", pulumi.runtime).test(settled)()
        return monitor.registered

    return asyncio.run(run())
