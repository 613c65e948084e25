"""Keys of config.toml that have no key here: which ones a runner may have, and why not the rest.

They are as in the TOML, below ``[[runners]]``. The runner ignores what it does not know, so each is
checked against the table of its version.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import JsonValue, WithJsonSchema

from components.gitlab_runner import charts, keys
from components.plan import BuildPlan

Extra = Annotated[
    dict[str, JsonValue], WithJsonSchema({"type": "object", "additionalProperties": {}})
]
"""Tables and keys of config.toml below ``[[runners]]``."""

_TYPED = (
    (r"kubernetes\.node_selector\b.*", "nodeSelector"),
    (r"kubernetes\.node_tolerations\b.*", "tolerations"),
    (r"kubernetes\.affinity\.node_affinity.*", "nodeAffinity"),
    (r"kubernetes\.affinity\.pod_anti_affinity.*", "spread"),
    (r"kubernetes\.poll_timeout", "podStartTimeout"),
    (r"kubernetes\.pod_labels.*", "labels"),
    (r"kubernetes\.pod_annotations.*", "annotations"),
    (r"kubernetes\.host_aliases.*", "hostAliases of the settings"),
    (r"kubernetes\.dns_(policy|config).*", "dns"),
    (r"kubernetes\.volumes\.(pvc|secret|config_map|empty_dir)\b.*", "volumes"),
    (r"kubernetes\.runtime_class_name", "runtimeClassName"),
    (r"kubernetes\.priority_class_name", "priorityClassName"),
    (r"kubernetes\.(allowed_)?pull_polic\w+", "pullPolicy and allowedPullPolicies"),
    (r"kubernetes\.allowed_images", "allowedImages"),
    (r"kubernetes\.allowed_services", "allowedServices"),
    (r"kubernetes\.(\w+_)?(cpu|memory|ephemeral_storage)_(limit|request)\w*", "resources"),
    (r"kubernetes\.pod_disruption_budget", "podDisruptionBudget"),
    (r"kubernetes\.image", "strategy.image"),
    (r"kubernetes\.helper_image", "chart.helperImage of the settings"),
    (r"kubernetes\.image_pull_secrets", "registries[].pull of the settings"),
    (r"kubernetes\.namespace", "jobNamespace"),
    (r"environment", "environment"),
    (r"output_limit", "logLimit"),
    (r"clone_url", "gitlab.cloneUrl of the settings"),
    (r"limit|request_concurrency", "concurrent"),
    (r"cache\.(Type|Path|Shared|MaxUploadedArchiveSize)", "cache"),
    (r"cache\.s3\.(ServerAddress|Bucket\w+|Insecure|AuthenticationType|PathStyle)", "cache"),
    (r"cache\.s3\.ServerSideEncryption(KeyID)?", "cache"),
    (r"cache\.(gcs\.BucketName|azure\.(AccountName|ContainerName|StorageDomain))", "cache"),
)
"""Keys that have one here, by the key to use."""

_ACCOUNT = "would let jobs run as another account or in another namespace, past the plan"
_READABLE = "would be a secret that everyone can read in config.toml"
_ELSEWHERE = "would run jobs in another cluster or as another manager than the stack's"
_CONFINED = "would change what confines jobs, past the plan of the strategy"
_OWN = "is set by the stack for its own needs"
_REFUSED = (
    (r"kubernetes\.(privileged|allow_privilege_escalation|cap_(add|drop))", _CONFINED),
    (r"kubernetes\.\w+_security_context\b.*", _CONFINED),
    (r"kubernetes\.pod_spec\b.*", "can change all of the pod, past the plan of the strategy"),
    (
        r"kubernetes\.volumes\.host_path\b.*",
        "would mount a path of the node, through which a job can take over the node; use volumes "
        "with claim, or cache",
    ),
    (r"kubernetes\.(service_account|automount_service_account_token|namespace_per_job)", _ACCOUNT),
    (r"kubernetes\.(bearer_token|namespace|service_account)_overwrite_allowed", _ACCOUNT),
    (
        r"kubernetes\.pod_(annotations|labels)_overwrite_allowed",
        "would let jobs choose AppArmor profiles, cloud identities and sidecars",
    ),
    (r"kubernetes\.(host|context|cert_file|key_file|ca_file)|executor|url|tls-.*", _ELSEWHERE),
    (r"(kubernetes\.bearer_)?token(_\w+)?|id|name", _ELSEWHERE),
    (
        r"cache\.s3\.(AccessKey|SecretKey|SessionToken)|cache\.gcs\.(AccessID|PrivateKey)|"
        r"cache\.azure\.AccountKey",
        f"{_READABLE}; use cache.credentials",
    ),
    (r"cache\.gcs\.CredentialsFile", "names a file that no manager has; use cache.credentials"),
    (
        r"kubernetes\.(autoscaler\b.*|suspend_pvc_\w+|services\.suspend_data_path)",
        "needs permissions in the cluster that managers do not have",
    ),
    (r"builds_dir|kubernetes\.(logs|scripts)_base_dir", _OWN),
    (
        r"feature_flags\.FF_(DISABLE_AUTOMATIC_TOKEN_ROTATION|USE_ADVANCED_POD_SPEC_CONFIGURATION|"
        r"USE_POD_ACTIVE_DEADLINE_SECONDS)",
        _OWN,
    ),
)
"""Keys that no runner may have, and why."""


_TYPES: Mapping[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "float": (int, float),
    "integer": (int,),
    "string": (str,),
}


def extra_errors(
    extra: Mapping[str, JsonValue], chart: str, plan: BuildPlan
) -> Iterator[tuple[str, str]]:
    """Yield (key below the runner, message) of each extra key that must not or cannot be set."""
    if not extra:
        return
    version = charts.known_runner_of(chart)
    known = {key.removeprefix("runners."): kind for key, kind in keys.known_keys(version).items()}
    maps = {key.removesuffix(".*") for key in known if key.endswith(".*")}
    for path, value in _leaves(extra, "", maps):
        where, spelled = f"extra.{path}", _spelled(path, maps)
        if reason := _refused(spelled, plan):
            yield where, f"{reason}; remove it" if ";" not in reason else reason
        elif typed := next((key for rule, key in _TYPED if re.fullmatch(rule, spelled)), None):
            yield where, f"has a separate key, with checks; remove it, and use {typed}"
        elif spelled not in known:
            yield where, _unknown(spelled, version, known)
        elif not _fits(value, known[spelled]):
            yield where, f"must be of the type {known[spelled]} in TOML; correct the value"


def _leaves(
    value: JsonValue | Mapping[str, JsonValue], path: str, maps: set[str]
) -> Iterator[tuple[str, JsonValue]]:
    """Yield each key that holds no table; the tables of an array have its path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}".lstrip("."), maps)
        if path and not value:
            yield path, {}
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for item in value:
            yield from _leaves(item, path, maps)
    else:
        yield path, value


