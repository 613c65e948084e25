#!/usr/bin/env python3
"""Installs what the jobs with a stack's secrets run, and nothing else, into ``.venv``.

That is the packages of ``requirements.lock`` and the programs that are named, ``pulumi`` and
``helm``, as their projects released them. Each file must have the digest that this commit pins.
Only Python's own library is imported, since nothing else is installed yet.
"""

import hashlib
import io
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import urllib.request
import venv
from pathlib import Path, PurePosixPath
from typing import Any

BIN = Path(".venv/bin")


def install_packages() -> None:
    """Make the environment and install the packages, without building any of them."""
    venv.create(".venv", with_pip=True)
    options = ["--quiet", "--require-hashes", "--only-binary=:all:"]
    pip = [BIN / "python", "-m", "pip", "install", *options, "--requirement", "requirements.lock"]
    subprocess.run(pip, check=True)


def install_program(group: dict[str, Any]) -> None:
    """Fetch the archive of a program and unpack its folder beside Python.

    Raises:
        SystemExit: no digest is pinned for this machine, or the archive has another.
    """
    (name,) = group["names"]
    go_mod = Path("dev/modules", group["module"], "go.mod").read_text(encoding="utf-8")
    version = re.findall(rf"(?m)^\s*(?:require )?{re.escape(group['source'])} v(\S+)", go_mod)[0]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    system = f"{platform.system().lower()}-{machine}"
    if system not in group["archives"]:
        sys.exit(f"dev/programs.toml pins no archive of {name} for {system}; use another runner")
    archive = group["archives"][system]
    url = archive["url"].format(version=version)
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - an address of dev/programs.toml
        content = answer.read()
    digest = hashlib.sha256(content).hexdigest()
    if digest != archive["digest"]:
        sys.exit(f"{url} has sha256 {digest}, but dev/programs.toml pins {archive['digest']}")
    folder = PurePosixPath(archive["member"]).parent
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            if member.isfile() and PurePosixPath(member.name).parent == folder:
                unpack(tar, member)
    print(f"{name} {version}")


def unpack(tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    """Write one program of an archive."""
    file = BIN / PurePosixPath(member.name).name
    source = tar.extractfile(member)
    if source:
        with source, file.open("wb") as target:
            shutil.copyfileobj(source, target)
        file.chmod(0o755)


def main(programs: list[str]) -> None:
    """Install these programs, any of which can be refused at once, and then the packages."""
    BIN.mkdir(parents=True, exist_ok=True)
    for group in tomllib.loads(Path("dev/programs.toml").read_text(encoding="utf-8"))["programs"]:
        if group["names"][0] in programs:
            install_program(group)
    install_packages()


if __name__ == "__main__":
    main(sys.argv[1:])
