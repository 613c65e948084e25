"""Registries for the images that jobs push: Debian's docker-registry, four of them.

One speaks plain HTTP to all, one plain HTTP to those with a login, and one TLS of a private CA,
with a login too. The fourth is a mirror of Docker Hub, with TLS of the same CA.
"""

import base64
import dataclasses
import json
import secrets
import subprocess
import time
from pathlib import Path

from dev.certificates import Authority
from dev.files import write_private
from dev.node.machine import NODE, Machine, NodeError
from dev.node.settings import configuration

USER = "builds"
"""Who may pull and push where a login is asked for."""
OF_CLOUDS = {
    "aws": "AWS",
    "azure": "00000000-0000-0000-0000-000000000000",
    "google": "oauth2accesstoken",
}
"""Who clouds say that they are; they may do the same, with the same password."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """One registry: its address, and how it is reached."""

    host: str
    port: int
    login: bool
    tls: bool
    on_disk: bool = True
    """Whether it keeps its images there, and else in memory until it ends.

    On disk, two pushes of one layer at once can break each other: docker-registry writes the link
    to the layer in place, and takes one that it reads meanwhile for a wrong digest.
    """

    @property
    def address(self) -> str:
        """As images are named after it."""
        return f"{self.host}:{self.port}"


OPEN = Kind("open.test", 5000, login=False, tls=False)
LOGIN = Kind("login.test", 5001, login=True, tls=False, on_disk=False)
PRIVATE = Kind("private.test", 5002, login=True, tls=True, on_disk=False)
MIRROR = Kind("mirror.test", 5003, login=False, tls=True)
KINDS = (OPEN, LOGIN, PRIVATE, MIRROR)


class Registries:
    """The registries of one machine, which keep their images and login in its state folder."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._folder = machine.state / "registry"

    @property
    def certificate(self) -> str:
        """The private CA, in PEM."""
        return self._authority().certificate_file.read_text(encoding="ascii")

    @property
    def password(self) -> str:
        """The login's, made up once."""
        file = self._folder / "password"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_private(file, secrets.token_urlsafe(15))
        return file.read_text(encoding="ascii")

    def hosts(self) -> dict[str, str]:
        """Addresses by name."""
        return {kind.host: NODE for kind in KINDS}

    def up(self) -> None:
        """Start all of them and let the node's containerd reach them."""
        lines = subprocess.run(
            ["htpasswd", "-niB", USER],  # noqa: S607 - found on PATH, as its users expect
            check=True,
            input=self.password,
            capture_output=True,
            text=True,
        )
        digest = lines.stdout.strip().partition(":")[2]
        names = (USER, *OF_CLOUDS.values())
        users = self._folder / "users"
        users.write_text("".join(f"{name}:{digest}\n" for name in names), encoding="ascii")
        login = {"auth": base64.b64encode(f"{USER}:{self.password}".encode()).decode()}
        logins = {"auths": {kind.address: login for kind in KINDS if kind.login}}
        write_private(self._login_file, json.dumps(logins))
        for kind in KINDS:
            folder = self._folder / kind.host
            folder.mkdir(parents=True, exist_ok=True)
            issued = None
            if kind.tls:
                issued = self._authority().issue(kind.host, kind.host, hosts=[kind.host])
            values = {"kind": kind, "images": self.images(kind), "users": users, "issued": issued}
            text = configuration("registry.yml", **values)
            (folder / "config.yml").write_text(text, encoding="utf-8")
            self._trust(kind)
            self.start(kind)

    def start(self, kind: Kind) -> None:
        """Start one, and wait until it answers."""
        program = f"registry-{kind.host}"
        file = self._folder / kind.host / "config.yml"
        command = f"exec -a {program} docker-registry serve {file}"
        self._machine.spawn(program, ["bash", "-c", command])
        self._wait(kind)

    def images(self, kind: Kind) -> Path:
        """The folder in which a registry on disk keeps its images."""
        return self._folder / kind.host / "images"

    def copy(self, source: str, target: str, kind: Kind) -> None:
        """Copy an image with skopeo, to ``target`` in a registry."""
        options = self.options(kind, "dest-")
        target = f"docker://{kind.address}/{target}"
        self._machine.call("skopeo", "copy", "--quiet", *options, source, target)

    def options(self, kind: Kind, side: str = "") -> list[str]:
        """How skopeo reaches a registry; ``side`` is ``src-`` or ``dest-`` where it copies."""
        login = [f"--{side}authfile={self._login_file}"] if kind.login else []
        if kind.tls:
            return [*login, f"--{side}cert-dir={self._authority().folder / 'client'}"]
        return [*login, f"--{side}tls-verify=false"]

    @property
    def _login_file(self) -> Path:
        """Where skopeo reads the logins; a command line would show them to everybody."""
        return self._folder / "login.json"

    def _authority(self) -> Authority:
        authority = Authority(self._folder / "pki")
        client = authority.folder / "client"
        if not client.exists():
            client.mkdir()
            (client / "ca.crt").write_bytes(authority.certificate_file.read_bytes())
        return authority

    def _trust(self, kind: Kind) -> None:
        """Write how containerd reaches it (containerd:docs/hosts.md)."""
        folder = self._machine.state / "registries" / kind.address
        folder.mkdir(parents=True, exist_ok=True)
        scheme = "https" if kind.tls else "http"
        lines = [f'[host."{scheme}://{kind.address}"]']
        if kind.tls:
            lines.append(f'ca = "{self._authority().certificate_file}"')
        (folder / "hosts.toml").write_text("\n".join([*lines, ""]), encoding="utf-8")

    def _wait(self, kind: Kind) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                self._machine.call("bash", "-c", f"</dev/tcp/{NODE}/{kind.port}")
            except NodeError:
                if time.monotonic() > deadline:
                    log = self._machine.state / f"registry-{kind.host}.log"
                    message = f"the registry {kind.address} does not answer; see {log}"
                    raise NodeError(message) from None
                time.sleep(0.2)
            else:
                return
