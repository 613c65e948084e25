"""The pod that the Kubernetes executor creates for a job, from a runner's table of config.toml.

It follows gitlab-runner:executors/kubernetes/kubernetes.go (setupBuildPod and what it calls) as
of 18.9.0 to 19.3.0, for the keys that components/gitlab_runner/ writes.
"""

import dataclasses
import itertools
import json
import re
from collections.abc import Iterable
from typing import Any, cast

from pydantic.alias_generators import to_camel

from components.gitlab_runner.keys import as_numbers
from components.quantity import amount
from dev.toolchain.gitlab_runner import pinned
from tests.executor.globs import matches

PROJECT, JOB = 1, 2
NAME = f"runner-standin-project-{PROJECT}-concurrent-0"
LABELS = {"pod": NAME, "job.runner.gitlab.com/pod": NAME}
_HELPER = "registry.gitlab.com/gitlab-org/gitlab-runner/gitlab-runner-helper:x86_64-v"
_ENTRYPOINT = "FF_KUBERNETES_HONOR_ENTRYPOINT"
_DEADLINE = "FF_USE_POD_ACTIVE_DEADLINE_SECONDS"
_RESOURCES_OF_THE_POD = "18.10.0"
"""The first runner that writes them, empty where config.toml says nothing of them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What GitLab or the network adds to config.toml."""

    variables: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    answers_lost: bool = False
    """The answer to each request that creates an object is lost once, so the runner repeats it."""
    fails: bool = False
    """The job's script ends with an error."""
    image: str = ""
    """The image that the job names."""
    pull_policy: str = ""
    """What the job chooses for its image."""


