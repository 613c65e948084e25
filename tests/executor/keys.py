"""The keys of config.toml that the program writes, each with the first runner that knows it.

The versions are the first release tags with the key in common/config.go, or in
helpers/featureflags/flags.go for a flag. ``make runner-keys`` compares the table with the source.
"""

import tomllib
from collections.abc import Iterator
from typing import Any, cast

SOURCES = ("18.9.0", "18.10.0", "18.11.0", "19.0.0", "19.1.0", "19.2.0", "19.3.0")
"""The first release of each minor version whose source could be read.

The main branch of 2026-08-22, on the way to 19.4.0, agrees with the table too.
"""

# ``*`` stands for the keys of a map, which are names that people choose.
KEYS = {
    "runners.builds_dir": "0.1.5",
    "runners.environment": "0.1.5",
    "runners.feature_flags.FF_DISABLE_AUTOMATIC_TOKEN_ROTATION": "17.0.0",
    "runners.feature_flags.FF_USE_ADVANCED_POD_SPEC_CONFIGURATION": "15.10.0",
    "runners.feature_flags.FF_USE_POD_ACTIVE_DEADLINE_SECONDS": "15.10.0",
    "runners.kubernetes.allow_privilege_escalation": "13.6.0",
    "runners.kubernetes.allowed_pull_policies": "15.2.0",
    "runners.kubernetes.allowed_services": "14.2.0",
    "runners.kubernetes.automount_service_account_token": "16.9.0",
    "runners.kubernetes.build_container_security_context.app_armor_profile.localhost_profile": (
        "18.11.0"
    ),
    "runners.kubernetes.build_container_security_context.app_armor_profile.type": "18.11.0",
    "runners.kubernetes.build_container_security_context.capabilities.add": "14.5.0",
    "runners.kubernetes.build_container_security_context.privileged": "14.5.0",
    "runners.kubernetes.build_container_security_context.run_as_group": "14.5.0",
    "runners.kubernetes.build_container_security_context.run_as_user": "14.5.0",
    "runners.kubernetes.build_container_security_context.seccomp_profile.localhost_profile": (
        "18.11.0"
    ),
    "runners.kubernetes.build_container_security_context.seccomp_profile.type": "18.11.0",
    "runners.kubernetes.cap_drop": "13.4.1",
    "runners.kubernetes.cpu_limit": "1.10.0",
    "runners.kubernetes.cpu_limit_overwrite_max_allowed": "12.9.0",
    "runners.kubernetes.cpu_request": "1.10.0",
    "runners.kubernetes.cpu_request_overwrite_max_allowed": "12.9.0",
    "runners.kubernetes.ephemeral_storage_limit": "13.5.0",
    "runners.kubernetes.ephemeral_storage_limit_overwrite_max_allowed": "13.5.0",
    "runners.kubernetes.ephemeral_storage_request": "13.5.0",
    "runners.kubernetes.ephemeral_storage_request_overwrite_max_allowed": "13.5.0",
    "runners.kubernetes.helper_cpu_limit": "1.10.0",
    "runners.kubernetes.helper_cpu_limit_overwrite_max_allowed": "13.4.0",
    "runners.kubernetes.helper_cpu_request": "1.10.0",
    "runners.kubernetes.helper_cpu_request_overwrite_max_allowed": "13.4.0",
    "runners.kubernetes.helper_ephemeral_storage_limit": "13.5.0",
    "runners.kubernetes.helper_ephemeral_storage_limit_overwrite_max_allowed": "13.5.0",
    "runners.kubernetes.helper_ephemeral_storage_request": "13.5.0",
    "runners.kubernetes.helper_ephemeral_storage_request_overwrite_max_allowed": "13.5.0",
    "runners.kubernetes.helper_memory_limit": "1.10.0",
    "runners.kubernetes.helper_memory_limit_overwrite_max_allowed": "13.4.0",
    "runners.kubernetes.helper_memory_request": "1.10.0",
    "runners.kubernetes.helper_memory_request_overwrite_max_allowed": "13.4.0",
    "runners.kubernetes.image": "1.6.0",
    "runners.kubernetes.image_pull_secrets": "1.10.0",
    "runners.kubernetes.logs_base_dir": "17.2.0",
    "runners.kubernetes.memory_limit": "1.10.0",
    "runners.kubernetes.memory_limit_overwrite_max_allowed": "12.9.0",
    "runners.kubernetes.memory_request": "1.10.0",
    "runners.kubernetes.memory_request_overwrite_max_allowed": "12.9.0",
    "runners.kubernetes.namespace": "1.6.0",
    "runners.kubernetes.node_selector.*": "1.9.0",
    "runners.kubernetes.node_tolerations.*": "11.8.0",
    "runners.kubernetes.pod_disruption_budget": "18.11.0",
    "runners.kubernetes.pod_security_context.fs_group": "12.0.0",
    "runners.kubernetes.pod_security_context.run_as_group": "12.0.0",
    "runners.kubernetes.pod_security_context.run_as_non_root": "12.0.0",
    "runners.kubernetes.pod_security_context.run_as_user": "12.0.0",
    "runners.kubernetes.pod_security_context.seccomp_profile.type": "18.11.0",
    "runners.kubernetes.pod_spec.name": "15.10.0",
    "runners.kubernetes.pod_spec.patch": "15.10.0",
    "runners.kubernetes.pod_spec.patch_type": "15.10.0",
    "runners.kubernetes.priority_class_name": "15.1.0",
    "runners.kubernetes.privileged": "1.6.0",
    "runners.kubernetes.pull_policy": "13.11.0",
    "runners.kubernetes.runtime_class_name": "14.9.0",
    "runners.kubernetes.scripts_base_dir": "17.2.0",
    "runners.kubernetes.service_account": "9.2.0",
    "runners.kubernetes.service_container_security_context.privileged": "14.5.0",
    "runners.kubernetes.service_container_security_context.run_as_group": "14.5.0",
    "runners.kubernetes.service_container_security_context.run_as_user": "14.5.0",
    "runners.kubernetes.service_cpu_limit": "1.10.0",
    "runners.kubernetes.service_cpu_limit_overwrite_max_allowed": "13.4.0",
    "runners.kubernetes.service_cpu_request": "1.10.0",
    "runners.kubernetes.service_cpu_request_overwrite_max_allowed": "13.4.0",
    "runners.kubernetes.service_ephemeral_storage_limit": "13.5.0",
    "runners.kubernetes.service_ephemeral_storage_limit_overwrite_max_allowed": "13.5.0",
    "runners.kubernetes.service_ephemeral_storage_request": "13.5.0",
    "runners.kubernetes.service_ephemeral_storage_request_overwrite_max_allowed": "13.5.0",
    "runners.kubernetes.service_memory_limit": "1.10.0",
    "runners.kubernetes.service_memory_limit_overwrite_max_allowed": "13.4.0",
    "runners.kubernetes.service_memory_request": "1.10.0",
    "runners.kubernetes.service_memory_request_overwrite_max_allowed": "13.4.0",
    "runners.kubernetes.services.alias": "12.9.0",
    "runners.kubernetes.services.command": "13.6.0",
    "runners.kubernetes.services.entrypoint": "13.6.0",
    "runners.kubernetes.services.environment": "15.10.0",
    "runners.kubernetes.services.name": "12.5.0",
    "runners.kubernetes.volumes.config_map.items.*": "9.4.0",
    "runners.kubernetes.volumes.config_map.mount_path": "9.4.0",
    "runners.kubernetes.volumes.config_map.name": "9.4.0",
    "runners.kubernetes.volumes.config_map.read_only": "9.4.0",
    "runners.kubernetes.volumes.empty_dir.medium": "10.1.0",
    "runners.kubernetes.volumes.empty_dir.mount_path": "10.1.0",
    "runners.kubernetes.volumes.empty_dir.name": "10.1.0",
    "runners.kubernetes.volumes.host_path.host_path": "9.4.0",
    "runners.kubernetes.volumes.host_path.mount_path": "9.3.0",
    "runners.kubernetes.volumes.host_path.name": "9.3.0",
    "runners.kubernetes.volumes.host_path.read_only": "9.3.0",
    "runners.kubernetes.volumes.secret.items.*": "9.4.0",
    "runners.kubernetes.volumes.secret.mount_path": "9.3.0",
    "runners.kubernetes.volumes.secret.name": "9.3.0",
    "runners.kubernetes.volumes.secret.read_only": "9.3.0",
    "runners.pre_build_script": "1.6.0",
    "runners.request_concurrency": "1.10.8",
}
_MAPS = {key.removesuffix(".*") for key in KEYS if key.endswith(".*")}


def as_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers by which versions compare."""
    return tuple(map(int, version.split(".")))


def keys_of(text: str) -> set[str]:
    """Return the dotted paths of all keys in a config.toml."""
    return set(_paths(tomllib.loads(text), ""))


def _paths(value: object, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from _paths(item, f"{path}.{'*' if path in _MAPS else key}".lstrip("."))
    elif isinstance(value, list) and any(
        isinstance(item, dict) for item in cast("list[Any]", value)
    ):
        for item in cast("list[Any]", value):
            yield from _paths(item, path)
    else:
        yield path


def unknown_keys(text: str, runner: str) -> list[str]:
    """Return the keys that this version of the runner would drop silently."""
    return sorted(
        key
        for key in keys_of(text)
        if key not in KEYS or as_numbers(KEYS[key]) > as_numbers(runner)
    )
