"""The live objects of a cluster, reduced to the fields that the program sets.

A field that the program does not set has a default or belongs to a controller, and is not drift,
unless it gives power: by default, none of those is set. An extra entry of a list that the program
sets is drift, and so is an extra key where only users put keys.
"""

import base64
import contextlib
import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from kubernetes.utils import quantity

from components.ownership.cluster import Kubeconfig, LiveCluster, UnreadableError
from components.ownership.marks import OWNER
from report.inputs.charts import redact_object
from report.inputs.helm import HelmError, run
from report.model import ObjectChange, PropertyChange
from report.redact import SECRET, Scrubber
from report.tree import JSON, Objects, Pair, Tree, differences, identity, inside

_WHOLE = re.compile(r"data|binaryData|matchLabels|(\w+S|s)elector")
# Fields that give pods, accounts and Services more, and that no API server and no controller sets.
_POWERS = re.compile(
    r"host(Network|PID|IPC)|shareProcessNamespace|privileged|capabilities|sysctls|procMount|"
    r"seLinuxOptions|windowsOptions|supplementalGroups|allowPrivilegeEscalation|runAsUser|nodeName|"
    r"hostAliases|dnsConfig|(init|ephemeral)Containers|volume(s|Mounts|Devices)|envFrom|env|"
    r"command|args|lifecycle|priorityClassName|runtimeClassName|resourceClaims|"
    r"externalIPs|externalName|aggregationRule|automountServiceAccountToken|"
    # What lets accounts act in a cloud, and pods or roles more than the level or the rules say.
    r"azure\.workload\.identity/client-id|eks\.amazonaws\.com/role-arn|iam\.amazonaws\.com/role|"
    r"iam\.gke\.io/gcp-service-account|pod-security\.kubernetes\.io/enforce-version|"
    r"rbac\.authorization\.k8s\.io/aggregate-to-.+|container\.apparmor\.security\..+"
)
_WAYS_IN = {"ExternalName", "LoadBalancer", "NodePort"}
_QUANTITIES = {"cpu", "memory", "ephemeral-storage", "storage", "sizeLimit"}
_WORKLOADS = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("v1", "Pod"),
    ("v1", "PersistentVolumeClaim"),
)


class LiveError(Exception):
    """The cluster cannot be read; the message says why and what to do, and contains no value."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
    """A Helm release: its objects as Helm deployed them, as they are, and what differs."""

    objects: Pair[Objects]
    changes: tuple[ObjectChange, ...]


def read_release(
    helm: Path, where: Kubeconfig, name: str, namespace: str, scrub: Scrubber
) -> Release:
    """Compare a release with the manifest that Helm keeps of it.

    Raises:
        LiveError: the release or its objects cannot be read.
    """
    old: dict[str, Tree] = {}
    new: dict[str, Tree] = {}
    changes: list[ObjectChange] = []
    documents = _manifest(helm, where, name, namespace)
    for wanted, found in _objects(where, documents, namespace):
        key = identity(wanted)
        old[key] = redact_object(wanted, scrub)
        if found is not None:
            new[key] = redact_object(keep_requested(wanted, found), scrub)
        if properties := object_changes(wanted, found, scrub):
            operation = "delete" if found is None else "update"
            changes.append(ObjectChange(operation=operation, identity=key, properties=properties))
    return Release(objects=Pair(old, new), changes=tuple(changes))


def workloads(
    where: Kubeconfig, namespaces: Iterable[str], releases: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return what runs in namespaces, or keeps data there, and is not the stack's own.

    ``releases`` are the names of its Helm releases. A pod that a Deployment made is left out, like
    everything that another object controls.

    Raises:
        UnreadableError: the cluster cannot be read.
    """
    cluster = LiveCluster(where)
    return {
        namespace: tuple(
            f"{kind} {item['metadata']['name']}"
            for version, kind in _WORKLOADS
            for item in cluster.list(version, kind, namespace)
            if not _is_ours(item, releases)
        )
        for namespace in namespaces
    }


def _is_ours(item: Tree, releases: Collection[str]) -> bool:
    metadata = inside(item, "metadata")
    marks = inside(metadata, "annotations")
    release = marks.get("meta.helm.sh/release-name")
    return bool(metadata.get("ownerReferences")) or OWNER in marks or release in releases


