"""A runner's config.toml, key by key: what differs, and what each key means for a build."""

import re
import tomllib
from collections.abc import Iterator

from report.inputs.events import RELEASE, Plan
from report.model import KeyChange
from report.tree import Tree, differences, entries, inside

# By the end of the key, the first that fits (gitlab-runner:docs/executors/kubernetes/_index.md).
_MEANINGS = (
    (r"pre_build_script", "shell that runs in the build container before the job's own script"),
    (r"builds_dir|logs_base_dir|scripts_base_dir", "where the job's files are in its container"),
    (r"environment.*", "variables that every job has"),
    (r"feature_flags\..*", "a switch of GitLab Runner's own behaviour"),
    (r"request_concurrency", "how many jobs the manager may ask GitLab for at once"),
    (r"kubernetes\.namespace", "the namespace in which jobs run"),
    (r"kubernetes\.image", "the image of a job that names none"),
    (r"kubernetes\.service_account", "the account that jobs run as"),
    (r"automount_service_account_token", "whether jobs can call the Kubernetes API"),
    (r"kubernetes\.privileged", "whether every container of a job is privileged"),
    (r"allow_privilege_escalation", "whether setuid programs work in a job"),
    (r"build_container_security_context\.privileged", "whether the job's container is privileged"),
    (r"service_container_security_context\.privileged", "whether services are privileged"),
    (
        r"security_context\.run_as_(user|group|non_root)",
        "as whom the container runs; unset, as its image",
    ),
    (r"security_context\.capabilities.*", "what of root's powers the container has"),
    (r"security_context\.fs_group", "the group that volumes belong to"),
    (r"security_context\.seccomp_profile.*", "which system calls a job may make"),
    (r"allowed_services.*", "the only images that jobs may use as services"),
    (r"image_pull_secrets.*", "the logins with which images of jobs are pulled"),
    (r"pod_disruption_budget", "whether a drained node waits for running jobs"),
    (r"cpu_request|memory_request|ephemeral_storage_request", "what a build has for itself"),
    (r"cpu_limit", "where a build is slowed down"),
    (r"memory_limit", "where a build is killed, with exit code 137"),
    (r"ephemeral_storage_limit", "where a build's pod is evicted"),
    (r"node_selector.*", "which nodes jobs run on"),
    (r"pod_spec.*", "changes of the job's pod that have no key of their own"),
    (r"services.*", "containers that run beside every job, such as an engine"),
    (r"volumes\.host_path.*", "paths of the node that jobs see"),
    (r"volumes\.empty_dir.*", "folders that are empty when a job starts"),
    (r"volumes\.secret.*", "Secrets that jobs can read"),
    (r"volumes\.config_map.*", "files about registries that the tool reads"),
)


def parse(values: Tree) -> Tree:
    """Return a release's one ``[[runners]]`` entry; none is empty, and so is what is no TOML."""
    text = inside(values, "runners").get("config")
    try:
        content = tomllib.loads(text) if isinstance(text, str) else {}
    except tomllib.TOMLDecodeError:
        return {}
    return next(iter(entries(content, "runners")), inside(None))


def changes(plan: Plan) -> Iterator[KeyChange]:
    """Yield each key of each runner that differs."""
    for step in plan.steps:
        if step.type != RELEASE or step.old is None or step.new is None:
            continue
        old, new = (parse(inside(side, "values")) for side in (step.old, step.new))
        for change in differences(old, new):
            yield KeyChange(runner=step.name, change=change, meaning=meaning(change.path))


def meaning(path: str) -> str:
    """Say what a key means for a build."""
    key = re.sub(r"\[[^]]*\]", "", path)
    for pattern, text in _MEANINGS:
        if re.search(rf"(^|\.|_)({pattern})$", key):
            return text
    return "see GitLab Runner's documentation of this key"
