"""What build tools read of registries: mirrors, plain HTTP and caches, in each tool's way.

Flags are those of executors and of dockerd. Files are buildkitd.toml, registries.conf
(containers/image:docs/containers-registries.conf.5.md), the hosts.toml of a Docker daemon
(containerd:docs/hosts.md) and its daemon.json.
"""

import contextlib
import json
import re
import tomllib
from collections.abc import Iterator
from typing import Literal, TypeAlias, cast

from report.tree import JSON, Tree, entries, inside, texts

_Kind: TypeAlias = Literal["mirror", "plainHttp", "layerCache", "entitlement"]
Relied: TypeAlias = tuple[_Kind, str]
"""What a tool relies on, and where."""

_FLAG = re.compile(r"--(?P<name>[a-z][a-z-]+)(?:(?:=| (?!-))(?P<value>[^\s\"',\]]+))?")
_HOSTS: dict[str, _Kind] = {
    "allow-insecure-entitlement": "entitlement",
    "cache-repo": "layerCache",
    "insecure-registry": "plainHttp",
    "registry-map": "mirror",
    "registry-mirror": "mirror",
    "skip-tls-verify-registry": "plainHttp",
}
_ANY_REGISTRY = {"insecure", "insecure-pull", "skip-tls-verify", "skip-tls-verify-pull"}


def of_flags(text: str) -> Iterator[Relied]:
    """Yield what the flags in a text say."""
    for found in _FLAG.finditer(text):
        name, value = found["name"], found["value"] or ""
        if name in _HOSTS and value:
            yield from _address(_HOSTS[name], value)
        elif (name in _ANY_REGISTRY and value != "false") or found[0] == "--tls-verify=false":
            yield "plainHttp", f"any registry (--{name})"


def _address(kind: _Kind, address: str) -> Iterator[Relied]:
    """Yield an address by its host, and plain HTTP if that is its scheme."""
    scheme, _, rest = address.rpartition("://")
    host = rest.rstrip("/")
    yield kind, f"registry {host}" if kind == "plainHttp" else host
    if scheme == "http" and kind != "plainHttp":
        yield "plainHttp", f"registry {host}"


def of_file(text: str) -> Iterator[Relied]:
    """Yield what a file in TOML or JSON says; another text says nothing."""
    content: JSON = None
    with contextlib.suppress(ValueError):
        content = cast("JSON", tomllib.loads(text))
    if content is None:
        with contextlib.suppress(ValueError):
            content = cast("JSON", json.loads(text))
    settings = inside(content)
    for entitlement in texts(settings, "insecure-entitlements"):
        yield "entitlement", entitlement
    yield from _by_host(inside(settings, "registry"))
    yield from _by_location(entries(settings, "registry"))
    yield from _by_url(settings)


def _by_host(hosts: Tree) -> Iterator[Relied]:
    for host in hosts:
        table = inside(hosts, host)
        if table.get("http") is True or table.get("insecure") is True:
            yield "plainHttp", f"registry {host}"
        for mirror in texts(table, "mirrors"):
            yield "mirror", mirror


def _by_location(registries: list[Tree]) -> Iterator[Relied]:
    for registry in registries:
        prefix, location = registry.get("prefix"), registry.get("location")
        if prefix and location and prefix != location:
            yield "mirror", str(location)
        mirrors = entries(registry, "mirror")
        for mirror in mirrors:
            yield "mirror", str(mirror.get("location"))
        for table in (registry, *mirrors):
            if table.get("insecure") is True:
                yield "plainHttp", f"registry {table.get('location') or table.get('prefix')}"


def _by_url(settings: Tree) -> Iterator[Relied]:
    hosts = inside(settings, "host")
    for url in hosts:
        yield from _address("mirror", url)
        if inside(hosts, url).get("skip_verify") is True:
            yield from _address("plainHttp", url)
    for url in (*texts(settings, "registry-mirrors"), *texts(settings, "server")):
        yield from _address("mirror", url)
    for host in texts(settings, "insecure-registries"):
        yield from _address("plainHttp", host)
