"""What Renovate finds in this repository: ``renovate.json5``'s own managers, and the built-in ones.

Custom managers are applied as they are written. Of a built-in manager this knows the files that
it reads, and the one form of each dependency that is used here (renovate:lib/modules/manager).
"""

import dataclasses
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import json5

from dev.paths import CHECKOUT

FILE = CHECKOUT / "renovate.json5"
CONFIG: Mapping[str, Any] = json5.loads(FILE.read_text(encoding="utf-8"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dependency:
    """A dependency in a file: where its version and digest stand, as offsets into the text."""

    manager: str
    name: str
    spans: tuple[tuple[int, int], ...]

    def holds(self, start: int, end: int) -> bool:
        """Say whether it covers a part of the text."""
        return any(first < end and start < last for first, last in self.spans)


def files() -> Iterator[tuple[str, str]]:
    """Yield the text files that git tracks: path from the root, and content."""
    command = ["git", "ls-files", "-z"]
    listing = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True)
    for name in listing.stdout.split("\0"):
        file = CHECKOUT / name
        if file.is_file() and file.suffix != ".png":
            yield name, file.read_text(encoding="utf-8")


def dependencies(path: str, text: str) -> Iterator[Dependency]:
    """Yield what the enabled managers find in a file.

    Args:
        path: where the file is, from the root, with slashes.
        text: its content.
    """
    for manager in CONFIG["enabledManagers"]:
        if manager == "custom.regex":
            yield from _custom(path, text)
            continue
        patterns, find = _BUILT_IN[manager]
        if _reads(path, [*patterns, *CONFIG.get(manager, {}).get("managerFilePatterns", ())]):
            yield from (dataclasses.replace(item, manager=manager) for item in find(text))


def translated(pattern: str) -> str:
    """Turn JavaScript's named groups into Python's."""
    return pattern.replace("(?<", "(?P<")


def _custom(path: str, text: str) -> Iterator[Dependency]:
    for manager in CONFIG["customManagers"]:
        if _reads(path, manager["managerFilePatterns"]):
            for pattern in manager["matchStrings"]:
                name = manager.get("depNameTemplate", "")
                yield from _matches(translated(pattern), text, name)


def _reads(path: str, patterns: Sequence[str]) -> bool:
    """Say whether a manager reads a file; a pattern is a regular expression between slashes."""
    return any(re.search(pattern[1:-1], path) for pattern in patterns)


def _matches(pattern: str, text: str, name: str = "") -> Iterator[Dependency]:
    for match in re.finditer(pattern, text):
        groups = match.groupdict()
        kinds = [kind for kind in ("currentValue", "currentDigest") if groups.get(kind)]
        yield Dependency(
            manager="custom.regex",
            name=groups.get("depName") or name,
            spans=tuple(match.span(kind) for kind in kinds),
        )


def _by(*patterns: str) -> Callable[[str], Iterator[Dependency]]:
    def find(text: str) -> Iterator[Dependency]:
        for pattern in patterns:
            yield from _matches(pattern, text)

    return find


def _go_modules(text: str) -> Iterator[Dependency]:
    """Find direct requirements and, of the others, those that hold a tool (renovate#35078)."""
    yield from _matches(r"(?m)^(?P<depName>go) (?P<currentValue>\S+)$", text)
    yield from _matches(r"(?m)^replace .* => (?P<depName>\S+) (?P<currentValue>v\S+)$", text)
    blocks = re.findall(r"(?ms)^tool \(\n(.*?)^\)", text)
    tools = re.findall(r"(?m)^tool ([^(\s]+)$", text) + re.findall(r"(?m)^\t(\S+)", "".join(blocks))
    required = list(
        _matches(r"(?m)^(?:require )?\t?(?P<depName>\S+) (?P<currentValue>v\d\S+)", text)
    )
    for tool in tools:
        owners = [item for item in required if f"{tool}/".startswith(f"{item.name}/")]
        yield max(owners, key=lambda item: len(item.name))


_UV = {"--no-strip-extras", "--universal", "--generate-hashes"}
_UV_WITH_VALUE = {"--constraint", "--python-version", "--output-file"}
"""Of the options that Renovate knows, those that are used here; a value follows ``=``."""


def _locked_packages(text: str) -> Iterator[Dependency]:
    """Find the packages of a lock, if Renovate can repeat the command in its head."""
    head = re.match(r"(?:#.*\n)+#    uv pip compile (.*)\n", text)
    options = [word for word in head[1].split() if word.startswith("-")] if head else ["none"]
    if all(
        word in _UV or ("=" in word and word.split("=")[0] in _UV_WITH_VALUE) for word in options
    ):
        yield from _matches(
            r"(?m)^(?P<depName>[\w.-]+)(?:\[.*\])?(?P<currentValue>==[^\s;]+)", text
        )


_IMAGE = r"(?P<depName>[\w./-]+):(?P<currentValue>[\w.-]+)(?:@(?P<currentDigest>sha256:\w{64}))?"
_BUILT_IN: Mapping[str, tuple[Sequence[str], Callable[[str], Iterator[Dependency]]]] = {
    "devcontainer": ([r"/^\.devcontainer/devcontainer\.json$/"], _by(rf'"image": "{_IMAGE}"')),
    "github-actions": (
        [r"/(^|/)\.github/workflows/[^/]+\.ya?ml$/"],
        _by(
            r"uses: (?P<depName>[\w./-]+)@(?P<currentDigest>[0-9a-f]{40}) # (?P<currentValue>v\S+)",
            r'(?P<depName>python)-version: "(?P<currentValue>[\d.]+)"',
        ),
    ),
    "gitlabci": (
        [r"/\.gitlab-ci\.ya?ml$/"],
        _by(rf"image: {_IMAGE}", rf"image:\n +name: {_IMAGE}"),
    ),
    "gomod": ([r"/(^|/)go\.mod$/"], _go_modules),
    "npm": (
        [r"/(^|/)package\.json$/"],
        _by(r'"(?P<depName>[\w@/.-]+)": "(?P<currentValue>\d[^"]*)"'),
    ),
    "pip-compile": ([], _locked_packages),
    "pre-commit": (
        [r"/(^|/)\.pre-commit-config\.ya?ml$/"],
        _by(r"repo: https://(?P<depName>\S+)\n +rev: (?P<currentValue>\S+)"),
    ),
}
