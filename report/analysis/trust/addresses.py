"""Where a stack sends tokens, logins and code, and where it takes them from.

All of it is about the stack as a whole: a runner that is added sends nothing to another address.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from components.workloads import CERTIFICATES, LOGINS
from report.analysis.kubernetes import pod_of
from report.analysis.pods.containers import digest
from report.analysis.pods.pod import containers
from report.analysis.risk_kind import RiskName
from report.analysis.runner_config import parse
from report.analysis.trust.kinds import UNLISTED
from report.analysis.trust.tools import of_file, of_flags
from report.inputs.events import RELEASE
from report.tree import Tree, entries, identity, inside, leaves, texts

KEYS: Mapping[RiskName, tuple[str, ...]] = {
    "gitlab": ("gitlab", "url"),
    "chartSource": ("chart",),
    "cluster": (),
    "login": ("registries",),
    "mirror": ("registryMirrors",),
    "layerCache": ("runners",),
    "plainHttp": ("registries",),
    "authority": ("registries",),
    "entitlement": ("runners",),
}
"""The key of the stack file that each kind follows from."""
PROVIDERS = "pulumi:providers:"


def addresses(
    resources: Iterable[tuple[str, Tree]], objects: Iterable[Tree], outputs: Tree
) -> Mapping[RiskName, set[str]]:
    """Return what a side relies on, by kind.

    Resources are given by type and inputs; the outputs are those of the stack.
    """
    found: dict[RiskName, set[str]] = defaultdict(set)
    for kind, inputs in resources:
        for name, where in (*_of_provider(kind, inputs), *_of_release(kind, inputs)):
            found[name].add(where)
    for item in objects:
        for name, where in _of_object(item):
            found[name].add(where)
    for name, where in _of_nodes(outputs):
        found[name].add(where)
    return {name: found[name] for name in KEYS}


def _of_provider(kind: str, inputs: Tree) -> Iterator[tuple[RiskName, str]]:
    if kind == f"{PROVIDERS}kubernetes":
        for key in ("context", "cluster", "clusterIdentifier"):
            if inputs.get(key):
                yield "cluster", f"the cluster of {key} {inputs[key]}"
    elif kind == f"{PROVIDERS}gitlab" and inputs.get("baseUrl"):
        yield "gitlab", str(inputs["baseUrl"])


def _of_release(kind: str, inputs: Tree) -> Iterator[tuple[RiskName, str]]:
    if kind != RELEASE:
        return
    values = inside(inputs, "values")
    url = str(values.get("gitlabUrl") or "")
    if url:
        yield "gitlab", url
    repository = str(inside(inputs, "repositoryOpts").get("repo") or "")
    yield "chartSource", f"{repository or 'the archive'} ({inputs.get('chart')})"
    for where, address in (("GitLab", url), ("the repository of charts", repository)):
        if address.startswith("http://"):
            yield "plainHttp", f"{where} at {address}"
    entry = parse(values)
    storage = inside(entry, "cache", "s3")
    if storage.get("Insecure") is True:
        yield "plainHttp", f"the storage of caches at {storage.get('ServerAddress')}"
    services = entries(inside(entry, "kubernetes"), "services")
    lines = [
        *texts(entry, "environment"),
        *(
            " ".join(texts(service, key))
            for service in services
            for key in ("command", "entrypoint", "environment")
        ),
    ]
    for line in lines:
        yield from of_flags(line)


def _of_object(item: Tree) -> Iterator[tuple[RiskName, str]]:
    if item.get("kind") == "ConfigMap":
        for key, text in inside(item, "data").items():
            if "BEGIN CERTIFICATE" in str(text):
                yield "authority", f"{key} (digest {digest(text)})"
            yield from of_file(str(text))
    elif item.get("kind") == "Secret":
        yield from _of_secret(item)
    else:
        for container in containers(inside(pod_of(item), "spec")):
            for entry in entries(container, "env"):
                if entry.get("name") == "CI_SERVER_URL" and entry.get("value"):
                    yield "gitlab", str(entry["value"])
        yield from of_flags(" ".join(str(leaf) for leaf in leaves(item.get("spec")) if leaf))


def _of_secret(secret: Tree) -> Iterator[tuple[RiskName, str]]:
    name = inside(secret, "metadata").get("name")
    for login in logins(secret):
        yield "login", login if login == UNLISTED else f"{login} in {name}"
    annotations = inside(secret, "metadata", "annotations")
    if CERTIFICATES in annotations:
        yield "authority", f"{identity(secret)} (digest {annotations[CERTIFICATES]})"
    elif str(name).endswith("-gitlab-certificates"):
        # Earlier versions had no such annotation.
        yield "authority", UNLISTED


def _of_nodes(outputs: Tree) -> Iterator[tuple[RiskName, str]]:
    """Yield what the owners of nodes are asked to set for their own daemon."""
    runners = inside(outputs, "runners")
    for name in runners:
        for line in texts(inside(runners, name), "nodeSetup"):
            yield from of_file(line.partition("must hold")[2])


def logins(secret: Tree) -> list[str]:
    """Return each login of a Secret, by its registry and its name in the stack file."""
    annotations = inside(secret, "metadata", "annotations")
    if secret.get("type") != "kubernetes.io/dockerconfigjson" and LOGINS not in annotations:
        return []
    try:
        named = inside(json.loads(str(annotations[LOGINS])))
    except (KeyError, ValueError):
        return [UNLISTED]
    return [f"{host} ({login})" for host, login in sorted(named.items())]
