"""The risks of one change, as a report has them."""

import json
from collections.abc import Mapping
from typing import Any

import tomlkit

from report.analysis.risks import changes
from report.inputs.events import read
from report.model import RiskChange
from report.redact import Scrubber
from tests.support.configured import SETTINGS
from tests.support.previews import pre_event, stack_file

URN = "urn:pulumi:test::image-builds::"
NAMESPACE: dict[str, Any] = {"kind": "Namespace", "metadata": {"name": "ns", "labels": {}}}
NAMESPACE_KIND = "kubernetes:core/v1:Namespace"
RELEASE_KIND = "kubernetes:helm.sh/v3:Release"
PATCHES = "FF_USE_ADVANCED_POD_SPEC_CONFIGURATION"


Inputs = dict[str, Any] | None


def changes_of(old: Inputs, new: Inputs, kind: str = "kubernetes:x:X") -> tuple[RiskChange, ...]:
    """Return what changes when one resource does, in a namespace that stays."""
    return changes_of_all({"main": (old, new)}, kind)


def changes_of_all(
    resources: Mapping[str, tuple[Inputs, Inputs]], kind: str = "kubernetes:x:X"
) -> tuple[RiskChange, ...]:
    """Return what changes when resources do, in a namespace that stays."""
    steps = [pre_event("same", f"{URN}ns::ns", NAMESPACE_KIND, old=NAMESPACE, new=NAMESPACE)]
    for name, (old, new) in resources.items():
        operation = "create" if old is None else "delete" if new is None else "update"
        steps.append(pre_event(operation, f"{URN}{kind}::{name}", kind, old=old, new=new))
    plan = read(steps, Scrubber())
    return changes(plan, {}, stack_file(SETTINGS), SETTINGS)


def changes_of_jobs(old: dict[str, Any], new: dict[str, Any]) -> tuple[RiskChange, ...]:
    """Return what changes when the config.toml of a runner does."""
    return changes_of(old, new, RELEASE_KIND)


def lines(found: tuple[RiskChange, ...]) -> list[str]:
    """Return each change in a line."""
    return [f"{change.direction}: {change.what}" for change in found]


def item(kind: str, *, name: str = "x", namespace: str = "ns", **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return an object, without a namespace if that is empty."""
    home = {"namespace": namespace} if namespace else {}
    metadata = {"name": name, **home, **fields.pop("metadata", {})}
    return {"kind": kind, "metadata": metadata, **fields}


def pod(**spec: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return a pod."""
    return item("Pod", spec=spec)


def container(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return a pod with one container."""
    return pod(containers=[{"name": "c", "image": "a:1", **fields}])


def context(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return a pod with one container that has this security context."""
    return container(securityContext=fields)


def runner(entry: dict[str, Any] | None = None, **jobs: Any) -> dict[str, Any]:  # noqa: ANN401 - TOML
    """Return a runner's release, by what differs in its ``[[runners]]`` and its jobs."""
    kubernetes = {"namespace": "ns", "automount_service_account_token": False, **jobs}
    text = tomlkit.dumps({"runners": [{**(entry or {}), "kubernetes": kubernetes}]})
    return {"name": "r", "values": {"runners": {"config": text}}}


def patched(patch: object, kind: str = "strategic", **jobs: Any) -> dict[str, Any]:  # noqa: ANN401 - TOML
    """Return a runner whose jobs' pods are patched; the patch is a text, or written as JSON."""
    text = patch if isinstance(patch, str) else json.dumps(patch)
    entry = {"feature_flags": {PATCHES: True}}
    return runner(entry, pod_spec=[{"name": "p", "patch": text, "patch_type": kind}], **jobs)
