"""The resources that a program registers, recorded without an engine.

The recorder stands where the engine does: it answers each registration with the resource's own
inputs as outputs, so it needs no cluster, no provider and no state.

It relies on the SDK's mock monitor, which is made for unit tests (pulumi:
sdk/python/lib/pulumi/runtime/mocks.py), on ``run_in_stack``, which runs every program, and on the
messages of the engine's protocol; all are as in Pulumi 3.256 to 3.272.
tests/report/test_recorder.py fails where a later SDK differs.
"""

import asyncio
import dataclasses
import json
import logging
from collections.abc import Callable, Iterable
from typing import Any, cast

import pulumi
from google.protobuf import json_format, struct_pb2
from pulumi.runtime import mocks
from pulumi.runtime.proto import resource_pb2

from components.types import PROJECT
from report.inputs.events import RELEASE, STACK, USER_RUNNER
from report.redact import MARK
from report.tree import number


@dataclasses.dataclass(kw_only=True)
class RegisteredResource:
    """What a program says of one resource, secrets marked.

    ``parent`` and ``provider`` are references, ``dependencies`` the URNs that it waits for,
    ``outputs`` what a component or the stack has registered. It is ``kept`` in the cluster when the
    stack lets go of it.
    """

    type: str
    name: str
    urn: str
    inputs: dict[str, Any]
    parent: str = ""
    provider: str = ""
    kept: bool = False
    dependencies: list[str] = dataclasses.field(default_factory=list[str])
    outputs: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])


class Recorder(mocks.MockMonitor):
    """Runs one program and keeps what it registers.

    In a preview, what only an update can know stays unknown. ``state`` is what is deployed, for
    resources that ignore changes.
    """

    def __init__(
        self, stack: str, *, preview: bool = False, state: Iterable[RegisteredResource] = ()
    ) -> None:
        # Nothing of this program is read or called, so there is nothing to mock.
        super().__init__(cast("mocks.Mocks", None))
        self.stack = stack
        self.preview = preview
        self.state = {resource.urn: resource for resource in state}
        self.registered: list[RegisteredResource] = []

    def run(self, program: Callable[[], object]) -> None:
        """Run the program in a context that it shares with no other.

        Raises:
            pulumi.RunError: the program's own, or one for what no recording can answer.
            Exception: any other that the program or one of its ``apply`` raised.
        """

        def discard_result() -> None:
            program()

        async def run() -> None:
            pulumi.runtime.configure(
                pulumi.runtime.Settings(
                    project=PROJECT,
                    stack=self.stack,
                    monitor=self,
                    engine=mocks.MockEngine(_silent()),
                    dry_run=self.preview,
                )
            )
            await pulumi.runtime.run_in_stack(discard_result)

        asyncio.run(run())

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        """Return the engine's own URN, which has the types of all parents but the stack."""
        above = parent.split("::")[2] if parent else STACK
        types = type_ if above == STACK else f"{above}${type_}"
        return f"urn:pulumi:{self.stack}::{PROJECT}::{types}::{name}"

    def RegisterResource(  # noqa: N802 - the protocol's name
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        """Record a resource and answer with its inputs as outputs."""
        urn = self.make_urn(request.parent, request.type, request.name)
        known = self.state.get(urn)
        for key in request.ignoreChanges:
            if known and key in known.inputs:
                request.object.update({key: known.inputs[key]})
        inputs = _to_json(request.object)
        self.registered.append(
            RegisteredResource(
                type=request.type,
                name=request.name,
                urn=urn,
                inputs=inputs,
                parent=request.parent,
                provider=request.provider,
                kept=request.retainOnDelete,
                dependencies=sorted(request.dependencies),
            )
        )
        outputs = struct_pb2.Struct()
        outputs.CopyFrom(request.object)
        if request.type == RELEASE:
            outputs.update({"status": {"name": inputs["name"]}})
        # Until GitLab makes the runner, nobody knows its token.
        if request.type == USER_RUNNER and (known or not self.preview):
            outputs.update({"token": "glrt-made-by-gitlab"})
        id_ = f"{request.name}-id"
        return resource_pb2.RegisterResourceResponse(urn=urn, id=id_, object=outputs)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: ANN401, N802 - the protocol's
        """Keep what a component or the stack registers at its end."""
        (owner,) = [item for item in self.registered if item.urn == request.urn]
        owner.outputs = _to_json(request.outputs)
        return cast("Any", super()).RegisterResourceOutputs(request)

    def Invoke(self, request: Any) -> Any:  # noqa: ANN401, N802 - the protocol's
        """Refuse a call of a provider's function."""
        raise pulumi.RunError(_UNANSWERED.format(what=f"calls {request.tok}"))

    def ReadResource(self, request: Any) -> Any:  # noqa: ANN401, N802 - the protocol's
        """Refuse to read a resource that is not the stack's own."""
        raise pulumi.RunError(_UNANSWERED.format(what=f"reads {request.type} {request.name}"))


_UNANSWERED = (
    "the program {what}, which only an engine can answer; read it from the stack file instead"
)


def _silent() -> logging.Logger:
    """Return a logger that drops what the program logs: it concerns no reader of a comparison."""
    logger = logging.Logger("recorder")  # noqa: LOG001 - one that no logging config reaches
    logger.addHandler(logging.NullHandler())
    return logger


def _to_json(properties: struct_pb2.Struct) -> dict[str, Any]:
    """Return a message's values, secrets marked; the protocol has floating numbers only."""
    text = json.dumps(json_format.MessageToDict(properties), sort_keys=True)
    return json.loads(text, parse_float=number)


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return a recorded value with its secrets in plain, without their marks."""
    if isinstance(value, dict):
        table = cast("dict[str, object]", value)
        # The value of a secret is beside its mark.
        if MARK in table:
            return plain(table.get("value"))
        return {key: plain(item) for key, item in table.items()}
    if isinstance(value, list):
        return [plain(item) for item in cast("list[object]", value)]
    return value
