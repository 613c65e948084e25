"""What a plan says of the security of a job's pod, as keys of config.toml.

Seccomp and AppArmor profiles have keys from runner 18.11 on. For older runners, and for what has
no key, the pod is patched.
"""

import json
from collections.abc import Mapping
from typing import Any

from components.gitlab_runner import charts
from components.plan import BuildPlan, Security
from components.settings.runners.runner import RunnerSettings


def security_keys(plan: BuildPlan, runner: RunnerSettings, chart: str) -> dict[str, Any]:
    """Return the keys below ``runners.kubernetes``, some of them empty.

    GitLab Runner ignores a key that it does not know, and the pod would differ from the plan
    (gitlab-runner:docs/executors/kubernetes/_index.md, Overwrite generated pod specs).
    """
    native = charts.has(chart, "security_profiles")
    whole = runner.seccomp_profile or ("RuntimeDefault" if plan.restricted else None)
    return {
        "build_container_security_context": _context(plan.build, profiles=native),
        "service_container_security_context": _context(plan.service, profiles=native),
        "pod_security_context": {
            **(_one_user(plan) if plan.restricted else {}),
            "fs_group": _group(plan, runner),
            "seccomp_profile": {"type": whole if native else None},
        },
        "pod_spec": [*_patches(plan, profiles=not native), *_devices(runner)],
    }


def _group(plan: BuildPlan, runner: RunnerSettings) -> int | None:
    """A new volume belongs to root, and would be closed to the user of the build."""
    own_disk = any(volume.per_job for volume in runner.volumes)
    return plan.group or (plan.build.user if own_disk else None)


def _one_user(plan: BuildPlan) -> dict[str, Any]:
    """Restricted demands it of every container, of the helper and of those that run before too."""
    user = plan.build.user
    return {"run_as_non_root": True, "run_as_user": user, "run_as_group": user}


def _context(security: Security, *, profiles: bool) -> dict[str, Any]:
    named = {"seccomp_profile": security.seccomp, "app_armor_profile": security.app_armor}
    return {
        "privileged": security.privileged or None,
        "run_as_user": security.user,
        "run_as_group": security.user,
        "capabilities": {"add": list(security.capabilities)},
        **({key: _profile(value) for key, value in named.items()} if profiles else {}),
    }


def _profile(profile: Mapping[str, str]) -> dict[str, str | None]:
    return {"type": profile.get("type"), "localhost_profile": profile.get("localhostProfile")}


def _devices(runner: RunnerSettings) -> list[dict[str, str]]:
    """Ask for devices, which the runner has no keys for; their requests are equal to the limits."""
    if not runner.resources.extended:
        return []
    limits = {name: str(count) for name, count in runner.resources.extended.items()}
    patch = {"containers": [{"name": "build", "resources": {"limits": limits}}]}
    text = json.dumps(patch, sort_keys=True)
    return [{"name": "devices", "patch_type": "strategic", "patch": text}]


def _patches(plan: BuildPlan, *, profiles: bool) -> list[dict[str, str]]:
    patch: dict[str, Any] = {}
    build = {"seccompProfile": plan.build.seccomp, "appArmorProfile": plan.build.app_armor}
    context = {key: dict(value) for key, value in build.items() if value and profiles}
    contexts: dict[str, dict[str, Any]] = {"build": context} if context else {}
    # A container has the alias of its service for a name, and those of the runner come before those
    # of the job (gitlab-runner:executors/kubernetes/kubernetes.go, prepareOptions).
    for service in plan.services:
        if service.privileged:
            contexts[service.alias] = {"privileged": True}
    if contexts:
        patch["containers"] = [
            {"name": name, "securityContext": given} for name, given in contexts.items()
        ]
    if not plan.host_users:
        patch["hostUsers"] = False
    if plan.restricted and profiles:
        patch["securityContext"] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if plan.host_paths:
        patch["volumes"] = [
            {"name": host_path.name, "hostPath": {"type": host_path.kind}}
            for host_path in plan.host_paths
        ]
    text = json.dumps(patch, sort_keys=True)
    return [{"name": "security", "patch_type": "strategic", "patch": text}] if patch else []
