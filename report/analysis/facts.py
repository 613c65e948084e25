"""The risky things of each object and of each runner's jobs, on one side of a change.

They are read from Kubernetes objects, those that a chart renders included, and from config.toml,
whatever the strategy. What they weigh is decided in ``security``.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from components.image_reference import ImageReference
from report.analysis.runner_config import parsed
from report.inputs.charts import Objects
from report.inputs.events import (
    DAEMON,
    RELEASE,
    RUNNER,
    Plan,
    Step,
)
from report.values import entries, inside, texts

ENFORCE = "pod-security.kubernetes.io/enforce"
_LEVELS = {"restricted": set[str](), "baseline": {"baseline"}}
_READ = {"get", "list", "watch", "*"}


class Subject(NamedTuple):
    """What a fact is about, and in which namespace it is."""

    kind: str
    name: str
    namespace: str


class Origin(NamedTuple):
    """What a fact follows from: a key of the stack file, and a runner if it is of one."""

    key: tuple[str, ...]
    runner: str | None


class Facts:
    """One side of a change, ``old`` or ``new``: the risky things of each subject."""

    def __init__(self) -> None:
        """Start with none."""
        self.things: dict[Subject, frozenset[str]] = {}
        self.origins: dict[Subject, Origin] = {}
        self.namespaces: set[str] = set()

    def add(self, subject: Subject, things: Iterable[str], origin: Origin) -> None:
        """Add the things of one subject."""
        self.things[subject] = self.things.get(subject, frozenset()) | frozenset(things)
        self.origins[subject] = origin


_Fact = tuple[tuple[str, str], Iterable[str]]
"""A kind and a name, and the things that are there."""
_Objects = list[tuple[Mapping[str, Any], Origin]]


def collect(plan: Plan, side: str, rendered: Mapping[str, Objects]) -> Facts:
    """Collect the facts of one side, ``old`` or ``new``."""
    collected = Facts()
    objects: _Objects = []
    for step in plan.steps:
        inputs = getattr(step, side)
        if inputs is None:
            continue
        objects.append((inputs, origin_of(plan, step)))
        if step.type == RELEASE:
            _add_jobs(collected, step.name, parsed(inside(inputs, "values")))
            chart = Origin(("chart", "version"), None)
            objects += [(item, chart) for item in rendered.get(step.urn, {}).values()]
    for item, origin in objects:
        for (kind, name), things in of_object(item):
            collected.add(Subject(kind, name, _namespace(item)), things, origin)
        if item.get("kind") == "Namespace":
            collected.namespaces.add(str(inside(item, "metadata").get("name")))
    _add_readers(collected, objects)
    return collected


def origin_of(plan: Plan, step: Step) -> Origin:
    """Say which key of the stack file a resource follows from."""
    runner = plan.ancestor(step, RUNNER)
    if runner:
        return Origin(("runners", runner, "strategy"), runner)
    if plan.ancestor(step, DAEMON):
        return Origin(("runners",), None)
    target = re.fullmatch(r"target-(.+?)(-pull)?", step.name)
    return Origin(("targetNamespaces", target[1]) if target else ("namespace",), None)


def _namespace(item: Mapping[str, Any]) -> str:
    return str(inside(item, "metadata").get("namespace") or "")


def _name(item: Mapping[str, Any]) -> str:
    namespace = _namespace(item)
    name = inside(item, "metadata").get("name")
    return f"{item.get('kind')} {f'{namespace}/' if namespace else ''}{name}"


def of_object(item: Mapping[str, Any]) -> Iterator[_Fact]:
    """Yield what one Kubernetes object risks."""
    name = _name(item)
    match item.get("kind"):
        case "Namespace":
            level = str(inside(item, "metadata", "labels").get(ENFORCE))
            yield ("podSecurity", name), _LEVELS.get(level, {"baseline", "privileged"})
        case "ServiceAccount":
            mounted = item.get("automountServiceAccountToken") is not False
            yield ("accountToken", name), {"token"} if mounted else ()
        case "Role" | "ClusterRole":
            yield ("right", name), _rights(item)
        case "NetworkPolicy":
            yield ("reach", name), _reach(inside(item, "spec"))
        case "Pod":
            yield from _pod(name, inside(item, "spec"))
        case "CronJob":
            yield from _pod(name, inside(item, "spec", "jobTemplate", "spec", "template", "spec"))
        case _:
            if spec := inside(item, "spec", "template", "spec"):
                yield from _pod(name, spec)


def _pod(name: str, spec: Mapping[str, Any]) -> Iterator[_Fact]:
    """Yield the facts of a pod's spec."""
    shared = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key) is True]
    yield ("hostNamespace", name), shared
    yield ("userNamespace", name), () if spec.get("hostUsers") is False else {"node"}
    volumes = entries(spec, "volumes")
    paths = [inside(volume, "hostPath").get("path") for volume in volumes]
    yield ("hostPath", name), [str(path) for path in paths if path]
    yield ("mountedSecret", name), _mounted(volumes)
    for container in (*entries(spec, "initContainers"), *entries(spec, "containers")):
        context = {**inside(spec, "securityContext"), **inside(container, "securityContext")}
        told = f"container {container.get('name')} of {name}"
        yield from of_container(told, context)
        yield from _image(told, container.get("image"))