def object_changes(wanted: Tree, live: Tree | None, scrub: Scrubber) -> tuple[PropertyChange, ...]:
    """Return what differs; of secrets only their paths."""
    if live is None:
        return differences(redact_object(wanted, scrub), None)
    seen = keep_requested(wanted, live)
    redacted = Pair(wanted, seen).map(lambda side: redact_object(side, scrub))
    by_path = {item.path: item for item in differences(redacted.old, redacted.new)}
    for item in differences(wanted, seen):
        hidden = PropertyChange(
            path=scrub(item.path), old=item.old and SECRET, new=item.new and SECRET
        )
        by_path.setdefault(hidden.path, hidden)
    return tuple(by_path[path] for path in sorted(by_path))


def keep_requested(wanted: Tree, live: Tree) -> dict[str, JSON]:
    """Return ``live`` reduced to the fields of ``wanted``, in its spelling where they are equal."""
    return _keep_keys(wanted, live, "")


def _keep_keys(wanted: Tree, live: Tree, key: str) -> dict[str, JSON]:
    given = {name for name, item in live.items() if _gives_power(name, item)}
    others = live.keys() if _WHOLE.fullmatch(key) else given
    both = {**{name: live[name] for name in others}, **wanted}
    kept = {name: _keep(item, live.get(name), name) for name, item in both.items()}
    return {name: item for name, item in kept.items() if item is not None}


def _gives_power(name: str, value: JSON) -> bool:
    if name == "type":
        return value in _WAYS_IN
    return bool(_POWERS.fullmatch(name) and value and value != "Default")


def _keep(wanted: JSON, live: JSON, key: str) -> JSON:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        return _keep_keys(wanted, live, key)
    if isinstance(wanted, list) and isinstance(live, list):
        return [_keep(_counterpart(wanted, item, at), item, "") for at, item in enumerate(live)]
    equal = not (wanted or live) or (key in _QUANTITIES and _same_quantity(wanted, live))
    return wanted if equal else live


def _counterpart(wanted: list[JSON], item: JSON, at: int) -> JSON:
    """Return the wanted entry of the same name, or at the same index if entries have no names."""
    name = inside(item).get("name")
    if name is None:
        return wanted[at] if at < len(wanted) else item
    return next((entry for entry in wanted if inside(entry).get("name") == name), item)


def _same_quantity(wanted: JSON, live: JSON) -> bool:
    """Whether two quantities are equal: the API server keeps ``0.5`` as ``500m``."""
    with contextlib.suppress(ValueError):
        parse = cast("Any", quantity).parse_quantity
        return bool(parse(wanted) == parse(live))
    return False


def _manifest(helm: Path, where: Kubeconfig, name: str, namespace: str) -> list[Tree]:
    """Return the objects that Helm deployed last, from the Secret of the release."""
    arguments = ["get", "manifest", name, "--namespace", namespace]
    arguments += ["--kube-context", where.context] if where.context else []
    try:
        documents = run(helm, arguments, KUBECONFIG=where.kubeconfig)
    except HelmError as error:
        message = (
            f"helm cannot read the release {namespace}/{name}; check that the cluster is up, and "
            "that the account of the kubeconfig may get and list Secrets in that namespace"
        )
        raise LiveError(message) from error
    return [_store(item) for item in documents]


_UNREADABLE = (
    "the objects of the release cannot be read; check the address in the kubeconfig, and "
    "that its account may get every kind of object in the chart"
)


def _objects(
    where: Kubeconfig, documents: list[Tree], namespace: str
) -> list[tuple[Tree, Tree | None]]:
    """Return each object with the live one, None if there is none."""
    try:
        cluster = LiveCluster(where)
        return [(item, cluster.read(item, namespace)) for item in documents]
    except UnreadableError as error:
        raise LiveError(_UNREADABLE) from error


def _store(document: Tree) -> Tree:
    """Return an object as the API server stores it: without nulls, a Secret's text in base64.

    The replicas of a Deployment are the one default that counts: without pods it does nothing.
    """
    stored = {**inside(_drop_nulls(document))}
    if stored.get("kind") == "Deployment":
        stored["spec"] = {"replicas": 1, **inside(stored, "spec")}
    if stored.get("kind") == "Secret":
        encoded = {
            key: base64.b64encode(str(text).encode()).decode()
            for key, text in inside(stored.pop("stringData", None)).items()
        }
        stored["data"] = {**inside(stored, "data"), **encoded}
    return stored


def _drop_nulls(value: JSON) -> JSON:
    if isinstance(value, Mapping):
        return {key: _drop_nulls(item) for key, item in value.items() if item is not None}
    return [_drop_nulls(item) for item in value] if isinstance(value, list) else value
