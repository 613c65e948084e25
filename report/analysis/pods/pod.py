"""The risks of a pod: what it shares with its node, what it mounts, and who it is."""

import json
from collections.abc import Callable, Iterator

from report.analysis.pods.amounts import folder_risks, lifetime_risks
from report.analysis.pods.containers import digest, risks_of_container
from report.analysis.pods.fields import unknown_in_container, unknown_in_pod
from report.analysis.pods.nodes import node_risks
from report.analysis.pods.variables import names_of, risky
from report.analysis.risk_kind import RisksOf
from report.tree import JSON, Tree, entries, inside, texts

_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
# What lets an account, or a pod, act in a cloud, by the clouds' own annotations.
_CLOUD_IDENTITIES = {
    "azure.workload.identity/client-id",
    "eks.amazonaws.com/role-arn",
    "iam.amazonaws.com/role",
    "iam.gke.io/gcp-service-account",
}
# Volumes that hold nothing of others, and those of which another kind of risk speaks.
_OWN_VOLUMES = {
    "configMap",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "hostPath",
    "image",
    "name",
    "projected",
    "secret",
}
_OWN_SOURCES = {"configMap", "downwardAPI", "secret", "serviceAccountToken"}
"""The same for the sources of a projected volume."""
_PLAIN = ("hostname", "readinessGates", "restartPolicy", "subdomain")
"""Fields that give a pod nothing, but decide what becomes of it."""
_FILES = ("configMap", "downwardAPI", "hostPath", "projected", "secret")
_CHOOSING = ("defaultMode", "items", "optional", "sources", "type")
"""What of these volumes says which files a pod has."""
_TEMPLATE = ("volumeClaimTemplate", "spec")
_TAKEN = ("dataSource", "dataSourceRef", "selector", "volumeName")
"""What of a claim chooses a volume, or contents, that exist."""


def pod_risks(
    name: str, metadata: Tree, spec: Tree, label: Callable[[str], str] | None = None
) -> Iterator[RisksOf]:
    """Yield the risks of a pod and its containers; ``label`` names a container in a report."""
    yield from _node_risks(name, spec)
    yield from node_risks(name, spec)
    yield from _volume_risks(name, spec)
    yield from _identity_risks(name, metadata, spec)
    yield from lifetime_risks(name, spec)
    resolver = inside(spec, "dnsConfig").get("options")
    plain = [resolver or None, *(spec.get(key) or None for key in _PLAIN)]
    yield ("settings", name), {f"digest {digest(plain)}"}
    yield ("lost", name), {f"its spread over {key}" for key in _spread(spec)}
    yield ("unknown", name), set(unknown_in_pod(spec))
    names = [str(container.get("name")) for container in containers(spec)]
    pod_context = inside(spec, "securityContext")
    yield ("sidecar", name), {label(own) if label else own for own in names}
    for own, container in zip(names, containers(spec), strict=True):
        called = label(own) if label else f"container {own} of {name}"
        yield from risks_of_container(called, container, pod_context)
        yield ("unknown", called), set(unknown_in_container(container, pod_context))
        yield from _environment_risks(called, container)
        profile = inside(metadata, "annotations").get(f"{_APP_ARMOR}{own}")
        if profile == "unconfined":
            yield ("unconfined", called), {"AppArmor Unconfined"}


def _environment_risks(name: str, container: Tree) -> Iterator[RisksOf]:
    given = [
        f"{entry.get('name')}={entry['value']}"
        for entry in entries(container, "env")
        # The address of GitLab is one of the stack (``trust.addresses``).
        if "value" in entry and entry.get("name") != "CI_SERVER_URL"
    ]
    yield ("environment", name), risky(given)
    whole: JSON = [container.get("env"), container.get("envFrom")]
    yield ("contents", name), {f"environment, digest {digest(whole)}"}
    yield ("lost", name), {f"the variable {variable}" for variable in names_of(given)}


def containers(spec: Tree) -> list[Tree]:
    """Return all containers of a pod, of each kind."""
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [container for kind in kinds for container in entries(spec, kind)]


def _node_risks(name: str, spec: Tree) -> Iterator[RisksOf]:
    shared = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key) is True]
    yield ("hostNamespace", name), shared
    yield ("userNamespace", name), () if spec.get("hostUsers") is False else {"node"}
    yield ("sharedProcesses", name), {"all"} if spec.get("shareProcessNamespace") is True else ()
    sysctls = entries(inside(spec, "securityContext"), "sysctls")
    yield (
        ("unconfined", name),
        {f"sysctl {item.get('name')}={item.get('value')}" for item in sysctls},
    )
    runtime = spec.get("runtimeClassName")
    yield ("runtime", name), {str(runtime)} if runtime else {"none"}
    priority = spec.get("priorityClassName")
    yield ("priority", name), {str(priority)} if priority else ()
    yield ("lost", name), {f"the priority {priority}"} if priority else ()
    node = spec.get("nodeName")
    yield ("placement", name), {f"on node {node}, past the scheduler"} if node else ()
    yield ("names", name), set(_names(spec))


def _names(spec: Tree) -> Iterator[str]:
    for alias in entries(spec, "hostAliases"):
        yield from (f"{host} as {alias.get('ip')}" for host in texts(alias, "hostnames"))
    for server in texts(inside(spec, "dnsConfig"), "nameservers"):
        yield f"names by {server}"
    for domain in texts(inside(spec, "dnsConfig"), "searches"):
        yield f"short names in {domain}"
    if spec.get("dnsPolicy") == "Default":
        yield "names by the resolvers of the node"


