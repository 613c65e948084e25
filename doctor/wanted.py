"""What a stack is to be on its cluster: its settings, plans, and the objects that it registers."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from components.plan import BuildPlan, RunnerNames
from components.settings.models import RunnerSettings, Settings
from components.settings.runners.cache import AzureCache, S3Cache

Manifest = Mapping[str, Any]
"""An object as the API server takes it, or a part of one."""


def inside(item: Manifest, *path: str) -> Manifest:
    """Return a mapping in an object, empty where there is none."""
    found: Any = item
    for key in path:
        found = found.get(key) or {}
    return found


def entries(item: Manifest, *path: str) -> list[Manifest]:
    """Return a list in an object, empty where there is none."""
    found: Any = inside(item, *path)
    return list(found)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WantedRunner:
    """One runner; ``toml`` is its table of config.toml, and ``values`` those of its chart.

    ``version`` is the one of GitLab Runner, empty where the chart is newer than this project,
    ``token`` is None where the stack file has none, and ``cache_login`` is as the config has it.
    """

    name: str
    settings: RunnerSettings
    plan: BuildPlan
    names: RunnerNames
    toml: Mapping[str, Any]
    values: Mapping[str, Any]
    version: str
    token: str | None = dataclasses.field(repr=False)
    cache_login: Mapping[str, str] = dataclasses.field(repr=False)

    @property
    def cache_url(self) -> str:
        """The address of the bucket of caches, empty where there is none."""
        cache = self.settings.cache
        if cache is None:
            return ""
        if isinstance(cache, AzureCache):
            domain = cache.domain or "blob.core.windows.net"
            return f"https://{cache.account}.{domain}/{cache.container}"
        if not isinstance(cache, S3Cache):
            return f"https://storage.googleapis.com/{cache.bucket}"
        if cache.endpoint:
            return f"{cache.endpoint.rstrip('/')}/{cache.bucket}"
        region = f".{cache.region}" if cache.region else ""
        return f"https://{cache.bucket}.s3{region}.amazonaws.com/"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WantedStack:
    """All of a stack; ``manifests`` are what it registers beside the releases of the chart.

    ``pull`` and ``push`` are logins by registry, each a user name and a password. ``production``
    says that it is a stack of production, and ``what_if`` that a strategy is tried that the stack
    file does not have, so another one may be deployed.
    """

    name: str
    settings: Settings
    runners: Mapping[str, WantedRunner]
    manifests: Sequence[Manifest] = dataclasses.field(repr=False)
    pull: Mapping[str, tuple[str, str]] = dataclasses.field(repr=False)
    push: Mapping[str, tuple[str, str]] = dataclasses.field(repr=False)
    production: bool = False
    what_if: bool = False

    @property
    def has_monitors(self) -> bool:
        """Whether the chart makes a PodMonitor for any manager."""
        return any(
            inside(runner.values, "metrics", "podMonitor").get("enabled")
            for runner in self.runners.values()
        )

    @property
    def namespaces(self) -> Mapping[str, Manifest]:
        """The namespaces that the stack creates, by name."""
        return {
            item["metadata"]["name"]: item for item in self.manifests if item["kind"] == "Namespace"
        }

    def of_kind(self, kind: str, namespace: str | None = None) -> list[Manifest]:
        """Return the manifests of a kind, in one namespace if it is given."""
        return [
            item
            for item in self.manifests
            if item["kind"] == kind and namespace in (None, item["metadata"].get("namespace"))
        ]
