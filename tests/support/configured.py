"""A good config, whose values tests replace, and the secrets that go with it."""

import copy
import json
from collections.abc import Mapping
from typing import Any

import pulumi

from components.site import Cluster, Site
from components.strategies import STRATEGIES as CLASSES
from components.strategies import forms

TOKEN = "glrt-PlantedToken0001"
PULL = "PlantedPullPassword"
PUSH = "PlantedPushPassword"

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBYzCCAQigAwIBAgIUaeTu66K3Slgr23A31jee1X1epLcwCgYIKoZIzj0EAwIw
JTEjMCEGA1UEAwwaaW1hZ2UtYnVpbGRzIGxvY2FsIGNsdXN0ZXIwHhcNMjYxMTI0
MDIzNDU2WhcNMjcxMTI0MDIzOTU2WjAlMSMwIQYDVQQDDBppbWFnZS1idWlsZHMg
bG9jYWwgY2x1c3RlcjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABEuk0aExpF53
gBRZZ63mknZ0ZDWeSVauOUDzEQShpQDi0RAvTMBZ2BGiT/gIRBodF6QOUEFEIUH9
cn1ShWtjCNKjFjAUMBIGA1UdEwEB/wQIMAYBAf8CAQAwCgYIKoZIzj0EAwIDSQAw
RgIhAITylJwQL1o6bwU9n7SwkPFrEMiTfL7SZqFYPGXF2w72AiEAv+jIFa2cPllc
mYGqqdcfT2o8wzj5MnZyX1HSUgdLbxs=
-----END CERTIFICATE-----
"""

SETTINGS: dict[str, Any] = {
    "gitlab": {"url": "https://gitlab.example.com"},
    "cluster": {
        "kind": "onPrem",
        "nodes": {
            "os": "ubuntu",
            "dockerSocket": True,
            "trusted": True,
            "userNamespaces": True,
            "selector": {"image-builds/docker-socket": "true"},
        },
    },
    "namespace": "builds",
    "registries": [
        {"host": "registry.example.com:5000", "insecure": True, "pull": "in", "push": "out"}
    ],
    "targetNamespaces": {"apps": {"create": True}},
    "runners": {"main": {"tags": ["build"], "strategy": "kaniko"}},
}

SECRETS: dict[str, Any] = {
    "runnerTokens": {"main": TOKEN},
    "registryCredentials": {
        "in": {"username": "reader", "password": PULL},
        "out": {"username": "writer", "password": PUSH},
    },
}

CACHES: dict[str, Any] = {
    "minio": {"accessKey": "an-id", "secretKey": "PlantedCacheKey"},
    "google": {"keyFile": '{"private_key": "PlantedCacheKey"}'},
    "azure": {"accountKey": "PlantedCacheKey"},
}
"""The login of each kind of cache."""

SITE = Site(cluster=Cluster(kind="managed"))
"""A cluster of which nothing is declared, and no registry."""

FORMS = dict(forms())
"""Every form of every strategy, by name."""

STRATEGIES: dict[str, Any] = {
    name: {"kind": kind, **options} if options else kind
    for kind, strategy in CLASSES.items()
    for name, options in strategy.forms.items()
    if FORMS[name].command and name != "buildkit-service-profiles"
}
"""Every form of a strategy that builds, as a stack file says it.

One is left out: its jobs are those of ``buildkit-service``, and only the daemon differs.
"""

LEVELS = {name: FORMS[name].plan(SITE).pod_security for name in STRATEGIES}
"""The Pod Security level that job namespaces have with them."""

MISSING = object()
"""The value that takes a key out."""


def replace_values(original: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy with the values at dotted paths replaced; ``0`` is a list's first."""
    result = copy.deepcopy(dict(original))
    for path, value in changes.items():
        *parents, last = path.split(".")
        target: Any = result
        for part in parents:
            target = target[0] if part == "0" else target.setdefault(part, {})
        if last == "0":
            target[0] = value
        elif value is MISSING:
            del target[last]
        else:
            target[last] = value
    return result


def configure(
    settings: object,
    secrets: dict[str, Any],
    *,
    plain: tuple[str, ...] = (),
    context: str | None = "a-cluster",
) -> None:
    """Make this the config of the stack; keys in ``plain`` are stored without encryption."""
    values = {f"image-builds:{key}": json.dumps(value) for key, value in secrets.items()}
    if settings is not None:
        values["image-builds:settings"] = json.dumps(settings)
    if context is not None:
        values["kubernetes:context"] = context
    secret = [f"image-builds:{key}" for key in secrets if key not in plain]
    pulumi.runtime.set_all_config(values, secret)
