"""The risks of one container of a pod, in the notation of Kubernetes."""

import hashlib
import json
import re
from collections.abc import Iterator

from components.image_reference import ImageReference
from report.analysis.pods.amounts import PROBES, bound_risks, probe_risks, size_risks
from report.analysis.risk_kind import RisksOf
from report.tree import JSON, Tree, entries, inside, texts

# The SELinux types that Pod Security's baseline level admits
# (kubernetes: staging/src/k8s.io/pod-security-admission/policy/check_seLinuxOptions.go).
_SELINUX = {"container_t", "container_init_t", "container_kvm_t", "container_engine_t"}

_HOOKS = ("postStart", "preStop")
_PLAIN = ("restartPolicy", "terminationMessagePath", "terminationMessagePolicy", "stdin", "tty")
"""Fields that give a container nothing, but decide what becomes of it and what it shows."""


def digest(value: JSON) -> str:
    """Return eight digits that differ between values, for what is too long for a report."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def risks_of_container(name: str, container: Tree, pod_context: Tree) -> Iterator[RisksOf]:
    """Yield the risks of a container; ``pod_context`` is the security context of its pod."""
    yield from container_risks(name, {**pod_context, **inside(container, "securityContext")})
    yield from _image_risks(name, container.get("image"))
    yield from bound_risks(name, inside(container, "resources"))
    limits = inside(container, "resources", "limits")
    devices = [key for key in limits if "/" in key]
    yield ("device", name), devices
    for device in devices:
        yield from size_risks(f"the number of {device} of {name}", limits[device])
    cached = container.get("imagePullPolicy") != "Always"
    yield ("cachedImages", name), {"cached"} if cached else ()
    ports = [port.get("hostPort") for port in entries(container, "ports")]
    yield ("hostPort", name), {str(port) for port in ports if port}
    started = [container.get(key) for key in ("command", "args", "lifecycle", "workingDir")]
    started += [inside(container, probe).get("exec") for probe in PROBES]
    # Without any of them too, since a hook that goes changes how a container ends.
    yield ("command", name), {digest(started)}
    yield ("probe", name), set(_asked(container))
    yield from probe_risks(name, container)
    plain = {key: container.get(key) for key in _PLAIN}
    yield ("settings", name), {f"digest {digest(plain)}"}


def _asked(container: Tree) -> Iterator[str]:
    """Yield the hosts that the kubelet asks in place of the pod."""
    handlers = [inside(container, probe) for probe in PROBES]
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
        if pinned:
            # The contents of a version stay the same.
            called = f"the image {where}{f':{tag}' if tag else ''} of {name}"
            yield ("imageContents", called), {pinned.rpartition(":")[2][:12]}
        # What is left of a tag without its version, such as -rootless or -debug.
        variant = re.sub(r"[0-9]+(\.[0-9]+)*", "N", tag)
        if variant and tag != "latest":
            yield ("imageVariant", f"the image {where} of {name}"), {variant}
    yield ("imageSource", name), source
    yield ("olderImage", name), {version} if version else ()
    yield ("undigested", name), tagged
    yield ("unpinned", name), unpinned
