"""Objects that the pods of a runner name, and that others keep; accounts with an identity."""

import base64
import fnmatch
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from components.image_reference import registry_host
from components.settings.models import Settings
from components.settings.runners.identity import CloudIdentity
from components.settings.runners.volumes import SLOT
from doctor.checks.placement import admitting
from doctor.diagnosis import Fault, fault
from doctor.examine import NotRun, Visit, of_runner
from doctor.job_pod import job_pod
from doctor.other_pods import manager_pod
from doctor.wanted import Manifest, WantedRunner, entries, inside

_KINDS = {"secret": "Secret", "config_map": "ConfigMap", "pvc": "PersistentVolumeClaim"}
"""The kind of object by the kind of volume in config.toml."""


_TOKEN = "runner-token"  # noqa: S105 - the chart's name of a key
_LOGINS = "kubernetes.io/dockerconfigjson"
_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_ONE_NODE = {"ReadWriteOnce", "ReadWriteOncePod"}


@of_runner("object-missing", "object-unusable")
def references(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look for what the stack file names and the stack does not make."""
    made = {
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
        for item in visit.stack.manifests
    }
    named = _references(visit.of, visit.stack.settings)
    wanted = {tuple(place): unfit for *place, unfit in named}
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


def _references(runner: WantedRunner, settings: Settings) -> Iterator[tuple[str, str, str, Unfit]]:
    table: Mapping[str, Any] = runner.toml["kubernetes"]
    jobs = runner.names["job_namespace"]
    for volume, kind in _KINDS.items():
        for entry in table.get("volumes", {}).get(volume, []):
            unfit = functools.partial(_lacks, entry.get("items", {}))
            yield kind, jobs, entry["name"], _lost if volume == "pvc" else unfit
    token = functools.partial(_lacks, [_TOKEN])
    yield "Secret", settings.namespace, runner.values["runners"]["secret"], token
    for name in table.get("image_pull_secrets", []):
        hosts = [
            registry_host(item.host.partition("/")[0])
            for item in settings.registries
            if item.pull_secret == name
        ]
        yield "Secret", jobs, name, functools.partial(_lacks_logins, hosts)


def _lost(item: Manifest) -> str:
    return "it has lost its volume" if inside(item, "status").get("phase") == "Lost" else ""


def _lacks(keys: Iterable[str], item: Manifest) -> str:
    known = {*inside(item, "data"), *inside(item, "binaryData")}
    missing = [key for key in keys if key not in known]
    return f"it does not have the key {', '.join(missing)}" if missing else ""


def _lacks_logins(hosts: list[str], item: Manifest) -> str:
    kind = item.get("type")
    if kind != _LOGINS:
        return f"it has the type {kind}, and pulls need {_LOGINS}"
    known = _hosts(item)
    missing = [host for host in hosts if not any(fnmatch.fnmatch(host, name) for name in known)]
    return f"it has no login for {', '.join(missing)}" if missing else ""


def _hosts(item: Manifest) -> set[str]:
    """Return the registries that a Secret has logins for, as a kubelet reads them."""
    try:
        auths = json.loads(base64.b64decode(inside(item, "data")[".dockerconfigjson"]))["auths"]
        hosts = {name.rpartition("://")[2].partition("/")[0] for name in auths}
    except (ValueError, LookupError, TypeError, AttributeError):
        return set()
    return {registry_host(host) for host in hosts}


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
    for claim in _claims(visit):
        if inside(claim, "status").get("phase") == "Pending" and (reason := _pending(visit, claim)):
            yield fault("storage-class", visit.of.name, reason=reason)


def _pending(visit: Visit, claim: Manifest) -> str:
    """Say why a claim has no volume; one may only wait for its first pod."""
    called, namespace = claim["metadata"]["name"], claim["metadata"]["namespace"]
    name = inside(claim, "spec").get("storageClassName")
    if name and visit.seen.get(*_STORAGE, name) is None:
        return f"{name} of the claim {called} does not exist"
    said = [
        str(event.get("message", "")).rstrip(".")
        for event in visit.seen.list("v1", "Event", namespace)
        if event.get("reason") == "ProvisioningFailed"
        and inside(event, "involvedObject").get("name") == called
    ]
    return f"of the claim {called}, {said[-1]}" if said else ""


_STORAGE = ("storage.k8s.io/v1", "StorageClass")


def _is_default(item: Manifest) -> bool:
    return inside(item, "metadata", "annotations").get(_DEFAULT) == "true"


def _claims(visit: Visit) -> Iterator[Manifest]:
    """Yield the claims that all jobs of a runner mount; of those with a number each has its own."""
    for volume in visit.of.settings.volumes:
        if volume.claim and SLOT not in volume.claim:
            place = (volume.claim, visit.of.names["job_namespace"])
            if found := visit.seen.get("v1", "PersistentVolumeClaim", *place):
                yield found


@of_runner("claim-shared")
def claims(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look for claims that only pods of one node, or one pod, can mount at a time."""
    if visit.of.settings.concurrent == 1:
        return
    for claim in _claims(visit):
        modes: set[str] = {*(inside(claim, "spec").get("accessModes") or [])}
        if not modes or modes - _ONE_NODE:
            continue
        nodes = admitting(job_pod(visit.of), visit.seen.list("v1", "Node"))
        if len(nodes) > 1 or modes == {"ReadWriteOncePod"}:
            name, mode = claim["metadata"]["name"], ", ".join(sorted(modes))
            yield fault("claim-shared", visit.of.name, claim=name, mode=mode)


@of_runner("account-identity", "identity-webhook")
def identities(visit: Visit) -> Iterator[Fault | NotRun]:
    """See that accounts have the identity of the stack file, and that pods get it."""
    identity = visit.of.settings.identity
    manager = manager_pod(visit.of, visit.stack.settings.namespace)
    for wanted, pod in ((identity.manager, manager), (identity.jobs, job_pod(visit.of))):
        if wanted:
            yield from _identity(visit, wanted, pod)


_GIVEN = {
    "eks.amazonaws.com/role-arn": "AWS_ROLE_ARN",
    "azure.workload.identity/client-id": "AZURE_CLIENT_ID",
}
"""The variable that the webhook of a cloud adds to the pods of an account, by its annotation."""


def _identity(visit: Visit, wanted: CloudIdentity, pod: Manifest) -> Iterator[Fault]:
    name, namespace = pod["spec"]["serviceAccountName"], pod["metadata"]["namespace"]
    visit.seen.existing(namespace)
    account = visit.seen.get("v1", "ServiceAccount", name, namespace)
    if account is None:
        return
    there = inside(account, "metadata", "annotations")
    for key, value in wanted.annotations.items():
        if there.get(key) != value:
            found = {"annotation": key, "found": there.get(key, "nothing"), "wanted": value}
            where = {"account": name, "namespace": namespace}
            yield fault("account-identity", visit.of.name, **where, **found)
            return
    refusal, made = visit.seen.try_out(pod)
    given = {
        variable["name"]
        for container in entries(made, "spec", "containers")
        for variable in entries(container, "env")
    }
    for key, variable in _GIVEN.items():
        if not refusal and key in wanted.annotations and variable not in given:
            where = {"account": name, "namespace": namespace}
            yield fault("identity-webhook", visit.of.name, **where, variable=variable)