def _mounted(volumes: Iterable[Mapping[str, Any]]) -> set[str]:
    names: set[object] = set()
    for volume in volumes:
        names.add(inside(volume, "secret").get("secretName"))
        sources = entries(inside(volume, "projected"), "sources")
        names |= {inside(source, "secret").get("name") for source in sources}
    return {str(name) for name in names if name}


def of_container(name: str, context: Mapping[str, Any]) -> Iterator[_Fact]:
    """Yield the facts of a security context."""
    yield ("privileged", name), {"yes"} if context.get("privileged") is True else ()
    profiles = (("seccomp", "seccompProfile"), ("AppArmor", "appArmorProfile"))
    types = {told: inside(context, key).get("type") for told, key in profiles}
    yield ("unconfined", name), {f"{k} Unconfined" for k, v in types.items() if v == "Unconfined"}
    filtered = types["seccomp"] in {"RuntimeDefault", "Localhost"}
    yield ("noProfile", name), () if filtered else {"none"}
    capabilities = inside(context, "capabilities")
    yield ("capability", name), texts(capabilities, "add")
    kept = "ALL" not in texts(capabilities, "drop")
    yield ("defaultCapabilities", name), {"kept"} if kept else ()
    user = context.get("runAsUser")
    not_root = bool(user) or (user is None and context.get("runAsNonRoot") is True)
    yield ("root", name), () if not_root else {"0"}
    allowed = context.get("allowPrivilegeEscalation") is not False
    yield ("escalation", name), {"allowed"} if allowed else ()


def _image(name: str, image: object) -> Iterator[_Fact]:
    if not isinstance(image, str) or not image:
        return
    try:
        reference = ImageReference.parse(image)
    except ValueError:
        # A name with a variable, for example, which only a job resolves.
        source, digest, tag = image, "", ""
    else:
        source, digest, tag = reference.name, reference.digest, reference.tag
    yield ("imageSource", name), {source}
    yield ("undigested", name), () if digest else {source}
    yield ("unpinned", name), {image} if not digest and tag in {"", "latest"} else ()


def _rights(role: Mapping[str, Any]) -> Iterator[str]:
    for rule in entries(role, "rules"):
        for group in texts(rule, "apiGroups") or [""]:
            for resource in texts(rule, "resources") or texts(rule, "nonResourceURLs"):
                for verb in texts(rule, "verbs"):
                    yield f"{verb} {resource}{f'.{group}' if group else ''}"


