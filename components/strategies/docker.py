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

DOCKER_CLIENT = (
    "docker:29.7.2-cli@sha256:3f4743208d2338c934d7b8bcfbe1bb54c0b2355c510ad5e0f31c0c4a54bd704e"
)
DOCKER_ENGINES = {
    False: (
        "docker:29.7.2-dind@sha256:3ef33f2e220b79ed3ef3b99d81746f06f306cd6340e2cb7331d17ae996e74cb6"
    ),
    True: (
        "docker:29.7.2-dind-rootless"
        "@sha256:ec3201de648f98b94882e4dd8a3d30df8b3ca6723a242fab76150f25127e194e"
    ),
}
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