def job_pod(
    runner: dict[str, Any], request: Request, credentials: str, version: str = ""
) -> dict[str, Any]:
    """Return the pod's manifest without a name; ``credentials`` is the Secret of this job.

    ``version`` is the runner's, by default the pinned one.

    Raises:
        ValueError: config.toml forbids a service, in the runner's words, or what the job asks for.
    """
    kubernetes = runner["kubernetes"]
    services = _named(kubernetes.get("services", []))
    allowed = kubernetes.get("allowed_services", ["**/*"])
    for image in (service["name"] for service in services.values()):
        if not any(matches(glob, image) for glob in allowed):
            message = f'The "{image}" image is not present on list of allowed services: {allowed}'
            raise ValueError(message)
    images = kubernetes.get("allowed_images", ["**/*"])
    if request.image and not any(matches(glob, request.image) for glob in images):
        message = f'The "{request.image}" image is not present on list of allowed images: {images}'
        raise ValueError(message)
    version = version or pinned()
    helper = f"{_HELPER}{version}"
    whole = as_numbers(version) >= as_numbers(_RESOURCES_OF_THE_POD)
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        **({"activeDeadlineSeconds": 3601} if _ends_with_its_job(runner, request) else {}),
        **({"resources": _of_the_pod(kubernetes, request)} if whole else {}),
        "serviceAccountName": kubernetes["service_account"],
        "automountServiceAccountToken": kubernetes["automount_service_account_token"],
        "nodeSelector": kubernetes.get("node_selector", {}),
        "tolerations": [
            _toleration(taint, effect)
            for taint, effect in kubernetes.get("node_tolerations", {}).items()
        ],
        "runtimeClassName": kubernetes.get("runtime_class_name"),
        "priorityClassName": kubernetes.get("priority_class_name"),
        "imagePullSecrets": [
            {"name": name} for name in (*kubernetes.get("image_pull_secrets", []), credentials)
        ],
        "securityContext": _pod_context(kubernetes.get("pod_security_context", {})),
        "hostAliases": [*_host_aliases(services.values()), *kubernetes.get("host_aliases", [])],
        "dnsPolicy": _DNS_POLICIES[kubernetes.get("dns_policy", "")],
        "dnsConfig": kubernetes.get("dns_config"),
        "affinity": _spelled(kubernetes.get("affinity", {})),
        "volumes": _volumes(runner),
        # With the helper's resources (initContainerResources).
        "initContainers": [
            {
                **_container(runner, "init-permissions", helper),
                "resources": _resources(kubernetes, "helper_", request),
                **_pull_policy(kubernetes, request.pull_policy),
            }
        ],
        "containers": [
            {
                **_container(runner, "build", request.image or kubernetes["image"]),
                "env": _variables(runner, {}, request),
                "resources": _resources(kubernetes, "", request),
                **_pull_policy(kubernetes, request.pull_policy),
            },
            {
                **_container(runner, "helper", helper),
                "resources": _resources(kubernetes, "helper_", request),
                **_pull_policy(kubernetes, request.pull_policy),
            },
            *(
                {
                    **_container(runner, "service", service["name"]),
                    "name": name,
                    **_command(runner, service, request),
                    "env": _variables(runner, service, request),
                    "resources": _resources(kubernetes, "service_", request),
                    **_pull_policy(kubernetes, ""),
                }
                for name, service in sorted(services.items())
            ),
        ],
    }
    if runner["feature_flags"].get("FF_USE_ADVANCED_POD_SPEC_CONFIGURATION"):
        for entry in kubernetes.get("pod_spec", []):
            spec = _merged(spec, json.loads(entry["patch"]))
    metadata = {
        "labels": {
            **{
                key: _LABEL.sub("_", value)
                for key, value in _expanded(kubernetes.get("pod_labels", {}), request).items()
            },
            **LABELS,
        },
        "annotations": _expanded(kubernetes.get("pod_annotations", {}), request),
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _expanded(values: dict[str, str], request: Request) -> dict[str, str]:
    """Return values with the variables of the job."""
    return {
        key: re.sub(r"\$\{?(\w+)\}?", lambda found: request.variables.get(found[1], ""), value)
        for key, value in values.items()
    }


def _spelled(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Return a table in the spelling of the API, whose keys the runner's follow."""
    if isinstance(value, list):
        return [_spelled(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {to_camel(key): _spelled(item) for key, item in table.items()}
    return value


def _ends_with_its_job(runner: dict[str, Any], request: Request) -> bool:
    """Whether a flag is on, which the runner decides before the job (common/build_settings.go)."""
    said = runner["feature_flags"].get(_DEADLINE)
    return request.variables.get(_DEADLINE) != "false" if said is None else said


def _command(
    runner: dict[str, Any], service: dict[str, Any], request: Request
) -> dict[str, list[str]]:
    """Return a service's command: none with a flag that a job may set too (getCommandAndArgs)."""
    said = runner["feature_flags"].get(_ENTRYPOINT)
    if request.variables.get(_ENTRYPOINT) == "true" if said is None else said:
        return {"command": [], "args": []}
    return {"command": service.get("entrypoint", []), "args": service.get("command", [])}


def _container(runner: dict[str, Any], kind: str, image: str) -> dict[str, Any]:
    """Return what every container has: all volumes, and the general context below its own."""
    kubernetes = runner["kubernetes"]
    own = kubernetes.get(f"{kind}_container_security_context", {})
    context: dict[str, Any] = {
        "capabilities": {
            "drop": ["NET_RAW", *kubernetes.get("cap_drop", [])],
            **own.get("capabilities", {}),
        }
    }
    for key, field in (
        ("privileged", "privileged"),
        ("allow_privilege_escalation", "allowPrivilegeEscalation"),
    ):
        value = own.get(key, kubernetes.get(key))
        if value is not None:
            context[field] = value
    # The runner repeats the pod's ids in every container but this one (getContainerUIDGID).
    pod_wide: dict[str, Any] = kubernetes.get("pod_security_context", {})
    repeated = pod_wide if kind != "init-permissions" else {}
    for key, field in (("run_as_user", "runAsUser"), ("run_as_group", "runAsGroup")):
        value = own.get(key, repeated.get(key))
        if value is not None:
            context[field] = value
    return {
        "name": kind,
        "image": image,
        "command": ["sh"],
        "stdin": kind != "init-permissions",
        "volumeMounts": _mounts(runner),
        "securityContext": {**context, **_profiles(own)},
    }


def _profiles(table: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the profiles of a security context, with the keys of the API."""
    kinds = {"seccomp_profile": "seccompProfile", "app_armor_profile": "appArmorProfile"}
    keys = {"type": "type", "localhost_profile": "localhostProfile"}
    return {
        field: {keys[name]: value for name, value in table[key].items()}
        for key, field in kinds.items()
        if key in table
    }


def _pod_context(table: dict[str, Any]) -> dict[str, Any]:
    fields = {
        "fs_group": "fsGroup",
        "run_as_group": "runAsGroup",
        "run_as_non_root": "runAsNonRoot",
        "run_as_user": "runAsUser",
    }
    simple = {field: table[key] for key, field in fields.items() if key in table}
    return {**simple, **_profiles(table)}


def _toleration(taint: str, effect: str) -> dict[str, str]:
    key, equals, value = taint.partition("=")
    if equals:
        return {"key": key, "operator": "Equal", "value": value, "effect": effect}
    return {"key": key, "operator": "Exists", "effect": effect}


def _resources(
    kubernetes: dict[str, Any], prefix: str, request: Request
) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {"requests": {}, "limits": {}}
    for bound, resource in itertools.product(
        ("request", "limit"), ("cpu", "memory", "ephemeral_storage")
    ):
        key = f"{prefix}{resource}_{bound}"
        quantity = _overwritten(kubernetes, key, request) or kubernetes.get(key)
        if quantity:
            found[f"{bound}s"][resource.replace("_", "-")] = quantity
    return found


def _of_the_pod(kubernetes: dict[str, Any], request: Request) -> dict[str, dict[str, str]]:
    found = _resources(kubernetes, "pod_", request)
    return {bound: amounts for bound, amounts in found.items() if amounts}


def _overwritten(kubernetes: dict[str, Any], key: str, request: Request) -> str:
    """Return what the job asks for, if it may (overwrites.go, evaluateMaxResourceOverwrite)."""
    most = kubernetes.get(f"{key}_overwrite_max_allowed", "")
    asked = request.variables.get(f"KUBERNETES_{key}".upper(), "") if most else ""
    if asked and amount(asked) > amount(most):
        message = f"the resource {key} requested {asked} is higher than limit allowed {most}"
        raise ValueError(message)
    return asked


_DNS_POLICIES = {"": "ClusterFirst", "none": "None"}
_LABEL = re.compile(r"[^-A-Za-z0-9_.]")
_POLICIES = {"always": "Always", "if-not-present": "IfNotPresent", "never": "Never"}


def _pull_policy(kubernetes: dict[str, Any], chosen: str) -> dict[str, str]:
    """Return a container's policy, the first that is allowed (preparePullManager)."""
    configured = kubernetes.get("pull_policy", [""])
    wanted = [chosen] if chosen else configured
    allowed = kubernetes.get("allowed_pull_policies", configured)
    effective = [policy for policy in wanted if policy in allowed]
    if not effective:
        message = f"pull_policy {wanted} is not one of the allowed_pull_policies {allowed}"
        raise ValueError(message)
    return {"imagePullPolicy": _POLICIES[effective[0]]} if effective[0] else {}


def _named(services: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return services by container: an alias that no other has, or a number.

    The runner's come before the job's, which may have the same alias (getServiceDefinition).
    """
    numbers = (f"svc-{number}" for number in itertools.count())
    found: dict[str, dict[str, Any]] = {}
    for service in services:
        alias = service.get("alias", "")
        found[alias if alias and alias not in found else next(numbers)] = service
    return found


def _host_aliases(services: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let services be found by image and alias (host_aliases.go, createServicesHostAlias)."""
    names = [
        name
        for service in services
        for name in (_host(service["name"]), *([service["alias"]] if "alias" in service else []))
    ]
    # A name that is not one is left out (dns.ValidateDNS1123Subdomain).
    valid = [name for name in names if "_" not in name]
    return [{"ip": "127.0.0.1", "hostnames": valid}] if valid else []


def _host(image: str) -> str:
    """Return an image's host name: its path without port, tag and digest (SplitNameAndVersion)."""
    return re.sub(r":\d+(?=/)|[:@][^/]*$", "", image).replace("/", "-")


def _variables(
    runner: dict[str, Any], service: dict[str, Any], request: Request
) -> list[dict[str, str]]:
    """Return a container's environment (common/build.go, GetAllVariables, GetServiceVariables).

    The job outranks the runner, and a service's own variables outrank both.
    """
    runners, services = (
        dict(pair.partition("=")[::2] for pair in table.get("environment", []))
        for table in (runner, service)
    )
    # As GitLab sends them, where it is a service of the job.
    services |= {item["key"]: item["value"] for item in service.get("variables", [])}
    if any("$" in value for value in (*runners.values(), *services.values())):
        message = "the runner expands variables in values, and the test executor does not"
        raise ValueError(message)
    return [
        {"name": name, "value": value}
        for name, value in {**runners, **request.variables, **services}.items()
    ]


def _own_folders(runner: dict[str, Any]) -> dict[str, str]:
    """Return the paths of the volumes that every pod has."""
    kubernetes = runner["kubernetes"]
    return {
        "scripts": f"{kubernetes.get('scripts_base_dir', '')}/scripts-{PROJECT}-{JOB}",
        "logs": f"{kubernetes.get('logs_base_dir', '')}/logs-{PROJECT}-{JOB}",
        "repo": runner.get("builds_dir", "/builds"),
    }


def _added_folders(runner: dict[str, Any]) -> dict[str, str]:
    """Return them without the sources of a job where a volume is there already.

    (isDefaultBuildsDirVolumeRequired)
    """
    taken = {
        entry["mount_path"]
        for entries in runner["kubernetes"].get("volumes", {}).values()
        for entry in entries
    }
    return {
        name: path
        for name, path in _own_folders(runner).items()
        if name != "repo" or path not in taken
    }


def _object(entry: dict[str, Any]) -> str:
    """Return the name of a volume, with the number of the job among those of its manager."""
    return str(entry["name"]).replace("$CI_CONCURRENT_ID", "0")


def _mounts(runner: dict[str, Any]) -> list[dict[str, Any]]:
    mounts = [
        {
            "name": _object(entry),
            "mountPath": entry["mount_path"],
            **({"readOnly": True} if entry.get("read_only") else {}),
        }
        for entries in runner["kubernetes"].get("volumes", {}).values()
        for entry in entries
    ]
    own = [{"name": name, "mountPath": path} for name, path in _added_folders(runner).items()]
    return mounts + own


def _volumes(runner: dict[str, Any]) -> list[dict[str, Any]]:
    volumes = [
        {"name": _object(entry), **_source(kind, entry)}
        for kind, entries in runner["kubernetes"].get("volumes", {}).items()
        for entry in entries
    ]
    return volumes + [{"name": name, "emptyDir": {}} for name in _added_folders(runner)]


def _source(kind: str, entry: dict[str, Any]) -> dict[str, Any]:
    items = [{"key": key, "path": path} for key, path in entry.get("items", {}).items()]
    chosen = {"items": items} if items else {}
    sources: dict[str, dict[str, Any]] = {
        "host_path": {"hostPath": {"path": entry.get("host_path")}},
        "empty_dir": {
            "emptyDir": {
                field: entry[key]
                for key, field in (("medium", "medium"), ("size_limit", "sizeLimit"))
                if key in entry
            }
        },
        "pvc": {"persistentVolumeClaim": {"claimName": _object(entry)}},
        "secret": {"secret": {"secretName": entry["name"], **chosen}},
        "config_map": {"configMap": {"name": entry["name"], **chosen}},
    }
    return sources[kind]


def _has_names(entries: list[Any]) -> bool:
    """Whether a list is merged by name; one of texts is replaced."""
    return all(isinstance(item, dict) for item in entries)


def _merged(value: Any, patch: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Merge strategically: mappings by key, lists by name, and the rest replaced."""
    if isinstance(patch, dict):
        table = cast("dict[str, Any]", value or {})
        changes = cast("dict[str, Any]", patch)
        changed = {key: item for key, item in changes.items() if item is not None}
        kept = {key: item for key, item in table.items() if key not in changes or key in changed}
        return {**kept, **{key: _merged(table.get(key), item) for key, item in changed.items()}}
    if isinstance(patch, list) and _has_names(cast("list[Any]", patch)):
        items = {item["name"]: item for item in cast("list[dict[str, Any]]", value or [])}
        changed = {item["name"]: item for item in cast("list[dict[str, Any]]", patch)}
        entries: dict[str, Any] = _merged(items, changed)
        return list(entries.values())
    return cast("Any", patch)
