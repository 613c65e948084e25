"""What is deployed, against what the stack would deploy."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from doctor.checks.admission import LEVEL
from doctor.diagnosis import Fault, fault
from doctor.examine import NotRun, Visit, of_runner, of_stack
from doctor.observed import Observed
from doctor.wanted import Manifest, entries, inside

_VERSION = f"{LEVEL}-version"
_OWNER = "image-builds/owner"
_CONFIG = ".dockerconfigjson"


@of_stack(
    "namespace-missing",
    "namespace-foreign",
    "namespace-terminating",
    "namespace-level",
    "target-missing",
)
def namespaces(visit: Visit) -> Iterator[Fault | NotRun]:
    """Compare namespaces with those that the stack makes, and look for the targets."""
    # All objects of a stack have one owner, and the managers' namespace is the first.
    own = _owner(visit.seen.namespace(visit.stack.settings.namespace) or {})
    for name, wanted in visit.stack.namespaces.items():
        found = visit.seen.namespace(name)
        if found is None:
            # Another strategy may need one more, and before the first update there is none.
            if own and not visit.stack.what_if:
                yield fault("namespace-missing", namespace=name)
            continue
        if found["metadata"].get("deletionTimestamp"):
            yield fault("namespace-terminating", namespace=name)
        elif not _owner(found) or (own and _owner(found) != own):
            yield fault("namespace-foreign", namespace=name)
        elif not visit.stack.what_if:
            yield from _level(name, wanted, found)
    for name, target in visit.stack.settings.target_namespaces.items():
        if not target.create and visit.seen.namespace(name) is None:
            yield fault("target-missing", namespace=name)


def _owner(item: Manifest) -> str:
    return inside(item, "metadata", "annotations").get(_OWNER, "")


def _level(name: str, wanted: Manifest, found: Manifest) -> Iterator[Fault]:
    labels = inside(found, "metadata", "labels")
    # Without a version, it is the latest one.
    for label, usual in ((LEVEL, ""), (_VERSION, "latest")):
        want = wanted["metadata"]["labels"].get(label, usual)
        have = labels.get(label, usual)
        if want != have:
            yield fault(
                "namespace-level",
                namespace=name,
                label=label,
                found=have or "nothing",
                wanted=want or "nothing",
            )


@of_stack("secret-missing", "secret-foreign", "secret-stale")
def secrets(visit: Visit) -> Iterator[Fault | NotRun]:
    """Compare the Secrets of logins and tokens with the config; no value is shown."""
    seen, stack = visit.seen, visit.stack
    _deployed(visit)
    for item in stack.of_kind("Secret"):
        name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
        if seen.namespace(namespace) is None:
            continue
        found = seen.get("v1", "Secret", name, namespace)
        if found is None:
            if not (stack.what_if or _was_issued_before(seen, name, namespace)):
                yield fault("secret-missing", secret=name, namespace=namespace)
            continue
        target = stack.settings.target_namespaces.get(namespace)
        if target and not _owner(found) and not target.adopt_pull_secret:
            yield fault("secret-foreign", secret=name, namespace=namespace)
        elif what := _differs(item, found):
            yield fault("secret-stale", secret=name, namespace=namespace, what=what)


def _was_issued_before(seen: Observed, name: str, namespace: str) -> bool:
    """Whether a Secret is one of a new year, whose certificates are in that of the last for now."""
    found = re.fullmatch(r"(.+-)(\d{4})", name)
    before = [f"{found[1]}{int(found[2]) - years}" for years in (1, 2)] if found else []
    return any(seen.get("v1", "Secret", one, namespace) for one in before)


_PARTS = {"ConfigMap": "data", "NetworkPolicy": "spec", "Service": "spec"}
"""What decides of an object; of NetworkPolicies that are missing, another check says it."""


@of_stack("deployed-missing", "deployed-changed")
def parts(visit: Visit) -> Iterator[Fault | NotRun]:
    """Compare what pods mount, call and obey with what the stack sets, beside Secrets."""
    _deployed(visit)
    for item in () if visit.stack.what_if else visit.stack.manifests:
        kind, part = item["kind"], _PARTS.get(item["kind"])
        name, namespace = item["metadata"]["name"], item["metadata"].get("namespace")
        if part is None or visit.seen.namespace(namespace) is None:
            continue
        found = visit.seen.get(item["apiVersion"], kind, name, namespace)
        place = {"kind": kind, "name": name, "namespace": namespace}
        if found is None and kind != "NetworkPolicy":
            yield fault("deployed-missing", **place)
        # Without rules for them, a policy lets nobody in.
        elif found and not _has(found.get(part), {"ingress": [], **item[part]}):
            yield fault("deployed-changed", **place)


def _has(found: Any, wanted: Any) -> bool:  # noqa: ANN401 - JSON
    """Whether an object has what is wanted; the API server adds keys, and drops what is empty."""
    if wanted in (None, [], {}):
        return not found
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        known = cast("Mapping[str, Any]", found)
        pairs = cast("Mapping[str, Any]", wanted).items()
        return all(_has(known.get(key), value) for key, value in pairs)
    if isinstance(wanted, list) and isinstance(found, list):
        both = (cast("list[Any]", found), cast("list[Any]", wanted))
        return len(both[0]) == len(both[1]) and all(map(_has, *both))
    return found == wanted


@of_stack("object-foreign")
def objects(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look in the target namespaces for objects of others that are in the stack's way."""
    for namespace in visit.stack.settings.target_namespaces:
        for item in visit.stack.of_kind("Role", namespace) + visit.stack.of_kind(
            "RoleBinding", namespace
        ):
            name = item["metadata"]["name"]
            found = visit.seen.get(item["apiVersion"], item["kind"], name, namespace)
            if found and not _owner(found):
                yield fault("object-foreign", kind=item["kind"], name=name, namespace=namespace)


