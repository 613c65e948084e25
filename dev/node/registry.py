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


@dataclasses.dataclass(frozen=True)
class Kind:
    """One registry: its address, and how it is reached."""

    host: str
    port: int
    login: bool
    tls: bool

    @property
    def address(self) -> str:
        """As images are named after it."""
        return f"{self.host}:{self.port}"


OPEN = Kind("open.test", 5000, login=False, tls=False)
LOGIN = Kind("login.test", 5001, login=True, tls=False)
PRIVATE = Kind("private.test", 5002, login=True, tls=True)
MIRROR = Kind("mirror.test", 5003, login=False, tls=True)
KINDS = (OPEN, LOGIN, PRIVATE, MIRROR)


class Registries:
    """The registries of one machine, which keep their images and login in its state folder."""

    def __init__(self, machine: Machine) -> None:
        """Remember the machine; nothing is started yet."""
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
        users = self._folder / "users"
        users.write_text(lines.stdout, encoding="ascii")
        login = {"auth": base64.b64encode(f"{USER}:{self.password}".encode()).decode()}
        logins = {"auths": {kind.address: login for kind in KINDS if kind.login}}
        write_private(self._login_file, json.dumps(logins))
        for kind in KINDS:
            folder = self._folder / kind.host
            folder.mkdir(parents=True, exist_ok=True)
            issued = None
            if kind.tls:
                issued = self._authority().issue(kind.host, kind.host, hosts=[kind.host])
            values = {"kind": kind, "images": self._images(kind), "users": users, "issued": issued}
            text = configuration("registry.yml", **values)
            (folder / "config.yml").write_text(text, encoding="utf-8")
            self._trust(kind)
            self._spawn(kind)
        for kind in KINDS:
            self._wait(kind)

    def start(self, kind: Kind) -> None:
        """Start one again that was stopped."""
        self._spawn(kind)
        self._wait(kind)

    def stop(self, kind: Kind) -> None:
        """Stop one, in the middle of whatever it does."""
        process = self._machine.running()[f"registry-{kind.host}"]
        process.kill()
        process.wait(10)

    def uploading(self, repository: str, kind: Kind) -> bool:
        """Whether a layer or config is on its way to this repository of the registry."""
        uploads = self._images(kind) / "docker/registry/v2/repositories" / repository / "_uploads"
        return uploads.is_dir() and any(uploads.iterdir())

    def copy(self, source: str, target: str, kind: Kind) -> None:
        """Copy an image with skopeo, to ``target`` in a registry."""
        login = [f"--dest-authfile={self._login_file}"] if kind.login else []
        self._machine.call(
            *("skopeo", "copy", "--quiet", *login, *self._tls("dest", kind)),
            source,
            f"docker://{kind.address}/{target}",
        )

    def pull(self, name: str, kind: Kind, folder: Path) -> None:
        """Copy an image out of a registry, to a folder in the layout of ``skopeo copy dir:``."""
        login = [f"--src-authfile={self._login_file}"] if kind.login else []
        self._machine.call(
            *("skopeo", "copy", "--quiet", *login, *self._tls("src", kind)),
            f"docker://{kind.address}/{name}",
            f"dir:{folder}",
        )

    def inspect(self, name: str, kind: Kind, *, config: bool = False) -> dict[str, object]:
        """Return what skopeo reports of an image in a registry."""
        login = [f"--authfile={self._login_file}"] if kind.login else []
        tls = [flag.replace("--src-", "--") for flag in self._tls("src", kind)]
        text = self._machine.call(
            # Without --raw, what only Docker's format has would be left out.
            *("skopeo", "inspect", *login, *tls, *(["--config", "--raw"] if config else [])),
            f"docker://{kind.address}/{name}",
        )
        return json.loads(text)

    def _spawn(self, kind: Kind) -> None:
        program = f"registry-{kind.host}"
        file = self._folder / kind.host / "config.yml"
        command = f"exec -a {program} docker-registry serve {file}"
        self._machine.spawn(program, ["bash", "-c", command])

    def _images(self, kind: Kind) -> Path:
        return self._folder / kind.host / "images"

    @property
    def _login_file(self) -> Path:
        """Where skopeo reads the logins; a command line would show them to everybody."""
        return self._folder / "login.json"

    def _tls(self, side: str, kind: Kind) -> list[str]:
        if not kind.tls:
            return [f"--{side}-tls-verify=false"]
        return [f"--{side}-cert-dir={self._authority().folder / 'client'}"]

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
