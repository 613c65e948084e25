"""Objects that the pods of a runner name, and that others keep."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from doctor.diagnosis import Fault, fault
from doctor.examine import NotRun, Visit, of_runner
from doctor.job_pod import job_pod
from doctor.wanted import Manifest, WantedRunner, entries, inside

_KINDS = {"secret": "Secret", "config_map": "ConfigMap", "pvc": "PersistentVolumeClaim"}
"""The kind of object by the kind of volume in config.toml."""


_TOKEN = "runner-token"  # noqa: S105 - the chart's name of a key
_LOGINS = "kubernetes.io/dockerconfigjson"
_DEFAULT = "storageclass.kubernetes.io/is-default-class"


@of_runner("object-missing", "object-unusable")
def references(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look for what the stack file names and the stack does not make."""
    managers = visit.stack.settings.namespace
    made = {
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
        for item in visit.stack.manifests
    }
    wanted = {tuple(place): unfit for *place, unfit in _references(visit.of, managers)}
    for (kind, namespace, name), unfit in wanted.items():
        if (kind, namespace, name) in made:
            continue
        visit.seen.existing(namespace)
        place = {"kind": kind, "name": name, "namespace": namespace}
        found = visit.seen.get("v1", kind, name, namespace)
        if found is None:
            yield fault("object-missing", visit.of.name, **place)
        elif reason := unfit(found):
            yield fault("object-unusable", visit.of.name, **place, reason=reason)


Unfit = Callable[[Manifest], str]
"""Says why an object does not do, or nothing."""


def _references(runner: WantedRunner, managers: str) -> Iterator[tuple[str, str, str, Unfit]]:
    table: Mapping[str, Any] = runner.toml["kubernetes"]
    jobs = runner.names["job_namespace"]
    for volume, kind in _KINDS.items():
        for entry in table.get("volumes", {}).get(volume, []):
            yield kind, jobs, entry["name"], _lost
    yield "Secret", managers, runner.values["runners"]["secret"], _without_token
    for name in table.get("image_pull_secrets", []):
        yield "Secret", jobs, name, _of_another_type


def _lost(item: Manifest) -> str:
    return "it has lost its volume" if inside(item, "status").get("phase") == "Lost" else ""


def _without_token(item: Manifest) -> str:
    return "" if _TOKEN in inside(item, "data") else f"it does not have the key {_TOKEN}"


def _of_another_type(item: Manifest) -> str:
    kind = item.get("type")
    return "" if kind == _LOGINS else f"it has the type {kind}, and pulls need {_LOGINS}"


@of_runner("storage-class")
def storage(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look for what makes the volumes of jobs."""
    volumes = entries(job_pod(visit.of), "spec", "volumes")
    claims = [
        inside(volume, "ephemeral", "volumeClaimTemplate", "spec")
        for volume in volumes
        if "ephemeral" in volume
    ]
    for name in dict.fromkeys(claim.get("storageClassName", "") for claim in claims):
        if name and visit.seen.get(*_STORAGE, name) is None:
            yield fault("storage-class", visit.of.name, reason=f"{name} does not exist")
        elif not name and not any(map(_is_default, visit.seen.list(*_STORAGE))):
            yield fault("storage-class", visit.of.name, reason="the cluster has no default one")


_STORAGE = ("storage.k8s.io/v1", "StorageClass")


def _is_default(item: Manifest) -> bool:
    return inside(item, "metadata", "annotations").get(_DEFAULT) == "true"
