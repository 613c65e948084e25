"""The risks of one Kubernetes object, and of a runner's jobs in the notation of Kubernetes.

Only objects and the ``[runners.kubernetes]`` of config.toml count, never the name of a strategy.
What a risk weighs is in ``risk_kinds``.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator

from components.image_reference import ImageReference
from report.analysis.risk_kinds import RiskName
from report.tree import JSON, Tree, entries, identity, inside, texts

ENFORCE = "pod-security.kubernetes.io/enforce"
_LEVELS = {"restricted": set[str](), "baseline": {"baseline"}}
_DIRECTIONS = (("ingress", "from"), ("egress", "to"))

RisksOf = tuple[tuple[RiskName, str], Iterable[str]]
"""A kind of risk, the name of its subject, and the risks of that kind."""


def namespace_of(item: Tree) -> str:
    """Return the namespace of an object, empty for one that has none."""
    return str(inside(item, "metadata").get("namespace") or "")


def object_risks(item: Tree) -> Iterator[RisksOf]:
    """Yield the risks of one Kubernetes object."""
    name, kind = identity(item), item.get("kind")
    if kind == "Namespace":
        level = str(inside(item, "metadata", "labels").get(ENFORCE))
        yield ("podSecurity", name), _LEVELS.get(level, {"baseline", "privileged"})
    elif kind == "ServiceAccount":
        mounted = item.get("automountServiceAccountToken") is not False
        yield ("accountToken", name), {"token"} if mounted else ()
    elif kind in {"Role", "ClusterRole"}:
        yield ("permission", name), _permissions(item)
    elif kind == "NetworkPolicy":
        yield ("reach", name), _reach(inside(item, "spec"))
    elif (spec := _pod_spec(item)) is not None:
        yield from _pod_risks(name, spec)


def _pod_spec(item: Tree) -> Tree | None:
    """Return the spec of the pods of an object, None for one that makes none."""
    if item.get("kind") == "Pod":
        return inside(item, "spec")
    if item.get("kind") == "CronJob":
        return inside(item, "spec", "jobTemplate", "spec", "template", "spec")
    return inside(item, "spec", "template", "spec") or None


def _pod_risks(name: str, spec: Tree) -> Iterator[RisksOf]:
    shared = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key) is True]
    yield ("hostNamespace", name), shared
    yield ("userNamespace", name), () if spec.get("hostUsers") is False else {"node"}
    volumes = entries(spec, "volumes")
    paths = [inside(volume, "hostPath").get("path") for volume in volumes]
    yield ("hostPath", name), [str(path) for path in paths if path]
    yield ("mountedSecret", name), _mounted_secrets(volumes)
    for container in (*entries(spec, "initContainers"), *entries(spec, "containers")):
        context = {**inside(spec, "securityContext"), **inside(container, "securityContext")}
        label = f"container {container.get('name')} of {name}"
        yield from container_risks(label, context)
        yield from _image_risks(label, container.get("image"))


def _mounted_secrets(volumes: Iterable[Tree]) -> set[str]:
    names: list[JSON] = []
    for volume in volumes:
        names.append(inside(volume, "secret").get("secretName"))
        sources = entries(inside(volume, "projected"), "sources")
        names += [inside(source, "secret").get("name") for source in sources]
    return {str(name) for name in names if name}


def container_risks(name: str, context: Tree) -> Iterator[RisksOf]:
    """Yield the risks of a security context."""
    yield ("privileged", name), {"yes"} if context.get("privileged") is True else ()
    seccomp = inside(context, "seccompProfile").get("type")
    app_armor = inside(context, "appArmorProfile").get("type")
    profiles = {"seccomp": seccomp, "AppArmor": app_armor}
    yield (
        ("unconfined", name),
        {f"{profile} Unconfined" for profile, kind in profiles.items() if kind == "Unconfined"},
    )
    yield ("noProfile", name), () if seccomp in {"RuntimeDefault", "Localhost"} else {"none"}
    capabilities = inside(context, "capabilities")
    yield ("capability", name), texts(capabilities, "add")
    kept = "ALL" not in texts(capabilities, "drop")
    yield ("defaultCapabilities", name), {"kept"} if kept else ()
    user = context.get("runAsUser")
    not_root = bool(user) or (user is None and context.get("runAsNonRoot") is True)
    yield ("root", name), () if not_root else {"0"}
    allowed = context.get("allowPrivilegeEscalation") is not False
    yield ("escalation", name), {"allowed"} if allowed else ()


def _image_risks(name: str, image: JSON) -> Iterator[RisksOf]:
    if not isinstance(image, str) or not image:
        return
    try:
        reference = ImageReference.parse(image)
    except ValueError:
        # For example a name with a variable, which only a job resolves.
        source, digest, tag = image, "", ""
    else:
        source, digest, tag = reference.name, reference.digest, reference.tag
    yield ("imageSource", name), {source}
    yield ("undigested", name), () if digest else {source}
    yield ("unpinned", name), {image} if not digest and tag in {"", "latest"} else ()


def _permissions(role: Tree) -> Iterator[str]:
    for rule in entries(role, "rules"):
        for group in texts(rule, "apiGroups") or [""]:
            for resource in texts(rule, "resources") or texts(rule, "nonResourceURLs"):
                for verb in texts(rule, "verbs"):
                    yield f"{verb} {resource}{f'.{group}' if group else ''}"


def _reach(spec: Tree) -> Iterator[str]:
    """Yield each peer that a policy lets through."""
    for direction, side in _DIRECTIONS:
        for rule in entries(spec, direction):
            ports = ", ".join(str(port.get("port", "all")) for port in entries(rule, "ports"))
            suffix = f" on port {ports}" if ports else ""
            for peer in entries(rule, side) or [{}]:
                yield from (f"{direction} {side} {label}{suffix}" for label in _peers(peer))


def _peers(peer: Tree) -> Iterator[str]:
    """Yield the names of a peer, one for each namespace if it lists namespaces."""
    selected = entries(inside(peer, "namespaceSelector"), "matchExpressions")
    kinds = [(item.get("key"), item.get("operator")) for item in selected]
    if len(peer) == 1 and kinds == [("kubernetes.io/metadata.name", "In")]:
        yield from (f"namespace {value}" for value in texts(selected[0], "values"))
    else:
        yield json.dumps(peer, sort_keys=True) if peer else "everywhere"


def job_risks(runner: str, jobs: Tree) -> Iterator[RisksOf]:
    """Yield the risks of a runner's jobs, from the ``[runners.kubernetes]`` of config.toml."""
    patch: dict[str, JSON] = {}
    for change in entries(jobs, "pod_spec"):
        with contextlib.suppress(ValueError):
            patch |= inside(json.loads(str(change.get("patch"))))
    volumes = inside(jobs, "volumes")
    paths = [item.get("host_path") for item in entries(volumes, "host_path")]
    secrets = [item.get("name") for item in entries(volumes, "secret")]
    spec: Tree = {
        "hostUsers": patch.get("hostUsers"),
        "volumes": [
            *({"hostPath": {"path": path}} for path in paths),
            *({"secret": {"secretName": secret}} for secret in secrets),
        ],
    }
    pod = f"the job pod of runner {runner}"
    yield from _pod_risks(pod, spec)
    token = jobs.get("automount_service_account_token") is not False
    yield ("accountToken", pod), {"token"} if token else ()
    name = f"the build container of runner {runner}"
    patched = {item.get("name"): item for item in entries(patch, "containers")}
    build = inside(patched.get("build"), "securityContext")
    yield from container_risks(name, {**security_context(jobs, "build"), **build})
    yield from _image_risks(name, jobs.get("image"))
    for service in entries(jobs, "services"):
        name = f"the service {service.get('alias') or service.get('name')} of runner {runner}"
        yield from container_risks(name, security_context(jobs, "service"))
        yield from _image_risks(name, service.get("name"))


def security_context(jobs: Tree, container: str) -> Tree:
    """Return the security context of a kind of container, in the notation of Kubernetes."""
    pod = inside(jobs, "pod_security_context")
    own = {**jobs, **pod, **inside(jobs, f"{container}_container_security_context")}
    capabilities = inside(own, "capabilities")
    return {
        "privileged": own.get("privileged"),
        "allowPrivilegeEscalation": own.get("allow_privilege_escalation"),
        "runAsUser": own.get("run_as_user"),
        "runAsNonRoot": own.get("run_as_non_root"),
        "seccompProfile": own.get("seccomp_profile"),
        "capabilities": {
            "add": [*texts(capabilities, "add"), *texts(jobs, "cap_add")],
            "drop": [*texts(capabilities, "drop"), *texts(jobs, "cap_drop")],
        },
    }