def _spelled(path: str, maps: set[str]) -> str:
    """Write the keys that people choose as ``*``."""
    parent = path.rpartition(".")[0]
    return f"{parent}.*" if parent in maps else path


def _refused(path: str, plan: BuildPlan) -> str | None:
    if path.startswith("kubernetes.services") and plan.services:
        return f"would add to the services of {plan.strategy}, which are privileged or its own"
    return next((reason for rule, reason in _REFUSED if re.fullmatch(rule, path)), None)


def _unknown(path: str, version: str, known: Mapping[str, str]) -> str:
    if first := keys.since(f"runners.{path}"):
        return (
            f"is not known to runner {version}, which chart.version deploys, but to {first} and "
            "later ones; remove it, or raise chart.version"
        )
    close = difflib.get_close_matches(path, known, n=1, cutoff=0.8)
    advice = f"did you mean {close[0]}?" if close else "remove it"
    return (
        f"is not a key of runner {version} for jobs in Kubernetes, which would ignore it without "
        f"an error; {advice}"
    )


def _fits(value: JsonValue, kind: str) -> bool:
    if kind.endswith("s"):
        return isinstance(value, list) and all(_fits(item, kind[:-1]) for item in value)
    if kind == "duration":
        return isinstance(value, str) and bool(re.fullmatch(r"([0-9.]+(ns|us|ms|s|m|h))+", value))
    # In Python, a boolean is an integer too.
    numbers = kind in {"integer", "float"} and not isinstance(value, bool)
    return isinstance(value, _TYPES[kind]) and (numbers or kind in {"boolean", "string"})
