"""The keys of config.toml that a version of GitLab Runner knows, read from its Go source.

The runner drops any other key silently (gitlab-runner:common/config.go, LoadConfig).
``python -m tests.executor.source`` compares the table of ``keys.py`` with a source tree.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.executor.keys import KEYS, SOURCES, as_numbers

MODULE = "gitlab.com/gitlab-org/gitlab-runner"
CONFIG = "common/config.go"
FLAGS = "helpers/featureflags/flags.go"

_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^\t(\w+)\s+(\S+)\s+`[^`\n]*?toml:\"([^\",]+)", re.MULTILINE)
_EMBEDDED = re.compile(r"^\t(\w+)$", re.MULTILINE)
_FLAG = re.compile(r"\"(FF_\w+)\"")


def known_keys(config: str, flags: str) -> set[str]:
    """Return the dotted paths of all keys; ``*`` stands for the keys of a map."""
    structs = dict(_STRUCT.findall(config))
    found = set(_paths("RunnerConfig", structs, "runners"))
    return found | {f"runners.feature_flags.{name}" for name in _FLAG.findall(flags)}


def _paths(name: str, structs: dict[str, str], prefix: str) -> Iterator[str]:
    for embedded in _EMBEDDED.findall(structs[name]):
        yield from _paths(embedded, structs, prefix)
    for _, kind, key in _FIELD.findall(structs[name]):
        path = f"{prefix}.{key}"
        of = kind.lstrip("*[]")
        if of in structs:
            yield from _paths(of, structs, path)
        elif of.startswith("map[string]"):
            yield f"{path}.*"
        else:
            yield path


def differences(runner: str, known: set[str]) -> list[str]:
    """Return a line for each key on which the table and the source of ``runner`` differ."""
    lines: list[str] = []
    for key, since in KEYS.items():
        expected = as_numbers(since) <= as_numbers(runner)
        if (key in known) is not expected:
            verb = "does not know" if expected else "already knows"
            lines.append(f"runner {runner} {verb} {key}, which the table dates to {since}")
    return lines


def _reader(tree: str, runner: str) -> Callable[[str], str]:
    """Read files of ``runner`` from a repository, bare or not, or from the Go module proxy."""
    if tree:

        def from_git(path: str) -> str:
            command = ["git", "-C", tree, "show", f"v{runner}:{path}"]
            return subprocess.check_output(command, text=True)

        return from_git
    answer = subprocess.run(
        ["go", "mod", "download", "-json", f"{MODULE}@v{runner}"],
        check=False,
        capture_output=True,
        text=True,
    )
    module = json.loads(answer.stdout)
    if "Dir" not in module:
        message = f"{module['Error']}\nname a repository of GitLab Runner: make runner-keys RUNNER="
        raise SystemExit(message)
    return lambda path: (Path(module["Dir"]) / path).read_text(encoding="utf-8")


def main(tree: str) -> int:
    """Check the table against each version of the runner whose source can be read."""
    lines: list[str] = []
    for runner in SOURCES:
        read = _reader(tree, runner)
        lines += differences(runner, known_keys(read(CONFIG), read(FLAGS)))
    print("\n".join(lines) or f"{len(KEYS)} keys are as runner {', '.join(SOURCES)} has them")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
