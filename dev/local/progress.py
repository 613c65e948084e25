"""What the local commands print: the engine's steps, and what runs where."""

from collections.abc import Mapping
from typing import Any, cast

from kubernetes import client
from pulumi.automation import events
from rich.console import Console
from rich.table import Table

from report.inputs.events import STACK


class Progress:
    """Prints a line for each resource that is done, and the engine's messages.

    ``outputs`` are those of the stack, secrets masked, and ``changes`` the resources by operation.
    """

    # The provider is handed over on PATH because the registries carry none newer than 4.25.0;
    # the engine says so each time.
    _KNOWN = ("using pulumi-resource-kubernetes from $PATH", "resource plugin kubernetes is expec")
    # Automation API servers report an error of the program a second time under this heading.
    _AGAIN = "an unhandled error occurred: "

    def __init__(self) -> None:
        """Begin."""
        self.outputs: Mapping[str, Any] = {}
        self.changes: Mapping[events.OpType, int] = {}

    def __call__(self, event: events.EngineEvent) -> None:
        """Handle one engine event; secret values are not in what is printed."""
        if event.res_outputs_event:
            step = event.res_outputs_event.metadata
            if step.type == STACK and step.new:
                self.outputs = step.new.outputs or {}
            old = step.old if step.op == events.OpType.DELETE else None
            kept = old if old and old.retain_on_delete else None
            if step.op not in (events.OpType.SAME, events.OpType.READ):
                word = "keep" if kept else step.op.value
                print(f"{word:16} {step.type} {step.urn.rpartition('::')[2]}", flush=True)
            if kept and step.type == "kubernetes:core/v1:Namespace":
                print(f"to remove it too: kubectl delete namespace {kept.id}", flush=True)
        if event.summary_event:
            self.changes = event.summary_event.resource_changes
        diagnostic = event.diagnostic_event
        if diagnostic and diagnostic.severity in ("warning", "error", "info#err"):
            text = diagnostic.message.strip()
            if text and not text.startswith((*self._KNOWN, self._AGAIN)):
                print(f"{diagnostic.severity}: {text.removeprefix('error: ')}", flush=True)


def count(changes: Mapping[events.OpType, int]) -> str:
    """Say how many resources an update has changed."""
    counts = dict(changes)
    same = counts.pop(events.OpType.SAME, 0)
    if not counts:
        return f"nothing changed, {same} resources are as they should be"
    return ", ".join(f"{number} {operation}" for operation, number in sorted(counts.items()))


def show(name: str, outputs: Mapping[str, Any], api: client.ApiClient) -> None:
    """Print what runs where."""
    table = Table(title=f"{name}: managers in namespace {outputs['namespace']}")
    for heading in ("runner", "strategy", "tags", "jobs in namespace", "Pod Security", "manager"):
        table.add_column(heading, overflow="fold")
    apps = client.AppsV1Api(api)
    for runner, settings in outputs["runners"].items():
        deployment = cast(
            "Any", apps.read_namespaced_deployment(f"gitlab-runner-{runner}", outputs["namespace"])
        )
        ready = deployment.status.available_replicas
        table.add_row(
            runner,
            settings["strategy"],
            ", ".join(settings["tags"]),
            settings["jobNamespace"],
            settings["podSecurity"],
            "Available" if ready else "not available",
        )
    Console().print(table)
