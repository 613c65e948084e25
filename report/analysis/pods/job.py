"""The pod that GitLab Runner creates for a job, from a ``[[runners]]`` entry of config.toml.

It follows gitlab-runner:executors/kubernetes/kubernetes.go (setupBuildPod and what it calls) and
common/config.go, as far as a pod's risks depend on them.
"""

import itertools
from collections.abc import Iterator, Mapping

from components.image_reference import ImageReference
from report.analysis.pods.amounts import amount_risks, bound_risks
from report.analysis.pods.containers import digest
from report.analysis.pods.labels import described
from report.analysis.pods.nodes import affinity_of, tolerations_of
from report.analysis.pods.patches import PatchError, merge
from report.analysis.pods.pod import containers, pod_risks
from report.analysis.risk_kind import RisksOf
from report.tree import JSON, Tree, entries, inside, texts

_PATCHES = "FF_USE_ADVANCED_POD_SPEC_CONFIGURATION"
# Keys of a security context, and of what is in it, by their names in Kubernetes.
_CONTEXT = {
    "allow_privilege_escalation": "allowPrivilegeEscalation",
    "app_armor_profile": "appArmorProfile",
    "fs_group": "fsGroup",
    "proc_mount": "procMount",
    "read_only_root_filesystem": "readOnlyRootFilesystem",
    "run_as_group": "runAsGroup",
    "run_as_non_root": "runAsNonRoot",
    "run_as_user": "runAsUser",
    "seccomp_profile": "seccompProfile",
}
_PREFIXES = {"build": "", "helper": "helper_", "init-permissions": "helper_"}
"""Of the keys about a container's resources; all others have those of services."""
_DNS = {"default": "Default", "none": "None"}
_SPEC = {
    "automount_service_account_token": "automountServiceAccountToken",
    "priority_class_name": "priorityClassName",
    "runtime_class_name": "runtimeClassName",
    "service_account": "serviceAccountName",
}


def job_risks(runner: str, entry: Tree) -> Iterator[RisksOf]:
    """Yield the risks of a runner's jobs, from its ``[[runners]]`` entry."""
    jobs = inside(entry, "kubernetes")
    pod = f"the job pod of runner {runner}"
    names = {
        own_service(jobs): f"a service that a job of runner {runner} names",
        "build": f"the build container of runner {runner}",
        # It runs the hooks of a job, too (gitlab-runner:shells/abstract.go).
        "helper": f"the helper of runner {runner}",
        "init-permissions": f"the helper of runner {runner}",
    }
    for container, service in _services(jobs).items():
        called = service.get("alias") or service.get("name")
        names[container] = f"the service {called} of runner {runner}"
    metadata: Tree = {part: inside(jobs, f"pod_{part}") for part in ("annotations", "labels")}
    yield ("labels", pod), described(metadata)
    yield from bound_risks(pod, _bounds(jobs, "pod_"))
    for container, name in names.items():
        prefix = _PREFIXES.get(container, "service_")
        limited = {key for key, limit in _amounts(jobs, prefix, "limit").items() if limit}
        more = _amounts(jobs, prefix, "limit_overwrite_max_allowed")
        yield from amount_risks(name, {key: more[key] for key in limited})
    for spec, unmerged in _specs(entry):
        yield from pod_risks(
            pod, metadata, spec, lambda name: names.get(name, f"container {name} of {pod}")
        )
        yield ("unjudged", pod), unmerged
        images = [item.get("image") for item in containers(spec) if item.get("name") == "helper"]
        yield ("helperImage", names["helper"]), {str(image) for image in images if image}


def own_service(jobs: Tree) -> str:
    """Return the container of a service that a job names itself, empty where none can be."""
    services = entries(jobs, "services")
    configured = {_repository(str(service.get("name"))) for service in services}
    allowed = set(map(_repository, texts(jobs, "allowed_services")))
    if allowed and allowed <= configured:
        return ""
    return f"svc-{sum(not service.get('alias') for service in services)}"


def _repository(image: str) -> str:
    """Return the repository of an image; a pattern, which is none, stays as it is."""
    try:
        reference = ImageReference.parse(image)
    except ValueError:
        return image
    return f"{reference.registry}/{reference.repository}"


def _specs(entry: Tree) -> Iterator[tuple[Tree, frozenset[str]]]:
    """Yield the spec of a job's pod, with what could not be merged into it.

    Without the feature flag in config.toml, a job decides whether patches count.
    """
    jobs = inside(entry, "kubernetes")
    spec, flag = _spec(jobs), inside(entry, "feature_flags").get(_PATCHES)
    patches = entries(jobs, "pod_spec")
    if flag is not True or not patches:
        yield spec, frozenset()
    if flag is not False and patches:
        unmerged = set[str]()
        for patch in patches:
            kind = str(patch.get("patch_type") or "strategic")
            # A patch in a file of the manager is not known here.
            text = "" if patch.get("patch_path") else str(patch.get("patch") or "{}")
            try:
                spec = merge(spec, text, kind)
            except PatchError:
                unmerged.add(f"the patch {patch.get('name')} ({kind}, digest {digest(patch)})")
        yield spec, frozenset(unmerged)


