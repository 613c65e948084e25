"""The pod of a daemon that all jobs of a runner share."""

from collections.abc import Mapping, Sequence
from typing import cast

import pulumi
from pulumi_kubernetes.core.v1 import (
    ContainerArgsDict,
    PodSpecArgsDict,
    ProbeArgsDict,
    SeccompProfileArgsDict,
    VolumeArgsDict,
    VolumeMountArgsDict,
)

from components.plan import DaemonPlan, file_key

# The longest that GitLab lets a job run by default.
_GRACE_SECONDS = 3600


def pod_spec(
    daemon: DaemonPlan,
    certificates: pulumi.Input[str],
    environment: Mapping[str, str],
    host_aliases: Mapping[str, Sequence[str]],
) -> PodSpecArgsDict:
    """Return the pod's spec; ``certificates`` names the Secret that holds the daemon's."""
    mounts: list[VolumeMountArgsDict] = [
        {"name": "certificates", "mount_path": daemon.certificates_folder, "read_only": True},
        {"name": "files", "mount_path": daemon.files_folder, "read_only": True},
        *({"name": folder.name, "mount_path": folder.path} for folder in daemon.empty_dirs),
    ]
    volumes: list[VolumeArgsDict] = [
        {
            "name": "certificates",
            "secret": {
                "secret_name": certificates,
                "items": [
                    {"key": "ca.pem", "path": "ca.pem"},
                    {"key": "server-cert.pem", "path": "cert.pem"},
                    {"key": "server-key.pem", "path": "key.pem"},
                ],
            },
        },
        {
            "name": "files",
            "config_map": {
                "name": daemon.name,
                "items": [{"key": file_key(path), "path": path} for path in sorted(daemon.files)],
            },
        },
        *(
            {
                "name": folder.name,
                "empty_dir": {"size_limit": str(folder.limit)} if folder.limit else {},
            }
            for folder in daemon.empty_dirs
        ),
    ]
    spec: PodSpecArgsDict = {
        "service_account_name": daemon.name,
        "automount_service_account_token": False,
        "enable_service_links": False,
        "termination_grace_period_seconds": _GRACE_SECONDS,
        "containers": [{**_container(daemon, mounts), **_environment(environment)}],
        "volumes": volumes,
    }
    if host_aliases:
        spec["host_aliases"] = [
            {"ip": address, "hostnames": list(names)} for address, names in host_aliases.items()
        ]
    return spec


def _container(daemon: DaemonPlan, mounts: list[VolumeMountArgsDict]) -> ContainerArgsDict:
    security = daemon.security
    return {
        "name": daemon.name,
        "image": daemon.image,
        "args": list(daemon.arguments),
        "ports": [{"container_port": daemon.port, "protocol": "TCP"}],
        "readiness_probe": _probe(daemon),
        "liveness_probe": {**_probe(daemon), "period_seconds": 30},
        "resources": {
            "requests": dict(daemon.resources.get("requests", {})),
            "limits": dict(daemon.resources.get("limits", {})),
        },
        "security_context": {
            "privileged": security.privileged,
            "run_as_user": security.user or 0,
            "run_as_group": security.user or 0,
            "seccomp_profile": _profile(security.seccomp),
            "app_armor_profile": _profile(security.app_armor),
        },
        "volume_mounts": mounts,
    }


def _environment(variables: Mapping[str, str]) -> ContainerArgsDict:
    found = [{"name": name, "value": value} for name, value in sorted(variables.items())]
    return cast("ContainerArgsDict", {"env": found} if found else {})


def _probe(daemon: DaemonPlan) -> ProbeArgsDict:
    """Give it time to start, and to answer on a node that builds keep busy."""
    return {
        "exec_": {"command": list(daemon.probe)},
        "initial_delay_seconds": 5,
        "timeout_seconds": 60,
    }


def _profile(profile: Mapping[str, str]) -> SeccompProfileArgsDict:
    """Both kinds of profile have the same two keys."""
    if "localhostProfile" in profile:
        return {"type": profile["type"], "localhost_profile": profile["localhostProfile"]}
    return {"type": profile["type"]}
