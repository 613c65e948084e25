"""The volumes of a job's pod, as tables of config.toml: those of the plan and those of the runner.

A claim for each job has no key, so its pod is patched.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from components.gitlab_runner import authorities, before_job
from components.plan import BuildPlan, RunnerNames, file_key
from components.settings.runners.runner import RunnerSettings
from components.settings.runners.volumes import Volume


def volume_tables(
    plan: BuildPlan, names: RunnerNames, runner: RunnerSettings
) -> dict[str, list[dict[str, Any]]]:
    """Return the tables below ``runners.kubernetes.volumes``, some of them empty."""
    volumes = runner.volumes
    return {
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
            {"name": empty_dir.name, "mount_path": empty_dir.path, "medium": empty_dir.medium}
            for empty_dir in plan.empty_dirs
        ]
        + [_room(volume) for volume in volumes if volume.scratch or volume.per_job],
        "pvc": [
            {**_named(volume), "read_only": volume.read_only} for volume in volumes if volume.claim
        ],
        "secret": [
            *_secrets(plan, names),
            *(_files(volume) for volume in volumes if volume.secret),
        ],
        "config_map": [
            *_config_maps(plan, names, runner),
            *(_files(volume) for volume in volumes if volume.config_map),
        ],
    }


def volume_patches(volumes: Sequence[Volume]) -> list[dict[str, str]]:
    """Return the patch that puts a claim in the place of each folder that is ``per_job``.

    The runner mounts the folder into every container, whose names a patch cannot know. A volume
    with two sources would be refused, so the first one is removed by null.
    """
    claims = [
        {
            "name": volume.name,
            "emptyDir": None,
            "ephemeral": {
                "volumeClaimTemplate": {
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": volume.per_job.size}},
                        **(
                            {"storageClassName": volume.per_job.storage_class}
                            if volume.per_job.storage_class
                            else {}
                        ),
                    }
                }
            },
        }
        for volume in volumes
        if volume.per_job
    ]
    text = json.dumps({"volumes": claims}, sort_keys=True)
    return [{"name": "volumes", "patch_type": "strategic", "patch": text}] if claims else []


def _named(volume: Volume) -> dict[str, Any]:
    return {"name": volume.name, "mount_path": volume.path}


def _room(volume: Volume) -> dict[str, Any]:
    scratch = volume.scratch
    return {
        **_named(volume),
        "medium": "Memory" if scratch and scratch.memory else "",
        "size_limit": scratch.size if scratch else "",
    }


def _files(volume: Volume) -> dict[str, Any]:
    return {**_named(volume), "read_only": True}


def _config_maps(
    plan: BuildPlan, names: RunnerNames, runner: RunnerSettings
) -> Iterator[dict[str, Any]]:
    if runner.ca_certificates:
        yield {"name": authorities.CONFIG_MAP, "mount_path": authorities.FOLDER, "read_only": True}
    if names["files"]:
        yield {
            "name": names["files"],
            "mount_path": plan.files_folder,
            "read_only": True,
            "items": {file_key(path): path for path in sorted(plan.files)},
        }


def _secrets(plan: BuildPlan, names: RunnerNames) -> Iterator[dict[str, Any]]:
    if before_job.pushes(plan, names):
        yield {
            "name": names["push_secret"],
            "mount_path": before_job.LOGINS,
            "read_only": True,
            "items": {".dockerconfigjson": "config.json"},
        }
    if plan.daemon and names["daemon_secret"]:
        folder = plan.daemon.certificates_folder
        yield {"name": names["daemon_secret"], "mount_path": folder, "read_only": True}
