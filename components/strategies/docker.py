"""The images of Docker, and what an engine has in ``certs.d``, a job's own or the node's.

The engine trusts the CA of a mirror in the mirror's folder only where it has its old image store.
With containerd's, the default since 29, it looks for the CA of every mirror in the folder of Docker
Hub itself (moby: daemon/hosts.go, ``mergeLegacyConfig``), unless that has a ``hosts.toml``, which
counts in place of ``--registry-mirror`` then.
"""

from collections.abc import Sequence
from typing import Any

import tomlkit

from components.site import Registry
from components.strategies.shared import certificate_files

DOCKER_CLIENT = "docker:29.10.0-cli"
DOCKER_ENGINES = {False: "docker:29.10.0-dind", True: "docker:29.10.0-dind-rootless"}
"""By whether the engine is rootless."""

HOSTS_FILE = "docker.io/hosts.toml"
"""The name of the file in ``certs.d``."""


def files(registries: Sequence[Registry], mirrors: Sequence[str]) -> dict[str, str]:
    """Return each file's text by its name there (docs.docker.com: engine/security/certificates)."""
    found = certificate_files(registries, "{}/ca.crt".format)
    hosts = _hosts(registries, mirrors)
    return {**found, HOSTS_FILE: hosts} if hosts else found


def _hosts(registries: Sequence[Registry], mirrors: Sequence[str]) -> str:
    """Return what is to be in the file, or "" where no mirror has a private CA.

    Its form is containerd's (containerd: docs/hosts.md); paths are relative to the file.
    """
    known = {registry.host: registry for registry in registries}
    if not any(mirror in known and known[mirror].ca_certificates for mirror in mirrors):
        return ""
    hosts = dict(_host(mirror, known.get(mirror)) for mirror in mirrors)
    return tomlkit.dumps({"host": hosts})


def _host(mirror: str, registry: Registry | None) -> tuple[str, dict[str, Any]]:
    table: dict[str, Any] = {"capabilities": ["pull", "resolve"]}
    if registry and registry.ca_certificates:
        table["ca"] = f"../{mirror}/ca.crt"
    if registry and registry.insecure:
        # HTTPS is tried first even so, since there is a setting of TLS.
        return f"http://{mirror}", {**table, "skip_verify": True}
    return f"https://{mirror}", table
