"""Fields of pods, and keys of config.toml, of which no other rule speaks.

What is neither judged elsewhere nor known to allow nothing is itself a risk: a later version
of Kubernetes or GitLab Runner may have added it.
"""

import json
import re
from collections.abc import Iterator

from report.analysis.pods.containers import digest
from report.tree import JSON, Tree, entries, inside

# Judged in ``pod``, ``containers`` and ``nodes``, or without any power
# (kubernetes: staging/src/k8s.io/api/core/v1/types.go).
_OF_PODS = {
    "activeDeadlineSeconds",
    "affinity",
    "automountServiceAccountToken",
    "containers",
    "dnsPolicy",
    "enableServiceLinks",
    "ephemeralContainers",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "hostname",
    "imagePullSecrets",
    "initContainers",
    "nodeName",
    "nodeSelector",
    "os",
    "priorityClassName",
    "readinessGates",
    "restartPolicy",
    "runtimeClassName",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
}
_OF_CONTAINERS = {
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "restartPolicy",
    "securityContext",
    "startupProbe",
    "stdin",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeMounts",
    "workingDir",
}
_OF_MOUNTS = {"mountPath", "name", "readOnly", "subPath"}
_OF_CONTEXTS = {
    "allowPrivilegeEscalation",
    "appArmorProfile",
    "capabilities",
    "fsGroup",
    "fsGroupChangePolicy",
    "privileged",
    "procMount",
    "readOnlyRootFilesystem",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "seLinuxOptions",
    "seccompProfile",
    "sysctls",
}
# Keys of ``[[runners]]`` and of its table ``kubernetes``
# (gitlab-runner:docs/configuration/advanced-configuration.md, docs/executors/kubernetes/_index.md).
_OF_RUNNERS = re.compile(
    r"builds_dir|cache|clone_url|environment|executor|feature_flags|kubernetes|limit|name|output_limit|"
    r"request_concurrency|(pre|post)_(build|clone|get_sources)_script"
)
_OF_CACHES = re.compile(
    r"(Account|Bucket|Container)Name|AuthenticationType|BucketLocation|Insecure|PathStyle|"
    r"ServerAddress|ServerSideEncryption(KeyID)?|StorageDomain"
)
_FLAGS = re.compile(
    r"FF_(DISABLE_AUTOMATIC_TOKEN_ROTATION|USE_ADVANCED_POD_SPEC_CONFIGURATION|"
    r"USE_POD_ACTIVE_DEADLINE_SECONDS)"
)
_OFF = ("FF_KUBERNETES_HONOR_ENTRYPOINT", False)
"""Its default, which a plan keeps where it has an engine."""
_EXTRA = (
    (r"(Upload)?RoleARN", "what jobs may do in the cloud"),
    (r"AssumeRole\w+|DisableAssumeRole\w+|DualStack|Accelerate|UniverseDomain", "how caches move"),
    (r"FF_\w+", "how jobs run, and what their logs show"),
    (r"scheduler_name", "which nodes jobs get"),
    (
        r"shell|proxy_exec|clean_git_config|safe_directory_checkout|debug_trace_disabled|"
        r"step_runner_image|custom_build_dir|cache_dir|use_slot_cgroups|slot_cgroup_template",
        "how the scripts of jobs run, and what their logs show",
    ),
    (
        r"poll_interval|prepare_timeout|get_sources_timeout|cleanup_\w+|retry_\w+|"
        r"pod_termination_\w+|print_pod_warning_events|resource_availability_\w+|"
        r"job_status_\w+|unhealthy_\w+|strict_check_interval|artifact|suspend_pvc_\w+",
        "how long requests and pods last",
    ),
    (r"helper_image_(flavor|autoset_arch_and_os)", "the image that handles the sources of jobs"),
    (r"use_service_account_image_pull_secrets", "which images jobs may pull"),
)
"""What may become weaker by a key that a stack file has only in ``extra``."""
_NOTHING: tuple[JSON, ...] = (None, "", [], {})
_DEFAULTS = {"schedulerName": "default-scheduler"}
_JUDGED = re.compile(
    r"allow_privilege_escalation|allowed_\w+|automount_service_account_token|bearer_token|"
    r"ca_file|cap_(add|drop)|cert_file|container_lifecycle|context|helper_image|host|"
    r"host_aliases|image|image_pull_secrets|key_file|namespace|namespace_per_job|"
    r"node_(selector|tolerations)|pod_(annotations|labels|spec)|priority_class_name|privileged|"
    r"pull_policy|runtime_class_name|service_account|services|volumes|\w+_security_context|"
    r"\w+_overwrite_(max_)?allowed|bearer_token_overwrite_allowed|affinity|dns_(config|policy)|"
    # How much, how long and how often, and where files are.
    r"\w*(cpu|memory|ephemeral_storage)_(limit|request)|poll_timeout|(logs|scripts)_base_dir|"
    r"pod_disruption_budget"
)


def unknown_in_pod(spec: Tree) -> Iterator[str]:
    """Yield the fields of a pod that no rule judges."""
    yield from _others(spec, {*_OF_PODS, "dnsConfig"})
    yield from _others(inside(spec, "dnsConfig"), {"nameservers", "options", "searches"})
    yield from _others(inside(spec, "affinity"), {"nodeAffinity", "podAntiAffinity"})
    yield from _others(inside(spec, "securityContext"), _OF_CONTEXTS)
    if inside(spec, "securityContext").get("fsGroup") == 0:
        yield "fsGroup = 0"


def unknown_in_container(container: Tree, pod_context: Tree) -> Iterator[str]:
    """Yield the fields of a container that no rule judges."""
    yield from _others(container, _OF_CONTAINERS)
    context = {**pod_context, **inside(container, "securityContext")}
    if context.get("runAsUser") and context.get("runAsGroup") == 0:
        yield "runAsGroup = 0"
    yield from _others(inside(container, "securityContext"), _OF_CONTEXTS)
    for mount in entries(container, "volumeMounts"):
        yield from _others(mount, _OF_MOUNTS)


def unknown_in_config(entry: Tree) -> Iterator[str]:
    """Yield the keys of a ``[[runners]]`` entry that no rule judges."""
    for key, value in _unjudged(entry):
        if not _weakens(key):
            yield f"{key} = {_short(value)}"


def extra_in_config(entry: Tree) -> Iterator[str]:
    """Yield the keys that a stack file has only as extra ones, with what they may weaken."""
    for key, value in _unjudged(entry):
        if what := _weakens(key):
            yield f"{key} = {_short(value)}, which may change {what}"


def _weakens(key: str) -> str:
    return next((what for rule, what in _EXTRA if re.fullmatch(rule, key)), "")


def _unjudged(entry: Tree) -> Iterator[tuple[str, JSON]]:
    """Yield the keys that no other rule judges, without the tables that they are in."""
    flags = inside(entry, "feature_flags")
    tables = [
        (entry, _OF_RUNNERS),
        ({key: flags[key] for key in flags if (key, flags[key]) != _OFF}, _FLAGS),
        (inside(entry, "kubernetes"), _JUDGED),
        *((inside(entry, "cache", storage), _OF_CACHES) for storage in ("azure", "gcs", "s3")),
    ]
    for table, judged in tables:
        for key in sorted(table):
            if table[key] not in _NOTHING and not judged.fullmatch(key):
                yield key, table[key]


def _others(table: Tree, known: set[str]) -> Iterator[str]:
    for key in sorted(table.keys() - known):
        if table[key] and table[key] != _DEFAULTS.get(key):
            yield f"{key} = {_short(table[key])}"


def _short(value: JSON) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 60 else f"(digest {digest(value)})"
