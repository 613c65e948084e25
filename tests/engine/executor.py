"""The pod that the Kubernetes executor makes for a job, from a config.toml.

A stand-in for the runner, whose binary no package registry carries. It reads the keys that
components/runner_toml.py writes and gives them the meaning of gitlab-runner's
executors/kubernetes (volumes go into every container, NET_RAW is dropped); it refuses a key that
it does not know, so that a new one cannot go untested.
"""

import json
import tomllib
from typing import Any

_KNOWN = {
    "affinity",
    "allow_privilege_escalation",
    "allowed_services",
    "automount_service_account_token",
    "build_container_security_context",
    "cap_drop",
    "cpu_limit",
    "cpu_request",
    "image",
    "image_pull_secrets",
    "memory_limit",
    "memory_request",
    "namespace",
    "node_selector",
    "node_tolerations",
    "logs_base_dir",
    "pod_security_context",
    "pod_spec",
    "priority_class_name",
    "privileged",
    "runtime_class_name",
    "scripts_base_dir",
    "service_account",
    "service_container_security_context",
    "services",
    "volumes",
}


def job_pod(text: str) -> dict[str, Any]:
    """Return the job's pod as a manifest without a namespace."""
    runner = tomllib.loads(text)["runners"][0]
    kubernetes = runner["kubernetes"]
    unknown = kubernetes.keys() - _KNOWN
    if unknown:
        message = f"the test executor does not know {sorted(unknown)}; teach it"
        raise ValueError(message)
    volumes, mounts = _volumes(kubernetes.get("volumes", {}))
    context: dict[str, Any] = {
        "capabilities": {"drop": ["NET_RAW", *kubernetes.get("cap_drop", [])]},
    }
    for key, field in (
        ("privileged", "privileged"),
        ("allow_privilege_escalation", "allowPrivilegeEscalation"),
    ):
        if key in kubernetes:
            context[field] = kubernetes[key]
    build_context = {**context, **_context(kubernetes.get("build_container_security_context", {}))}
    service_context = {
        **context,
        **_context(kubernetes.get("service_container_security_context", {})),
    }
    services = kubernetes.get("services", [])
    foreign = [
        service["name"]
        for service in services
        if service["name"] not in kubernetes.get("allowed_services", [service["name"]])
    ]
    if foreign:
        message = f"invalid service image {foreign}: allowed_services forbids it"
        raise ValueError(message)
    helper = "gitlab-runner-helper:x86_64-v18.9.0"
    names = {"build": kubernetes["image"], "helper": helper}
    pod_context = kubernetes.get("pod_security_context", {})
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "runner-"},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": kubernetes["service_account"],
            "automountServiceAccountToken": kubernetes["automount_service_account_token"],
            "nodeSelector": kubernetes.get("node_selector", {}),
            "tolerations": [
                _toleration(taint, effect)
                for taint, effect in kubernetes.get("node_tolerations", {}).items()
            ],
            "runtimeClassName": kubernetes.get("runtime_class_name"),
            "priorityClassName": kubernetes.get("priority_class_name"),
            "imagePullSecrets": [
                {"name": name} for name in kubernetes.get("image_pull_secrets", [])
            ],
            "volumes": [*volumes, {"name": "repo", "emptyDir": {}}],
            "initContainers": [
                {
                    "name": "init-permissions",
                    "image": helper,
                    "command": ["sh"],
                    "volumeMounts": [*mounts, {"name": "repo", "mountPath": "/builds"}],
                    "securityContext": context,
                },
            ],
            "containers": [
                {
                    "name": name,
                    "image": image,
                    "command": ["sh"],
                    "env": _variables(runner),
                    "volumeMounts": [*mounts, {"name": "repo", "mountPath": "/builds"}],
                    "securityContext": build_context if name == "build" else context,
                }
                for name, image in names.items()
            ]
            + [
                {
                    "name": service["alias"],
                    "image": service["name"],
                    "args": service.get("command", []),
                    "env": _variables(runner, service),
                    "volumeMounts": [*mounts, {"name": "repo", "mountPath": "/builds"}],
                    "securityContext": service_context,
                }
                for service in services
            ],
            "securityContext": {_POD_CONTEXT[key]: value for key, value in pod_context.items()},
            "hostAliases": [
                {"ip": "127.0.0.1", "hostnames": [service["alias"]]} for service in services
            ],
        },
    }
    if runner["feature_flags"].get("FF_USE_ADVANCED_POD_SPEC_CONFIGURATION"):
        for patch in kubernetes.get("pod_spec", []):
            pod["spec"] = _patched(pod["spec"], json.loads(patch["patch"]))
    return pod


_POD_CONTEXT = {
    "fs_group": "fsGroup",
    "run_as_group": "runAsGroup",
    "run_as_non_root": "runAsNonRoot",
    "run_as_user": "runAsUser",
}


def _toleration(taint: str, effect: str) -> dict[str, str]:
    key, equals, value = taint.partition("=")
    if equals:
        return {"key": key, "operator": "Equal", "value": value, "effect": effect}
    return {"key": key, "operator": "Exists", "effect": effect}


def _context(table: dict[str, Any]) -> dict[str, Any]:
    """Spell a container's security context as Kubernetes does; NET_RAW is always dropped."""
    fields = {
        "privileged": "privileged",
        "run_as_user": "runAsUser",
        "run_as_group": "runAsGroup",
    }
    context = {fields[key]: value for key, value in table.items() if key != "capabilities"}
    if "capabilities" in table:
        context["capabilities"] = {"drop": ["NET_RAW"], "add": table["capabilities"]["add"]}
    return context


def _patched(value: Any, patch: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Merge strategically: mappings by key, containers by name, and the rest replaced."""
    if isinstance(value, dict) and isinstance(patch, dict):
        below = {key: _patched(value.get(key), item) for key, item in patch.items()}
        return {**value, **below}
    if isinstance(value, list) and isinstance(patch, list):
        changes = {item["name"]: item for item in patch}
        return [_patched(item, changes.get(item["name"], {})) for item in value]
    return patch


def _variables(*tables: dict[str, Any]) -> list[dict[str, str]]:
    """Return the environments of ``tables`` as a container's, where a later one outranks."""
    pairs = [pair.partition("=") for table in tables for pair in table.get("environment", [])]
    return [
        {"name": name, "value": value}
        for name, value in {name: value for name, _, value in pairs}.items()
    ]


def _volumes(tables: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    for kind, entries in tables.items():
        for entry in entries:
            source: dict[str, Any]
            match kind:
                case "host_path":
                    source = {"hostPath": {"path": entry["host_path"]}}
                case "empty_dir":
                    source = {"emptyDir": {"medium": entry.get("medium", "")}}
                case "secret":
                    items = [
                        {"key": key, "path": path} for key, path in entry.get("items", {}).items()
                    ]
                    source = {"secret": {"secretName": entry["name"], "items": items}}
                case "config_map":
                    items = [
                        {"key": key, "path": path} for key, path in entry.get("items", {}).items()
                    ]
                    source = {"configMap": {"name": entry["name"], "items": items}}
                case _:
                    message = f"the test executor does not know volumes.{kind}; teach it"
                    raise ValueError(message)
            volumes.append({"name": entry["name"], **source})
            mounts.append(
                {
                    "name": entry["name"],
                    "mountPath": entry["mount_path"],
                    "readOnly": entry.get("read_only", False),
                },
            )
    return volumes, mounts
