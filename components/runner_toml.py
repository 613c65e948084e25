"""A plan, and where its jobs run, as the text of a runner's config.toml.

Keys are those of gitlab-runner:common/config.go; an unknown one would be dropped in silence, so
none is ever taken from a user. No credential is in the text: it names Secrets only.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import tomlkit

from components.strategies.plan import BuildPlan, Service


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobSettings:
    """What a job gets whatever its strategy: names of objects in its namespace, and limits.

    ``resources`` holds quantities by TOML key, such as ``cpu_request``. The names are None where
    the stack has no such credentials or certificates.
    """

    namespace: str
    service_account: str
    pull_secret: str | None
    push_secret: str | None
    certificates: str | None
    environment: Mapping[str, str]
    resources: Mapping[str, str]
    seccomp_profile: str | None
    pod_disruption_budget: bool


def render(plan: BuildPlan, job: JobSettings) -> str:
    """Return the TOML text; equal arguments give equal bytes."""
    environment = {**plan.environment, **job.environment}
    runner = {
        "environment": [f"{name}={value}" for name, value in sorted(environment.items()) if value],
        # A rotated token would be saved in the pod only and lost with it, and the next pod could
        # not register (gitlab-runner:commands/multi.go, resetOneRunnerToken).
        "feature_flags": {"FF_DISABLE_AUTOMATIC_TOKEN_ROTATION": True},
        "kubernetes": _without_empty(_kubernetes(plan, job)),
    }
    return tomlkit.dumps({"runners": [_without_empty(runner)]})


def _kubernetes(plan: BuildPlan, job: JobSettings) -> dict[str, Any]:
    return {
        "namespace": job.namespace,
        "image": plan.image,
        "service_account": job.service_account,
        "automount_service_account_token": False,
        "privileged": plan.privileged,
        "allow_privilege_escalation": plan.allow_privilege_escalation,
        "service_container_security_context": (
            {"privileged": True} if plan.service_privileged else {}
        ),
        # A job that names services of its own would have them privileged too.
        "allowed_services": (
            [service.image for service in plan.services] if plan.service_privileged else []
        ),
        "image_pull_secrets": [job.pull_secret] if job.pull_secret else [],
        "pod_disruption_budget": job.pod_disruption_budget or None,
        **job.resources,
        "node_selector": dict(sorted(plan.node_selector.items())),
        "pod_security_context": (
            {"seccomp_profile": {"type": job.seccomp_profile}} if job.seccomp_profile else {}
        ),
        "services": [_service(service) for service in plan.services],
        "volumes": _without_empty(_volumes(plan, job)),
    }


def _volumes(plan: BuildPlan, job: JobSettings) -> dict[str, Any]:
    volumes: dict[str, Any] = {
        "host_path": [
            {
                "name": host_path.name,
                "mount_path": host_path.path,
                "host_path": host_path.path,
                "read_only": host_path.read_only,
            }
            for host_path in plan.host_paths
        ],
        "empty_dir": [
            _without_empty(
                {
                    "name": empty_dir.name,
                    "mount_path": empty_dir.path,
                    "medium": empty_dir.medium,
                },
            )
            for empty_dir in plan.empty_dirs
        ],
    }
    if job.push_secret:
        volumes["secret"] = [
            {
                "name": job.push_secret,
                "mount_path": plan.credentials_folder,
                "read_only": True,
                "items": {".dockerconfigjson": "config.json"},
            },
        ]
    if job.certificates and plan.certificates_folder:
        volumes["config_map"] = [
            _without_empty(
                {
                    "name": job.certificates,
                    "mount_path": plan.certificates_folder,
                    "read_only": True,
                    "items": dict(sorted(plan.certificate_paths.items())),
                },
            ),
        ]
    return volumes


def _service(service: Service) -> dict[str, Any]:
    environment = [f"{name}={value}" for name, value in sorted(service.environment.items())]
    return _without_empty(
        {
            "name": service.image,
            "alias": service.alias,
            "command": list(service.command),
            "environment": environment,
        },
    )


def _without_empty(table: Mapping[str, Any]) -> dict[str, Any]:
    """Drop what is unset: an empty list or table, or None, but neither False nor 0."""
    return {key: value for key, value in table.items() if value not in (None, [], {}, "")}
