"""What a plan promises about a job's pod, in terms of the API, independent of config.toml."""

from typing import Any

from components.plan import BuildPlan, Security, file_key
from tests.executor.pod import JOB, PROJECT

PUSH_LOGINS = {
    "name": "registry-push",
    "secret": {
        "secretName": "registry-push",
        "items": [{"key": ".dockerconfigjson", "path": "config.json"}],
    },
}

_OF_EVERY_JOB = ("CI_", "FF_", "RUNNER_")
"""The prefixes of variables that GitLab and its runner add to those of the job."""


def promised(plan: BuildPlan, runner: str, daemon_address: str) -> dict[str, Any]:
    """Return the parts of a pod that a plan decides; ``runner`` has both logins, and any files."""
    secrets = {"registry-push": ("/etc/image-builds/docker", True)}
    environment = {"DOCKER_CONFIG": plan.credentials_folder, **plan.environment}
    if plan.daemon:
        secrets["daemon-certificates"] = (plan.daemon.certificates_folder, True)
        environment[plan.daemon.address] = daemon_address
    if plan.restricted:
        environment["HOME"] = "/tmp"  # noqa: S108 - a path in the job's own pod
    files = {"registry-files": (plan.files_folder, True)} if plan.files else {}
    base = "" if plan.host_users else "/tmp"  # noqa: S108 - a path in the job's own pod
    mounts = {
        **{entry.name: (entry.path, entry.read_only) for entry in plan.host_paths},
        **{entry.name: (entry.path, False) for entry in plan.empty_dirs},
        **secrets,
        **files,
        "repo": (f"{base}/builds", False),
        "scripts": (f"{base}/scripts-{PROJECT}-{JOB}", False),
        "logs": (f"{base}/logs-{PROJECT}-{JOB}", False),
    }
    services = {service.alias: service for service in plan.services}
    return {
        "serviceAccountName": f"gitlab-job-{runner}",
        "automountServiceAccountToken": plan.account_token,
        "tokens": int(plan.account_token),
        "nodeSelector": dict(plan.node_selector),
        "hostUsers": plan.host_users,
        "securityContext": _pod_security(plan),
        "requests": {
            "build": _requests(plan, ""),
            **{alias: _requests(plan, "service_") for alias in services},
        },
        "imagePullSecrets": ["registry-pull"],
        "volumes": _volumes(plan),
        "images": {
            "build": plan.image,
            **{alias: service.image for alias, service in services.items()},
        },
        "commands": {alias: list(service.entrypoint) for alias, service in services.items()},
        "args": {alias: list(service.command) for alias, service in services.items()},
        "env": {
            "build": _given(environment),
            "helper": {},
            "init-permissions": {},
            **{
                alias: {**_given(environment), **service.environment}
                for alias, service in services.items()
            },
        },
        "mounts": dict.fromkeys(("build", "helper", "init-permissions", *services), mounts),
        "securityContexts": {
            "build": _security(plan, plan.build),
            "helper": _security(plan, Security(user=plan.build.user if plan.restricted else None)),
            "init-permissions": _security(plan, Security()),
            **{alias: _security(plan, plan.service) for alias in services},
        },
    }


