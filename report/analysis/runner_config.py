"""The config.toml of a runner: which keys differ, and what each means for a build."""

import functools
import re
import tomllib
from collections.abc import Iterator

from report.inputs.events import RELEASE, Plan
from report.model import KeyChange
from report.tree import Tree, differences, entries, inside

# By the end of the key; the first match counts (gitlab-runner:docs/executors/kubernetes/_index.md).
_MEANINGS = (
    (r"pre_build_script", "shell that runs in the build container before the job's own script"),
    (r"builds_dir|logs_base_dir|scripts_base_dir", "where the files of a job are in its container"),
    (r"environment.*", "variables of every job"),
    (r"feature_flags\..*", "a feature flag of GitLab Runner"),
    (r"request_concurrency", "how many jobs the manager may request from GitLab at once"),
    (r"cache\..*", "where the caches of jobs are kept"),
    (r"kubernetes\.namespace", "the namespace in which jobs run"),
    (r"kubernetes\.image", "the image of jobs that name none"),
    (r"kubernetes\.service_account", "the service account of jobs"),
    (r"automount_service_account_token", "whether jobs can call the Kubernetes API"),
    (r"kubernetes\.privileged", "whether every container of a job is privileged"),
    (r"allow_privilege_escalation", "whether setuid programs work in a job"),
    (r"build_container_security_context\.privileged", "whether the job's container is privileged"),
    (r"service_container_security_context\.privileged", "whether services are privileged"),
    (
        r"security_context\.run_as_(user|group|non_root)",
        "the user of the container, by default that of its image",
    ),
    (r"security_context\.capabilities.*", "the capabilities of the container"),
    (r"security_context\.fs_group", "the group that volumes belong to"),
    (r"security_context\.seccomp_profile.*", "which system calls a job may make"),
    (r"security_context\.app_armor_profile.*", "what a job may do with files and the kernel"),
    (r"allowed_images.*", "the only images that jobs may run"),
    (r"pod_(cpu|memory)_(limit|request)", "what the containers of a job share"),
    (r"allowed_services.*", "the only images that jobs may use as services"),
    (r"image_pull_secrets.*", "the credentials that pull the images of jobs"),
    (r"allowed_pull_policies.*", "which pull policies jobs may choose"),
    (r"pull_policy.*", "when nodes pull the images of jobs"),
    (r"\w+_overwrite_max_allowed", "the most that jobs may ask for by a variable"),
    (r"pod_disruption_budget", "whether a drained node waits for running jobs"),
    (r"cpu_request|memory_request|ephemeral_storage_request", "what is reserved for a build"),
    (r"cpu_limit", "where a build is throttled"),
    (r"memory_limit", "where a build is killed, with exit code 137"),
    (r"ephemeral_storage_limit", "where a build's pod is evicted"),
    (r"node_selector.*|node_affinity.*", "which nodes jobs run on"),
    (r"pod_anti_affinity.*", "over which nodes or zones jobs are spread"),
    (r"poll_timeout", "the seconds that a job's pod may take to start"),
    (r"output_limit", "the KiB of a job's log that are kept"),
    (r"pod_labels.*|pod_annotations.*", "what other programs know of a job's pod"),
    (r"host_aliases.*", "names in /etc/hosts of a job's containers"),
    (r"dns_policy|dns_config.*", "how names are resolved in a job"),
    (r"pod_spec.*", "patches of a job's pod for fields without a key"),
    (r"services.*", "containers that run beside every job, such as a Docker daemon"),
    (r"volumes\.host_path.*", "paths of the node that jobs mount"),
    (r"volumes\.empty_dir.*", "folders that are empty when a job starts"),
    (r"volumes\.secret.*", "Secrets that jobs can read"),
    (r"volumes\.config_map.*", "files of ConfigMaps that jobs read, such as registry settings"),
    (r"volumes\.pvc.*", "volumes that outlast a job"),
)


def parse(values: Tree) -> Tree:
    """Return the ``[[runners]]`` entry of a release, empty without one or if it is not TOML."""
    text = inside(values, "runners").get("config")
    try:
        found = _runners(text) if isinstance(text, str) else ()
    except tomllib.TOMLDecodeError:
        return {}
    return next(iter(found), inside(None))


@functools.cache
def _runners(text: str) -> tuple[Tree, ...]:
    """Read a text once, since the risks and each rule ask for the same one."""
    return tuple(entries(tomllib.loads(text), "runners"))


def unreadable(values: Tree) -> Iterator[str]:
    """Yield why the jobs of a release are not those that ``parse`` finds."""
    text = str(inside(values, "runners").get("config") or "")
    if "{{" in text:
        # The chart makes another text of it.
        yield "a template"
    try:
        count = len(_runners(text))
    except tomllib.TOMLDecodeError:
        yield "a text that is not TOML"
    else:
        if count != 1:
            yield f"{count} entries of [[runners]]"


def changes(plan: Plan) -> Iterator[KeyChange]:
    """Yield the keys that differ, for each runner."""
    for step in plan.steps:
        if step.type != RELEASE or step.old is None or step.new is None:
            continue
        old, new = (parse(inside(side, "values")) for side in (step.old, step.new))
        for change in differences(old, new):
            yield KeyChange(runner=step.name, change=change, meaning=meaning(change.path))


def meaning(path: str) -> str:
    """Return what a key means for a build."""
    key = re.sub(r"\[[^]]*\]", "", path)
    for pattern, text in _MEANINGS:
        if re.search(rf"(^|\.|_)({pattern})$", key):
            return text
    return "see the documentation of GitLab Runner"
