"""Who owns an object of the cluster, so that a stack takes over nothing that others made.

Each object that the stack registers is marked with the id of the stack's provider resource: the
engine makes up a UUID when it creates that resource, and keeps it in the state (pulumi:
pkg/resource/deploy/providers/registry.go). So it is known before the first object, differs between
two states even where project and stack have the same names, and an update that was killed leaves
it on what it had created.

The engine calls the hook only for what is to be created, so what is not in the state. The objects
of a Helm release are not marked: Helm refuses those of others by itself.
"""

import asyncio
import os
import shlex
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pulumi

from components.ownership.cluster import LiveCluster, UnreadableError, locate
from components.settings.explain import way_out
from components.settings.models import Settings
from components.workloads import PATCH_FORCE

OWNER = "image-builds/owner"
"""The annotation with the id of the provider resource."""
TAKES_OVER = "The stack takes over"
"""How a message begins that names an object to take over."""
_PAGE = "docs/how-to/take-over-what-exists.md"

# What tools write on the objects that they manage, and how a message names each of them.
_MANAGERS = (
    ("annotations", "meta.helm.sh/release-name", "the Helm release {}"),
    ("annotations", "argocd.argoproj.io/tracking-id", "Argo CD as {}"),
    ("labels", "argocd.argoproj.io/instance", "the Argo CD application {}"),
    ("labels", "kustomize.toolkit.fluxcd.io/name", "the Flux Kustomization {}"),
    ("labels", "helm.toolkit.fluxcd.io/name", "the Flux HelmRelease {}"),
    ("labels", "app.kubernetes.io/managed-by", "{}"),
    ("annotations", OWNER, "another stack of image-builds, or this one before it was destroyed"),
)


class OwnershipError(Exception):
    """An object must not be created; the message says why and what to do."""


class Ownership:
    """Marks the objects of a stack, and looks for each one before it is created."""

    def __init__(self, provider: pulumi.ProviderResource, settings: Settings) -> None:
        """Take the stack's provider, whose kubeconfig is used, and the stack's settings."""
        self._provider = provider
        self._settings = settings
        named = pulumi.Config("kubernetes")
        self._where = (named.get("kubeconfig") or "", named.get("context"))
        self._kubeconfig = os.environ.get("KUBECONFIG", "")
        self._parents: dict[tuple[str, str], pulumi.Resource | None] = {}
        self._connecting = threading.Lock()
        # Apart from the loop's own threads: in those the SDK waits for what is to be created.
        self._readers = ThreadPoolExecutor(max_workers=8, thread_name_prefix="ownership")
        self._cluster: LiveCluster | UnreadableError | None = None
        self._said = False
        options = pulumi.ResourceHookOptions(on_dry_run=True)
        self._hook = pulumi.ResourceHook("who owns it", self._check, options)

    def mark(
        self, args: pulumi.ResourceTransformationArgs
    ) -> pulumi.ResourceTransformationResult | None:
        """Mark a Kubernetes object and have it looked for; nothing else has ``metadata``."""
        if not (args.type_.startswith("kubernetes:") and "metadata" in args.props):
            return None
        self._parents[args.type_, args.name] = args.opts.parent
        props = cast("dict[str, Any]", args.props)
        metadata = props["metadata"]
        annotations = {**metadata.get("annotations", {}), OWNER: self._provider.id}
        looked_for = pulumi.ResourceOptions(
            hooks=pulumi.ResourceHookBinding(before_create=[self._hook])
        )
        return pulumi.ResourceTransformationResult(
            {**props, "metadata": {**metadata, "annotations": annotations}},
            pulumi.ResourceOptions.merge(args.opts, looked_for),
        )

    async def _check(self, args: pulumi.ResourceHookArgs) -> None:
        wanted: Any = args.new_inputs
        name = f"{wanted['kind']} {_id(wanted)}"
        try:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._readers, self._read, wanted)
        except UnreadableError as error:
            self._unread(name, error)
            return
        if found is None or _annotations(found).get(OWNER) == _annotations(wanted)[OWNER]:
            return
        if PATCH_FORCE in _annotations(wanted):
            pulumi.log.info(f"{TAKES_OVER} {name}. {_managers(found)}")
            return
        lines = [
            f"{name} exists in the cluster, and this stack did not make it, so it stays as it is.",
            _managers(found),
            f"To leave it alone: {way_out(self._settings, *_place(wanted))}.",
            await self._import(args),
        ]
        raise OwnershipError("\n  ".join(lines))

    def _read(self, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
        with self._connecting:
            if self._cluster is None:
                try:
                    with locate(*self._where, self._kubeconfig) as where:
                        self._cluster = LiveCluster(where)
                except UnreadableError as error:
                    # Once, since each attempt may take its whole time.
                    self._cluster = error
        if isinstance(self._cluster, UnreadableError):
            raise self._cluster
        return self._cluster.read(wanted)

    def _unread(self, name: str, error: UnreadableError) -> None:
        """Go on in a preview, which changes nothing, and say so once."""
        if not pulumi.runtime.is_dry_run():
            message = (
                f"Nobody can say whether {name} belongs to others, so it is not created: {error}."
            )
            raise OwnershipError(message) from error
        if not self._said:
            self._said = True
            pulumi.log.info(
                "This preview did not look in the cluster for what it would create, beginning "
                f"with {name}: {error}. An update looks, and stops at what others have made."
            )

    async def _import(self, args: pulumi.ResourceHookArgs) -> str:
        """Say how the stack takes an object over, which it is asked for in so many words."""
        if pulumi.runtime.is_dry_run():
            # The engine imports below a component only once that is in the state.
            return f"To take it over: run pulumi up, which names the command ({_PAGE})."
        parent = self._parents[args.type, args.name]
        above = await parent.urn.future() if parent else ""
        provider = await self._provider.urn.future()
        command = ["pulumi", "import", args.type, args.name, _id(args.new_inputs or {})]
        command += ["--parent", f"parent={above}", "--provider", f"cluster={provider}"]
        # The program has the code already, and decides itself what is deleted.
        command += ["--generate-code=false", "--protect=false"]
        return f"To take it over ({_PAGE}): {shlex.join(command)}"


def _id(item: Mapping[str, Any]) -> str:
    """Return an object's name, after its namespace if it is in one: its id for the provider."""
    metadata = item["metadata"]
    return "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))


def _place(item: Mapping[str, Any]) -> tuple[str, str]:
    """Return an object's kind, and its namespace, which is its own name for a namespace."""
    metadata = item["metadata"]
    return item["kind"], metadata.get("namespace") or metadata["name"]


def _annotations(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return item["metadata"].get("annotations") or {}


def _managers(found: Mapping[str, Any]) -> str:
    """Say in a sentence who manages an object, as far as it shows that."""
    metadata: dict[str, Any] = found["metadata"]
    marks = [
        text.format(metadata[part][key])
        for part, key, text in _MANAGERS
        if key in (metadata.get(part) or {})
    ]
    entries: list[dict[str, str]] = metadata.get("managedFields") or []
    fields = dict.fromkeys(entry["manager"] for entry in entries)
    managers = (
        f"It is managed by {' and '.join(marks)}" if marks else "No label says who manages it"
    )
    return f"{managers}; its fields were set by {', '.join(fields) or 'nobody known'}."