def seen(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the same parts of a pod from the API server."""
    spec = pod["spec"]
    # The API server adds it (kubernetes: plugin/pkg/admission/serviceaccount).
    tokens = {volume["name"] for volume in spec["volumes"] if "projected" in volume}
    containers = {item["name"]: item for item in (*spec["initContainers"], *spec["containers"])}
    own = {"build", *containers} - {"helper", "init-permissions"}
    return {
        "serviceAccountName": spec["serviceAccountName"],
        "automountServiceAccountToken": spec["automountServiceAccountToken"],
        "tokens": len(tokens),
        "nodeSelector": spec.get("nodeSelector", {}),
        "hostUsers": spec.get("hostUsers", True),
        "securityContext": spec["securityContext"],
        # The last one is the job's own.
        "imagePullSecrets": [entry["name"] for entry in spec["imagePullSecrets"]][:-1],
        "requests": {name: containers[name]["resources"].get("requests", {}) for name in own},
        "volumes": {
            volume["name"]: _plain(volume)
            for volume in spec["volumes"]
            if volume["name"] not in tokens
        },
        "images": {name: containers[name]["image"] for name in own},
        "commands": {name: containers[name].get("command", []) for name in own - {"build"}},
        "args": {name: containers[name].get("args", []) for name in own - {"build"}},
        "env": {
            name: {
                entry["name"]: entry.get("value", "")
                for entry in container.get("env", [])
                if not entry["name"].startswith(_OF_EVERY_JOB)
            }
            for name, container in containers.items()
        },
        "mounts": {
            name: {
                mount["name"]: (mount["mountPath"], mount.get("readOnly", False))
                for mount in container["volumeMounts"]
                if mount["name"] not in tokens
            }
            for name, container in containers.items()
        },
        "securityContexts": {
            name: _in_order(container["securityContext"]) for name, container in containers.items()
        },
    }


def _in_order(context: dict[str, Any]) -> dict[str, Any]:
    """Sort the capabilities: the runner writes them in any order."""
    capabilities = {kind: sorted(names) for kind, names in context["capabilities"].items()}
    return {**context, "capabilities": capabilities}


def _pod_security(plan: BuildPlan) -> dict[str, Any]:
    context: dict[str, Any] = {} if plan.group is None else {"fsGroup": plan.group}
    if plan.restricted:
        user = plan.build.user
        context |= {"runAsNonRoot": True, "runAsUser": user, "runAsGroup": user}
        context["seccompProfile"] = {"type": "RuntimeDefault"}
    return context


def _security(plan: BuildPlan, security: Security) -> dict[str, Any]:
    context: dict[str, Any] = {
        # The runner drops the first from every container.
        "capabilities": {"drop": [*(["ALL"] if plan.restricted else []), "NET_RAW"]},
        "privileged": security.privileged,
    }
    if security.capabilities:
        context["capabilities"]["add"] = sorted(security.capabilities)
    if plan.allow_privilege_escalation is not None:
        context["allowPrivilegeEscalation"] = plan.allow_privilege_escalation
    if security.user is not None:
        context |= {"runAsUser": security.user, "runAsGroup": security.user}
    if security.seccomp:
        context["seccompProfile"] = dict(security.seccomp)
    if security.app_armor:
        context["appArmorProfile"] = dict(security.app_armor)
    return context


def _volumes(plan: BuildPlan) -> dict[str, dict[str, Any]]:
    volumes: list[dict[str, Any]] = [
        PUSH_LOGINS,
        *({"name": name, "emptyDir": {}} for name in ("repo", "scripts", "logs")),
        *(
            {"name": entry.name, "hostPath": {"path": entry.path, "type": entry.kind}}
            for entry in plan.host_paths
        ),
        *(
            {"name": entry.name, "emptyDir": {"medium": entry.medium} if entry.medium else {}}
            for entry in plan.empty_dirs
        ),
    ]
    if plan.daemon:
        name = "daemon-certificates"
        volumes.append({"name": name, "secret": {"secretName": name}})
    if plan.files:
        items = [{"key": file_key(path), "path": path} for path in sorted(plan.files)]
        volumes.append(
            {"name": "registry-files", "configMap": {"name": "registry-files", "items": items}}
        )
    return {volume["name"]: volume for volume in volumes}


def _plain(volume: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the API server adds: a file mode, and the empty type of a host path.

    Sort the items: the runner writes them in any order.
    """
    (kind,) = volume.keys() - {"name"}
    source = {
        key: value for key, value in volume[kind].items() if key != "defaultMode" and value != ""
    }
    if items := source.get("items"):
        source["items"] = sorted(items, key=lambda item: item["key"])
    return {"name": volume["name"], kind: source}


def _requests(plan: BuildPlan, prefix: str) -> dict[str, str]:
    return {
        resource.replace("_", "-"): plan.resources[f"{prefix}{resource}_request"]
        for resource in ("cpu", "memory", "ephemeral_storage")
        if f"{prefix}{resource}_request" in plan.resources
    }


def _given(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if value}
