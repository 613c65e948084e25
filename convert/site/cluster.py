"""What a cluster says of itself: its nodes, its namespaces, and where Secrets are."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from components.settings.stack_file import table_of
from components.types import JSON
from convert.site.draft import Draft

_LEVEL = "pod-security.kubernetes.io/enforce"
_CLOUDS = ("aws", "azure", "civo", "digitalocean", "gce", "ibm", "linode", "oci", "ovh", "scaleway")
"""How the ids begin that the providers of clouds give nodes."""
_RUNTIMES = {"cri-o": "crio", "docker": "docker"}
_SYSTEM = ("kube-", "openshift-")


class Readable(Protocol):
    """A cluster whose objects are listed."""

    def list(self, api_version: str, kind: str, namespace: str | None, /) -> list[dict[str, Any]]:
        """Return the objects of a kind in a namespace, or with None in the whole cluster."""
        ...


def facts(cluster: Readable) -> dict[str, JSON]:
    """Return what a stack file says of a cluster, as far as its nodes show it.

    Raises:
        UnreadableError: the nodes cannot be listed.
    """
    nodes = cluster.list("v1", "Node", None)
    infos = [_table(_table(node, "status"), "nodeInfo") for node in nodes]
    found: dict[str, JSON] = {"kind": "managed" if any(map(_of_cloud, nodes)) else "onPrem"}
    platforms = {_platform(node, info) for node, info in zip(nodes, infos, strict=True)} - {""}
    if platforms:
        found["platform"] = min(platforms)
    about: dict[str, JSON] = {}
    if infos and all("ubuntu" in str(info.get("osImage")).lower() for info in infos):
        about["os"] = "ubuntu"
    runtimes = {str(info.get("containerRuntimeVersion")).partition(":")[0] for info in infos}
    if len(runtimes) == 1 and (runtime := _RUNTIMES.get(*runtimes)):
        about["runtime"] = runtime
    return {**found, "nodes": about} if about else found


def _of_cloud(node: Mapping[str, Any]) -> bool:
    return str(_table(node, "spec").get("providerID")).startswith(_CLOUDS)


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return value.get(key) or {}


def _platform(node: Mapping[str, Any], info: Mapping[str, Any]) -> str:
    """Return the platform that a node's labels or its kubelet name."""
    labels = _table(node["metadata"], "labels")
    if labels.get("eks.amazonaws.com/compute-type") == "auto":
        return "eksAuto"
    if labels.get("eks.amazonaws.com/compute-type") == "fargate":
        return "eksFargate"
    if str(node["metadata"]["name"]).startswith("gk3-"):
        return "gkeAutopilot"
    if "node.openshift.io/os_id" in labels:
        return "openShift"
    return "rke2" if "+rke2" in str(info.get("kubeletVersion")) else ""


def levels(cluster: Readable) -> Iterator[str]:
    """Yield a line for each namespace that enforces a Pod Security level.

    Raises:
        UnreadableError: the namespaces cannot be listed.
    """
    for namespace in cluster.list("v1", "Namespace", None):
        about = _table(namespace, "metadata")
        level = _table(about, "labels").get(_LEVEL)
        if level and not about["name"].startswith(_SYSTEM):
            yield f"namespace {about['name']} enforces Pod Security {level}"


def secrets(cluster: Readable, draft: Draft) -> Iterator[str]:
    """Yield where each Secret is that a draft names, and where the stack needs it.

    Only names are kept of what the cluster returns.

    Raises:
        UnreadableError: the Secrets cannot be listed.
    """
    wanted = list(_named(draft))
    if not wanted:
        return
    there = [item["metadata"] for item in cluster.list("v1", "Secret", None)]
    for name, target in wanted:
        homes = sorted(about["namespace"] for about in there if about["name"] == name)
        where = f"is in namespace {', '.join(homes)}" if homes else "does not exist"
        if target not in homes:
            yield f"Secret {name} {where}; the stack needs it in {target}"


def _named(draft: Draft) -> Iterator[tuple[str, str]]:
    """Yield (name, namespace) of each Secret of others."""
    registries = draft.get(("registries",))
    for runner, value in table_of(draft.settings["runners"]).items():
        settings = table_of(value)
        registration = table_of(settings.get("registration"))
        namespace = str(draft.settings["namespace"])
        if "name" in registration:
            yield str(registration["name"]), namespace
        for key, entries in (("secret", settings.get("volumes")), ("pullSecret", registries)):
            for entry in entries if isinstance(entries, list) else ():
                if name := table_of(entry).get(key):
                    yield str(name), f"{namespace}-{runner}"
