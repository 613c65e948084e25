"""What programs there are: ``dev/programs.toml``, read when somebody asks for it."""

import dataclasses
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dev.errors import DevError

_DEV = Path(__file__).parent.parent
CATALOGUE = _DEV / "programs.toml"
MODULES = _DEV / "modules"
KUBERNETES_VARIABLE = "IMAGE_BUILDS_KUBERNETES"
"""The Kubernetes version of the control plane: ``pinned`` (the default) or ``newest``."""


class ToolchainError(DevError):
    """A program is not available; the message says which, why and what to do."""


@dataclasses.dataclass(frozen=True)
class Archive:
    """An official release file; the first comment of ``dev/programs.toml`` explains the fields.

    The cache names an entry by this class' ``repr``: another name or order of fields makes
    every archive be fetched again.
    """

    url: str
    digest: str
    member: str = ""
    algorithm: str = "sha256"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """One executable; the first comment of ``dev/programs.toml`` explains the fields."""

    name: str
    module: str
    source: str
    package: str
    accepts: str
    version_command: tuple[str, ...]
    needed_for: str
    ldflags: str = ""
    stamp: tuple[str, ...] = ()
    tags: str = ""
    cgo: bool = False
    embeds_schema: bool = False
    release: str = ""
    archives: Mapping[str, Archive] = dataclasses.field(default_factory=dict[str, Archive])

    @property
    def version(self) -> str:
        """The version in the program's go.mod, without what Go adds: ``v``, ``+incompatible``."""
        text = (MODULES / self.module / "go.mod").read_text(encoding="utf-8")
        pattern = rf"^\s*(?:require )?{re.escape(self.source)} v([^+\s]+)"
        found = re.search(pattern, text, re.MULTILINE)
        if found is None:
            message = (
                f"dev/modules/{self.module}/go.mod: must require {self.source}, whose version it "
                f"pins; run go get {self.source} there"
            )
            raise ToolchainError(message)
        return self.release or found[1]

    @property
    def accepted(self) -> str:
        """The range of versions (PEP 440) in which a program on PATH is taken."""
        major, minor, *_ = self.version.split(".")
        return self.accepts.format(major=major, minor=minor)

    @property
    def linker_flags(self) -> str:
        """The linker's flags, in which ``{version}`` still stands for the version.

        Those of a stamp hold it already: the name of a cache entry is made of this text.
        """
        if not self.stamp:
            return self.ldflags
        major, minor, *_ = self.version.split(".")
        values = {"gitVersion": f"v{self.version}", "gitMajor": major, "gitMinor": minor}
        return " ".join(
            f"-X {package}.{variable}={value}"
            for package in self.stamp
            for variable, value in values.items()
        )


def load() -> dict[str, Program]:
    """Return every program by name, in the order of the file.

    Raises:
        ToolchainError: the environment asks for a Kubernetes that there is not.
    """
    groups = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))["programs"]
    newest = _wants_newest()
    return {
        name: _program(name, group, newest=newest) for group in groups for name in group["names"]
    }


def select(*wanted: str) -> list[str]:
    """Return the names of programs, of those that are named and those that a use needs.

    Args:
        wanted: programs, or uses as ``needed_for`` has them in ``dev/programs.toml``.

    Raises:
        ToolchainError: there is neither a program nor a use of a name.
    """
    known = load()
    uses = dict.fromkeys(program.needed_for for program in known.values())
    if unknown := [name for name in wanted if name not in {*known, *uses}]:
        message = (
            f"{', '.join(unknown)}: dev/programs.toml has no such program or use; it has "
            f"{', '.join([*uses, *known])}"
        )
        raise ToolchainError(message)
    return [name for name, item in known.items() if {name, item.needed_for} & {*wanted}]


def _wants_newest() -> bool:
    wanted = os.environ.get(KUBERNETES_VARIABLE, "pinned")
    if wanted not in {"pinned", "newest"}:
        message = f"{KUBERNETES_VARIABLE}={wanted}: unknown; set it to 'pinned' or 'newest'"
        raise ToolchainError(message)
    return wanted == "newest"


def _program(name: str, group: Mapping[str, Any], *, newest: bool) -> Program:
    fields = {key: value for key, value in group.items() if key not in {"names", "newest"}}
    if newest:
        fields["module"] = group.get("newest", group["module"])
    fields["package"] = group.get("package", group["source"]).replace("{name}", name)
    fields["archives"] = {
        platform: Archive(
            **{**archive, "member": archive.get("member", "").replace("{name}", name)}
        )
        for platform, archive in group.get("archives", {}).items()
    }
    for key in ("version_command", "stamp"):
        fields[key] = tuple(group.get(key, ()))
    return Program(name=name, **fields)