def _deployed(visit: Visit) -> None:
    """See that the stack has been deployed: the managers' namespace is its first object."""
    visit.seen.existing(visit.stack.settings.namespace)


def _differs(wanted: Manifest, found: Manifest) -> str:
    """Name what is not as in the config; what the stack makes up itself is not compared."""
    if "type" in wanted and wanted["type"] != found.get("type"):
        return "type"
    data: Mapping[str, str] = inside(found, "data")
    known = {key: base64.b64decode(text).decode(errors="replace") for key, text in data.items()}
    for key, text in wanted.get("stringData", {}).items():
        if key == _CONFIG:
            if _logins(text) != _logins(known.get(key, "")):
                return "logins"
        elif text != known.get(key):
            return "certificates" if key.endswith(".crt") else "token"
    return ""


def _logins(text: str) -> Any:  # noqa: ANN401 - JSON
    """Return the user name and password of each registry, None where it is not such a file."""
    try:
        auths = json.loads(text)["auths"]
        return {
            host: base64.b64decode(entry["auth"])
            if "auth" in entry
            else f"{entry['username']}:{entry['password']}".encode()
            for host, entry in auths.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@of_runner("release-failed", "manager-missing", "manager-not-ready")
def managers(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look at the release of a runner and at the Deployment that it made."""
    _deployed(visit)
    runner, namespace = visit.of.name, visit.stack.settings.namespace
    release = visit.of.names["manager_account"]
    deployment = visit.seen.get("apps/v1", "Deployment", release, namespace)
    if deployment is None:
        yield fault("manager-missing", runner, deployment=release, namespace=namespace)
    elif reason := _unavailable(deployment):
        yield fault("manager-not-ready", runner, deployment=release, reason=reason)
    status = _status_of_release(visit.seen, release, namespace)
    if status not in {"", "deployed", "superseded"}:
        yield fault("release-failed", runner, release=release, status=status)


def _status_of_release(seen: Observed, release: str, namespace: str) -> str:
    """Return what Helm says of the last revision, by the labels of its Secrets."""
    found = [
        inside(item, "metadata", "labels")
        for item in seen.list("v1", "Secret", namespace)
        if item.get("type") == "helm.sh/release.v1"
        and inside(item, "metadata", "labels").get("name") == release
    ]
    if not found:
        return ""
    return max(found, key=lambda labels: int(labels["version"]))["status"]


def has_manager(visit: Visit) -> bool:
    """Whether a manager of a runner is available."""
    name, namespace = visit.of.names["manager_account"], visit.stack.settings.namespace
    manager = visit.seen.get("apps/v1", "Deployment", name, namespace) or {}
    return bool(inside(manager, "status").get("availableReplicas"))


def _unavailable(deployment: Manifest) -> str:
    """Say why a Deployment has no pod that serves, or nothing."""
    if deployment["spec"].get("replicas") == 0:
        return "it was scaled to zero"
    if inside(deployment, "status").get("availableReplicas"):
        return ""
    conditions = entries(deployment, "status", "conditions")
    reasons = [
        str(item.get("message"))
        for kind in ("ReplicaFailure", "Available", "Progressing")
        for item in conditions
        if item["type"] == kind and (item["status"] == "True") == (kind == "ReplicaFailure")
    ]
    return (reasons or ["it has no pod that is ready"])[0].rstrip(".")


@of_stack("daemon-not-ready")
def daemons(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look at the Deployments of BuildKit daemons."""
    for item in visit.stack.of_kind("Deployment"):
        name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
        visit.seen.existing(namespace)
        found = visit.seen.get("apps/v1", "Deployment", name, namespace)
        reason = "it does not exist" if found is None else _unavailable(found)
        if reason:
            yield fault("daemon-not-ready", deployment=name, namespace=namespace, reason=reason)