def _volume_risks(name: str, spec: Tree) -> Iterator[RisksOf]:
    volumes = entries(spec, "volumes")
    paths = {
        str(volume.get("name")): str(path)
        for volume in volumes
        if (path := inside(volume, "hostPath").get("path"))
    }
    yield ("hostPath", name), paths.values()
    mounts = [
        mount for container in containers(spec) for mount in entries(container, "volumeMounts")
    ]
    writable = {str(mount.get("name")) for mount in mounts if mount.get("readOnly") is not True}
    yield ("writablePath", name), {path for volume, path in paths.items() if volume in writable}
    yield from _places(name, volumes, mounts)
    for volume in volumes:
        yield from folder_risks(f"volume {volume.get('name')} of {name}", volume)
    yield ("mountedSecret", name), _secrets(spec)
    sources = [
        source for volume in volumes for source in entries(inside(volume, "projected"), "sources")
    ]
    shown = [*volumes, *sources]
    files = {str(inside(item, "configMap").get("name")) for item in shown if "configMap" in item}
    yield ("contents", name), {f"files of ConfigMap {file}" for file in files}
    others = [(kind, volume[kind]) for volume in volumes for kind in volume.keys() - _OWN_VOLUMES]
    others += [(kind, item[kind]) for item in sources for kind in item.keys() - _OWN_SOURCES]
    yield ("volume", name), {f"{kind} {_described(source)}" for kind, source in others}
    claims = [
        (inside(volume, "ephemeral", *_TEMPLATE), volume)
        for volume in volumes
        if "ephemeral" in volume
    ]
    yield ("volume", name), {text for spec, _ in claims for text in taken(spec)}
    for claim, volume in claims:
        kind = claim.get("storageClassName") or "by default"
        yield ("settings", f"the class of volume {volume.get('name')} of {name}"), {str(kind)}
    images = [inside(volume, "image").get("reference") for volume in volumes]
    yield ("imageSource", name), {str(image).partition("@")[0] for image in images if image}


def _spread(spec: Tree) -> Iterator[str]:
    """Yield the labels of nodes over which pods are spread."""
    apart = inside(spec, "affinity", "podAntiAffinity")
    terms = entries(apart, "requiredDuringSchedulingIgnoredDuringExecution")
    preferred = entries(apart, "preferredDuringSchedulingIgnoredDuringExecution")
    terms += [inside(item, "podAffinityTerm") for item in preferred]
    for term in (*entries(spec, "topologySpreadConstraints"), *terms):
        yield str(term.get("topologyKey"))


def taken(claim: Tree) -> Iterator[str]:
    """Yield what a claim, which is empty otherwise, has of a volume that exists."""
    found = {key: claim[key] for key in _TAKEN if claim.get(key)}
    if found:
        yield f"a claim of {_described(found)}"


def _places(name: str, volumes: list[Tree], mounts: list[Tree]) -> Iterator[RisksOf]:
    """Yield where volumes are that hold something already, and which of them a pod changes."""
    for volume in volumes:
        own = volume.get("name")
        found = [mount for mount in mounts if mount.get("name") == own]
        paths = {f"{mount.get('mountPath')}{_part(mount)}" for mount in found}
        if volume.keys() - _OWN_VOLUMES:
            changes = [mount for mount in found if mount.get("readOnly") is not True]
            paths |= {f"{mount.get('mountPath')}, for writing" for mount in changes}
        if volume.keys().isdisjoint({"emptyDir", "ephemeral"}):
            yield ("place", f"volume {own} of {name}"), paths
        sources = [inside(volume, kind) for kind in _FILES]
        chosen = [source.get(key) for source in sources for key in _CHOOSING]
        yield ("contents", f"volume {own} of {name}"), {f"files, digest {digest(chosen)}"}


def _part(mount: Tree) -> str:
    return f", from {mount['subPath']} in it" if mount.get("subPath") else ""


def _described(source: JSON) -> str:
    """Describe the source of a volume by what it says, in one line."""
    return json.dumps(source, sort_keys=True).translate(str.maketrans("", "", '{}"'))


def _secrets(spec: Tree) -> set[str]:
    """Return the Secrets that a pod's containers can read."""
    names: list[JSON] = []
    for volume in entries(spec, "volumes"):
        names.append(inside(volume, "secret").get("secretName"))
        sources = entries(inside(volume, "projected"), "sources")
        names += [inside(source, "secret").get("name") for source in sources]
        names.append(inside(volume, "csi", "nodePublishSecretRef").get("name"))
    for container in containers(spec):
        names += [
            inside(entry, "valueFrom", "secretKeyRef").get("name")
            for entry in entries(container, "env")
        ]
        names += [inside(entry, "secretRef").get("name") for entry in entries(container, "envFrom")]
    return {str(name) for name in names if name}


def _identity_risks(name: str, metadata: Tree, spec: Tree) -> Iterator[RisksOf]:
    """Yield who a pod is: its account, the tokens in it, and its logins to registries."""
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    yield ("account", name), {str(account)}
    mounted = spec.get("automountServiceAccountToken") is not False
    tokens = [
        inside(source, "serviceAccountToken")
        for volume in entries(spec, "volumes")
        for source in entries(inside(volume, "projected"), "sources")
    ]
    yield (
        ("accountToken", name),
        {
            *({"token"} if mounted else ()),
            *(f"token for {token.get('audience', 'the API')}" for token in tokens if token),
        },
    )
    logins = [entry.get("name") for entry in entries(spec, "imagePullSecrets")]
    yield ("pullSecret", name), {str(login) for login in logins if login}
    yield from cloud_risks(name, metadata)


def cloud_risks(name: str, metadata: Tree) -> Iterator[RisksOf]:
    """Yield as whom an account or a pod acts in a cloud."""
    annotations = inside(metadata, "annotations")
    found = {f"{annotations[key]} ({key})" for key in _CLOUD_IDENTITIES & annotations.keys()}
    yield ("cloudIdentity", name), found