def _reach(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield each peer that a policy lets through."""
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in entries(spec, direction):
            ports = ", ".join(str(port.get("port", "all")) for port in entries(rule, "ports"))
            suffix = f" on port {ports}" if ports else ""
            for peer in entries(rule, side) or [{}]:
                yield from (f"{direction} {side} {told}{suffix}" for told in _peers(peer))


def _peers(peer: Mapping[str, Any]) -> Iterator[str]:
    """Yield whom a peer stands for, a namespace at a time where it names them."""
    selected = entries(inside(peer, "namespaceSelector"), "matchExpressions")
    kinds = [(item.get("key"), item.get("operator")) for item in selected]
    if len(peer) == 1 and kinds == [("kubernetes.io/metadata.name", "In")]:
        yield from (f"namespace {value}" for value in texts(selected[0], "values"))
    else:
        yield json.dumps(peer, sort_keys=True) if peer else "everywhere"


def _add_readers(collected: Facts, objects: _Objects) -> None:
    """Add who can read the Secrets of which namespace, by roles and their bindings."""
    reading = {
        (item.get("kind"), _namespace(item), inside(item, "metadata").get("name"))
        for item, _ in objects
        if any(map(_reads_secrets, entries(item, "rules")))
    }
    for item, origin in objects:
        if item.get("kind") not in {"RoleBinding", "ClusterRoleBinding"}:
            continue
        namespace = _namespace(item)
        role = inside(item, "roleRef")
        where = namespace if role.get("kind") == "Role" else ""
        known = (role.get("kind"), where, role.get("name")) in reading
        # Roles that every cluster has and that read Secrets
        # (kubernetes: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go).
        if known or role.get("name") in {"admin", "edit", "cluster-admin"}:
            told = f"namespace {namespace}" if namespace else "all namespaces"
            accounts = map(_account, entries(item, "subjects"))
            collected.add(Subject("secretReader", told, namespace), accounts, origin)


def _account(who: Mapping[str, Any]) -> str:
    namespace = who.get("namespace")
    return f"{who.get('kind')} {f'{namespace}/' if namespace else ''}{who.get('name')}"


def _reads_secrets(rule: Mapping[str, Any]) -> bool:
    return bool(
        {"", "*"} & set(texts(rule, "apiGroups"))
        and {"secrets", "*"} & set(texts(rule, "resources"))
        and _READ & set(texts(rule, "verbs")),
    )


def _add_jobs(collected: Facts, runner: str, entry: Mapping[str, Any]) -> None:
    """Add what config.toml says of a runner's jobs, brought into Kubernetes' notation."""
    jobs = inside(entry, "kubernetes")
    if not jobs:
        return
    origin = Origin(("runners", runner, "strategy"), runner)
    for (kind, name), things in of_jobs(runner, jobs):
        key = (*origin.key, "image") if kind in {"imageSource", "unpinned"} else origin.key
        subject = Subject(kind, name, str(jobs.get("namespace")))
        collected.add(subject, things, Origin(key, runner))


def of_jobs(runner: str, jobs: Mapping[str, Any]) -> Iterator[_Fact]:
    """Yield what the ``[runners.kubernetes]`` of config.toml risks, as Kubernetes would say it."""
    patch: dict[str, Any] = {}
    for change in entries(jobs, "pod_spec"):
        with contextlib.suppress(ValueError):
            patch |= inside(json.loads(str(change.get("patch"))))
    volumes = inside(jobs, "volumes")
    paths = [item.get("host_path") for item in entries(volumes, "host_path")]
    secrets = [item.get("name") for item in entries(volumes, "secret")]
    spec = {
        "hostUsers": patch.get("hostUsers"),
        "volumes": [
            *({"hostPath": {"path": path}} for path in paths),
            *({"secret": {"secretName": secret}} for secret in secrets),
        ],
    }
    pod = f"the job pod of runner {runner}"
    yield from _pod(pod, spec)
    token = jobs.get("automount_service_account_token") is not False
    yield ("accountToken", pod), {"token"} if token else ()
    name = f"the build container of runner {runner}"
    patched = {item.get("name"): item for item in entries(patch, "containers")}
    build = inside(patched.get("build"), "securityContext")
    yield from of_container(name, {**of_context(jobs, "build"), **build})
    yield from _image(name, jobs.get("image"))
    for service in entries(jobs, "services"):
        name = f"the service {service.get('alias') or service.get('name')} of runner {runner}"
        yield from of_container(name, of_context(jobs, "service"))
        yield from _image(name, service.get("name"))


def of_context(jobs: Mapping[str, Any], container: str) -> dict[str, Any]:
    """Return a kind of container's security context, in Kubernetes' notation."""
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
