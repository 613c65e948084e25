"""The risks of one container of a pod, in the notation of Kubernetes."""

import hashlib
import json
from collections.abc import Iterable, Iterator

from components.image_reference import ImageReference
from report.analysis.risk_kind import RiskName
from report.tree import JSON, Tree, entries, inside, texts

RisksOf = tuple[tuple[RiskName, str], Iterable[str]]
"""A kind of risk, the name of its subject, and the risks of that kind."""

# The SELinux types that Pod Security's baseline level admits
# (kubernetes: staging/src/k8s.io/pod-security-admission/policy/check_seLinuxOptions.go).
_SELINUX = {"container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS = ("postStart", "preStop")
_LIMITS: dict[str, tuple[RiskName, str]] = {
    "cpu": ("cpu", "CPU"),
    "ephemeral-storage": ("disk", "disk"),
    "memory": ("memory", "memory"),
}
"""The kind of risk, and the name, of each resource."""


def digest(value: JSON) -> str:
    """Return eight digits that differ between values, for what is too long for a report."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def risks_of_container(name: str, container: Tree, pod_context: Tree) -> Iterator[RisksOf]:
    """Yield the risks of a container; ``pod_context`` is the security context of its pod."""
    yield from container_risks(name, {**pod_context, **inside(container, "securityContext")})
    yield from _image_risks(name, container.get("image"))
    limits = inside(container, "resources", "limits")
    yield from limit_risks(name, limits)
    yield ("device", name), {key for key in limits if "/" in key}
    cached = container.get("imagePullPolicy") != "Always"
    yield ("cachedImages", name), {"cached"} if cached else ()
    ports = [port.get("hostPort") for port in entries(container, "ports")]
    yield ("hostPort", name), {str(port) for port in ports if port}
    started = [container.get(key) for key in ("command", "args", "lifecycle", "workingDir")]
    started += [inside(container, probe).get("exec") for probe in _PROBES]
    yield ("command", name), {digest(started)} if any(started) else ()
    yield ("probe", name), set(_asked(container))


def limit_risks(name: str, limits: Tree) -> Iterator[RisksOf]:
    """Yield what has no limit, and how much the others allow."""
    yield ("unlimited", name), {what for key, (_, what) in _LIMITS.items() if not limits.get(key)}
    yield from amount_risks(name, limits)


def amount_risks(name: str, amounts: Tree) -> Iterator[RisksOf]:
    """Yield how much of each resource may be used."""
    for key, (kind, _) in _LIMITS.items():
        yield (kind, name), {str(amounts[key])} if amounts.get(key) else ()


def _asked(container: Tree) -> Iterator[str]:
    """Yield the hosts that the kubelet asks in place of the pod."""
    handlers = [inside(container, probe) for probe in _PROBES]
    handlers += [inside(container, "lifecycle", hook) for hook in _HOOKS]
    for handler in handlers:
        hosts = (inside(handler, way).get("host") for way in ("httpGet", "tcpSocket"))
        yield from (str(host) for host in hosts if host)


def container_risks(name: str, context: Tree) -> Iterator[RisksOf]:
    """Yield the risks of a security context."""
    on_windows = inside(context, "windowsOptions").get("hostProcess") is True
    privileged = context.get("privileged") is True or on_windows
    yield ("privileged", name), {"yes"} if privileged else ()
    seccomp = inside(context, "seccompProfile")
    app_armor = inside(context, "appArmorProfile")
    profiles = {"seccomp": seccomp, "AppArmor": app_armor}
    yield ("unconfined", name), set(_unconfined(context, profiles))
    yield (
        ("nodeProfile", name),
        {
            f"{kind} profile {profile.get('localhostProfile')}"
            for kind, profile in profiles.items()
            if profile.get("type") == "Localhost"
        },
    )
    filtered = seccomp.get("type") in {"RuntimeDefault", "Localhost"}
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
    writable = context.get("readOnlyRootFilesystem") is not True
    yield ("writableRoot", name), {"writable"} if writable else ()


def _unconfined(context: Tree, profiles: dict[str, Tree]) -> Iterator[str]:
    for name, profile in profiles.items():
        if profile.get("type") == "Unconfined":
            yield f"{name} Unconfined"
    proc_mount = context.get("procMount")
    if proc_mount not in {None, "Default"}:
        yield f"procMount {proc_mount}"
    for key, value in inside(context, "seLinuxOptions").items():
        if value and (key in {"user", "role"} or (key == "type" and value not in _SELINUX)):
            yield f"SELinux {key} {value}"


def _image_risks(name: str, image: JSON) -> Iterator[RisksOf]:
    """Yield the risks of an image; a container without one has none yet."""
    source, tagged, unpinned, version = set[str](), set[str](), set[str](), ""
    if isinstance(image, str) and image:
        try:
            reference = ImageReference.parse(image)
        except ValueError:
            # For example a name with a variable, which only a job resolves.
            where, pinned, tag = image, "", ""
        else:
            where, pinned, tag = reference.name, reference.digest, reference.tag
        source, version = {where}, tag
        tagged = set[str]() if pinned else source
        unpinned = {image} if not pinned and tag in {"", "latest"} else set[str]()
    yield ("imageSource", name), source
    yield ("olderImage", name), {version} if version else ()
    yield ("undigested", name), tagged
    yield ("unpinned", name), unpinned
