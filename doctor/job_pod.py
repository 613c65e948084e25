"""The pod of a job, as GitLab Runner makes it of config.toml.

It follows gitlab-runner:executors/kubernetes/kubernetes.go (setupBuildPod and what it calls) as of
18.9.0 to 19.5.0, as far as an API server and a scheduler read it.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from doctor.wanted import WantedRunner

JOB = "image-builds-doctor"
"""The name of a job's pod that is tried out."""
_HELPER = "registry.gitlab.com/gitlab-org/gitlab-runner/gitlab-runner-helper"
_PROCESSOR = "kubernetes.io/arch"
_POLICIES = {"always": "Always", "if-not-present": "IfNotPresent", "never": "Never"}
_DNS_POLICIES = {"": "ClusterFirst", "none": "None"}
_NOT_IN_LABELS = re.compile(r"[^-A-Za-z0-9_.]")


def job_pod(runner: WantedRunner) -> dict[str, Any]:
    """Return the pod of a runner's job that names no image and no service."""
    table: Mapping[str, Any] = runner.toml["kubernetes"]
    helper = helper_image(runner)
    services = {
        service.get("alias") or f"svc-{number}": service
        for number, service in enumerate(table.get("services", []))
    }
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "serviceAccountName": table.get("service_account", "default"),
        "automountServiceAccountToken": table.get("automount_service_account_token", False),
        "nodeSelector": table.get("node_selector", {}),
        "tolerations": [
            _toleration(taint, effect)
            for taint, effect in table.get("node_tolerations", {}).items()
        ],
        "runtimeClassName": table.get("runtime_class_name"),
        "priorityClassName": table.get("priority_class_name"),
        "imagePullSecrets": [{"name": name} for name in table.get("image_pull_secrets", [])],
        "securityContext": _camel(table.get("pod_security_context", {})),
        "affinity": _camel(table.get("affinity", {})),
        "hostAliases": table.get("host_aliases", []),
        "dnsPolicy": _DNS_POLICIES[table.get("dns_policy", "")],
        "dnsConfig": table.get("dns_config"),
        "volumes": _volumes(runner),
        "initContainers": [_container(runner, "init-permissions", helper, "helper_")],
        "containers": [
            {
                **_container(runner, "build", table["image"], ""),
                "env": _environment(runner.toml.get("environment", [])),
            },
            _container(runner, "helper", helper, "helper_"),
            *(_service(runner, name, service) for name, service in services.items()),
        ],
    }
    whole = _resources(table, "pod_")
    if any(whole.values()):
        spec["resources"] = whole
    for entry in table.get("pod_spec", []):
        spec = _merged(spec, json.loads(entry["patch"]))
    labels = _expanded(table.get("pod_labels", {}))
    metadata = {
        "name": JOB,
        "namespace": table["namespace"],
        "labels": {
            **{key: _NOT_IN_LABELS.sub("_", value) for key, value in labels.items()},
            "pod": JOB,
        },
        "annotations": _expanded(table.get("pod_annotations", {})),
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def helper_image(runner: WantedRunner) -> str:
    """Name the helper as the runner does: for amd64, unless its node selector says otherwise."""
    table: Mapping[str, Any] = runner.toml["kubernetes"]
    processor = table.get("node_selector", {}).get(_PROCESSOR, "amd64")
    tag = f"v{runner.version}" if runner.version else "latest"
    return table.get("helper_image") or f"{_HELPER}:{_TAGS.get(processor, processor)}-{tag}"


_TAGS = {"amd64": "x86_64"}
"""What the tags of helpers call processors, where it is not Kubernetes' name for them."""


def _expanded(values: Mapping[str, str]) -> dict[str, str]:
    """Leave out variables, whose values only a job has."""
    return {key: re.sub(r"\$\{?\w+\}?", "", value) for key, value in values.items()}


def _service(runner: WantedRunner, name: str, service: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_container(runner, "service", service["name"], "service_"),
        "name": name,
        "command": service.get("entrypoint", []),
        "args": service.get("command", []),
        "env": _environment(service.get("environment", [])),
    }


def _container(runner: WantedRunner, kind: str, image: str, prefix: str) -> dict[str, Any]:
    """Return what every container has: all volumes, and the general context below its own."""
    table: Mapping[str, Any] = runner.toml["kubernetes"]
    own: Mapping[str, Any] = table.get(f"{kind}_container_security_context", {})
    capabilities = {"drop": ["NET_RAW", *table.get("cap_drop", [])], **own.get("capabilities", {})}
    general = {key: table[key] for key in _GENERAL if key in table}
    # The runner repeats the pod's ids in every container but this one (getContainerUIDGID).
    pod: Mapping[str, Any] = (
        table.get("pod_security_context", {}) if kind != "init-permissions" else {}
    )
    ids = {key: pod[key] for key in ("run_as_user", "run_as_group") if key in pod}
    policies = table.get("pull_policy", [])
    return {
        "name": kind,
        "image": image,
        "command": ["sh"],
        "stdin": kind != "init-permissions",
        "volumeMounts": [*_mounts(runner)],
        "securityContext": {
            **_camel({**general, **ids, **own}),
            "capabilities": {key: value for key, value in capabilities.items() if value},
        },
        "resources": _resources(table, prefix),
        **({"imagePullPolicy": _POLICIES[policies[0]]} if policies else {}),
    }


_GENERAL = ("privileged", "allow_privilege_escalation")


def _resources(table: Mapping[str, Any], prefix: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {"requests": {}, "limits": {}}
    for bound, resource in itertools.product(
        ("request", "limit"), ("cpu", "memory", "ephemeral_storage")
    ):
        if quantity := table.get(f"{prefix}{resource}_{bound}"):
            found[f"{bound}s"][resource.replace("_", "-")] = quantity
    return found


def _environment(pairs: list[str]) -> list[dict[str, str]]:
    return [dict(zip(("name", "value"), pair.split("=", 1), strict=True)) for pair in pairs]


def _mounts(runner: WantedRunner) -> Iterator[dict[str, Any]]:
    table: Mapping[str, Any] = runner.toml["kubernetes"]
    for entry in itertools.chain.from_iterable(table.get("volumes", {}).values()):
        mount = {"name": entry["name"], "mountPath": entry["mount_path"]}
        yield {**mount, "readOnly": True} if entry.get("read_only") else mount
    for name, folder in _own_folders(runner).items():
        yield {"name": name, "mountPath": folder}


def _own_folders(runner: WantedRunner) -> dict[str, str]:
    """Return what the runner mounts itself; a volume may have the place of the sources."""
    table: Mapping[str, Any] = runner.toml["kubernetes"]
    volumes = itertools.chain.from_iterable(table.get("volumes", {}).values())
    sources = runner.toml.get("builds_dir", "/builds")
    taken = any(entry["mount_path"] == sources for entry in volumes)
    return {
        **({} if taken else {"repo": sources}),
        "scripts": f"{table.get('scripts_base_dir', '')}/scripts-1-2",
        "logs": f"{table.get('logs_base_dir', '')}/logs-1-2",
    }


def _volumes(runner: WantedRunner) -> list[dict[str, Any]]:
    table: Mapping[str, Any] = runner.toml["kubernetes"]
    volumes = [
        {"name": entry["name"], **_source(kind, entry)}
        for kind, entries in table.get("volumes", {}).items()
        for entry in entries
    ]
    return volumes + [{"name": name, "emptyDir": {}} for name in _own_folders(runner)]


def _source(kind: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    items = [{"key": key, "path": path} for key, path in entry.get("items", {}).items()]
    chosen = {"items": items} if items else {}
    sources: dict[str, dict[str, Any]] = {
        "host_path": {"hostPath": {"path": entry.get("host_path")}},
        "empty_dir": {
            "emptyDir": {
                key: entry[name]
                for name, key in (("medium", "medium"), ("size_limit", "sizeLimit"))
                if name in entry
            }
        },
        "secret": {"secret": {"secretName": entry["name"], **chosen}},
        "config_map": {"configMap": {"name": entry["name"], **chosen}},
        "pvc": {"persistentVolumeClaim": {"claimName": entry["name"]}},
    }
    return sources[kind]


def _toleration(taint: str, effect: str) -> dict[str, str]:
    key, equals, value = taint.partition("=")
    operator = {"operator": "Equal", "value": value} if equals else {"operator": "Exists"}
    return {"key": key, **operator, "effect": effect}


def _camel(value: Any) -> Any:  # noqa: ANN401 - TOML of any shape
    """Spell the keys of a table as the API does."""
    if isinstance(value, list):
        return [_camel(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    table = cast("dict[str, Any]", value)
    return {
        re.sub("_(.)", lambda found: found[1].upper(), key): _camel(item)
        for key, item in table.items()
    }


def _has_names(entries: list[Any]) -> bool:
    """Whether a list is merged by name; one of texts is replaced."""
    return all(isinstance(item, dict) for item in entries)


def _merged(value: Any, patch: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Merge as the stack's own patches want it: mappings by key, lists by name, the rest replaced.

    What reports merge may be a patch of anyone, with the keys and directives of all lists.
    """
    if isinstance(patch, dict):
        table = cast("dict[str, Any]", value or {})
        changes = cast("dict[str, Any]", patch)
        kept = {key: item for key, item in table.items() if key not in changes}
        new = {key: _merged(table.get(key), item) for key, item in changes.items()}
        # Null removes what was there.
        return {**kept, **{key: item for key, item in new.items() if item is not None}}
    if isinstance(patch, list) and _has_names(cast("list[Any]", patch)):
        items = {item["name"]: item for item in cast("list[dict[str, Any]]", value or [])}
        changed = {item["name"]: item for item in cast("list[dict[str, Any]]", patch)}
        merged: dict[str, Any] = _merged(items, changed)
        return list(merged.values())
    return cast("Any", patch)