def _spec(jobs: Tree) -> Tree:
    volumes = list(_volumes(jobs))
    build = _container(jobs, "build", "build", jobs.get("image"))
    helper = _container(jobs, "helper", "helper", jobs.get("helper_image"))
    services = [
        {
            **_container(jobs, name, "service", service.get("name")),
            "command": texts(service, "entrypoint"),
            "args": texts(service, "command"),
            "env": _environment(service),
        }
        for name, service in _services(jobs).items()
    ]
    own = own_service(jobs)
    spec: dict[str, JSON] = {
        **{field: jobs[key] for key, field in _SPEC.items() if key in jobs},
        "securityContext": _context(inside(jobs, "pod_security_context")),
        "nodeSelector": inside(jobs, "node_selector"),
        "tolerations": list(tolerations_of(inside(jobs, "node_tolerations"))),
        "hostAliases": entries(jobs, "host_aliases"),
        "dnsConfig": inside(jobs, "dns_config"),
        "dnsPolicy": _DNS.get(str(jobs.get("dns_policy")), "ClusterFirst"),
        "affinity": affinity_of(inside(jobs, "affinity")),
        "imagePullSecrets": [{"name": name} for name in texts(jobs, "image_pull_secrets")],
        "volumes": [volume for volume, _ in volumes],
        "initContainers": [_container(jobs, "init-permissions", "init_permissions", None)],
        "containers": [
            build,
            helper,
            *services,
            *([_container(jobs, own, "service", None)] if own else []),
        ],
    }
    return spec


def _services(jobs: Tree) -> Mapping[str, Tree]:
    """Return services by container: its alias, or a number (getServiceDefinition)."""
    numbers = (f"svc-{number}" for number in itertools.count())
    return {
        str(service.get("alias") or next(numbers)): service for service in entries(jobs, "services")
    }


def _volumes(jobs: Tree) -> Iterator[tuple[Tree, Tree]]:
    """Yield each volume, and its mount, which every container of the pod has."""
    for kind, found in inside(jobs, "volumes").items():
        for item in entries({kind: found}, kind):
            name = str(item.get("name"))
            mount: Tree = {
                "name": name,
                "mountPath": item.get("mount_path"),
                "readOnly": item.get("read_only") is True,
                "mountPropagation": item.get("mount_propagation"),
                "subPath": item.get("sub_path"),
            }
            yield {"name": name, **_source(kind, item)}, mount


def _source(kind: str, item: Tree) -> Tree:
    folder: Tree = {"medium": item.get("medium"), "sizeLimit": item.get("size_limit")}
    known: dict[str, Tree] = {
        "config_map": {"configMap": {"name": item.get("name"), "items": item.get("items")}},
        "empty_dir": {"emptyDir": folder},
        "host_path": {"hostPath": {"path": item.get("host_path") or item.get("mount_path")}},
        "pvc": {"persistentVolumeClaim": {"claimName": item.get("name")}},
        "secret": {"secret": {"secretName": item.get("name"), "items": item.get("items")}},
    }
    rest = {key: value for key, value in item.items() if key not in {"name", "mount_path"}}
    return known.get(kind, {kind: rest})


def _environment(service: Tree) -> list[Tree]:
    pairs = (entry.partition("=") for entry in texts(service, "environment"))
    return [{"name": name, "value": value} for name, _, value in pairs]


def _container(jobs: Tree, name: str, kind: str, image: JSON) -> dict[str, JSON]:
    prefix = _PREFIXES.get(name, "service_")
    container: dict[str, JSON] = {
        "name": name,
        "securityContext": _container_context(jobs, kind),
        "volumeMounts": [mount for _, mount in _volumes(jobs)],
        "resources": _bounds(jobs, prefix),
    }
    return {**container, "image": image} if image else container


def _bounds(jobs: Tree, prefix: str) -> Tree:
    return {f"{bound}s": _amounts(jobs, prefix, bound) for bound in ("limit", "request")}


def _amounts(jobs: Tree, prefix: str, bound: str) -> Tree:
    resources = ("cpu", "ephemeral-storage", "memory")
    return {key: jobs.get(f"{prefix}{key.replace('-', '_')}_{bound}") for key in resources}


def _container_context(jobs: Tree, kind: str) -> Tree:
    """Return the general context below the container's own, whose lists replace the general ones.

    (gitlab-runner:common/config.go, getCapabilities, mergeCapabilitiesAddDrop)
    """
    own = inside(jobs, f"{kind}_container_security_context")
    general: Tree = {
        "privileged": jobs.get("privileged"),
        "allowPrivilegeEscalation": jobs.get("allow_privilege_escalation"),
    }
    lists = inside(own, "capabilities")
    capabilities: Tree = {
        "add": texts(lists, "add") if "add" in lists else texts(jobs, "cap_add"),
        "drop": texts(lists, "drop") if "drop" in lists else texts(jobs, "cap_drop"),
    }
    chosen = {**general, **_context(own), "capabilities": capabilities}
    return {key: value for key, value in chosen.items() if value is not None}


def _context(table: Tree) -> dict[str, JSON]:
    """Return a security context of config.toml in the notation of Kubernetes."""
    context: dict[str, JSON] = {
        _CONTEXT.get(key, key): value for key, value in table.items() if key != "selinux_type"
    }
    for key in ("seccompProfile", "appArmorProfile"):
        if profile := inside(context, key):
            local, kind = profile.get("localhost_profile"), profile.get("type")
            # The runner drops any other (common/config.go, toAPI).
            kept = kind in {"RuntimeDefault", "Unconfined"} or (kind == "Localhost" and local)
            context[key] = {"type": kind, "localhostProfile": local} if kept else {}
    if "selinux_type" in table:
        context["seLinuxOptions"] = {"type": table["selinux_type"]}
    if isinstance(mount := context.get("procMount"), str):
        context["procMount"] = mount.capitalize()
    return context
