"""The keys of config.toml that a version of GitLab Runner knows, read from its Go source.

The runner drops any other key silently (gitlab-runner:common/config.go, LoadConfig).
``python -m tests.executor.source`` compares the table of the program with a source tree.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from components.gitlab_runner.keys import known_keys
from tests.executor.keys import SOURCES

MODULE = "gitlab.com/gitlab-org/gitlab-runner"
CONFIG = "common/config.go"
CACHE = "cache/cacheconfig/cacheconfig.go"
FLAGS = "helpers/featureflags/flags.go"

_STRUCT = re.compile(r"^type ([\w.]+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^\t(\w+)\s+(\S+)\s+`[^`\n]*?toml:\"([^\",]+)", re.MULTILINE)
_EMBEDDED = re.compile(r"^\t([\w.]+)$", re.MULTILINE)
_NAMED = re.compile(r"^type (\w+) (\[\]|map\[string\])(\w+)$", re.MULTILINE)
_FLAG = re.compile(r"\"(FF_\w+)\"")
_OTHER_EXECUTORS = frozenset(
    ("autoscaler", "custom", "docker", "instance", "machine", "parallels", "ssh", "virtualbox")
)
_TYPES = {"bool": "boolean", "float64": "float", "time.Duration": "duration"}
_OF_MANAGER = ("experimental", "labels", "monitoring", "referees")
"""Tables whose structs are elsewhere and whose keys are not about jobs."""


def in_package(package: str, text: str) -> str:
    """Spell the structs of a file as other packages do."""
    names = "|".join(name for name, _ in _STRUCT.findall(text))
    return re.sub(rf"\b({names})\b", rf"{package}.\1", text) if names else text


def read_keys(config: str, flags: str) -> dict[str, str]:
    """Return the type of each key by its dotted path; ``*`` stands for the keys of a map."""
    structs = dict(_STRUCT.findall(config))
    named = {name: f"{of}{kind}" for name, of, kind in _NAMED.findall(config)}
    found = dict(_paths("RunnerConfig", structs, named, "runners"))
    # A map to the runner, which knows the flags of another file.
    found.pop("runners.feature_flags.*", None)
    return found | {f"runners.feature_flags.{name}": "boolean" for name in _FLAG.findall(flags)}


def _paths(
    name: str, structs: Mapping[str, str], named: Mapping[str, str], prefix: str
) -> Iterator[tuple[str, str]]:
    for embedded in _EMBEDDED.findall(structs[name]):
        yield from _paths(embedded, structs, named, prefix)
    for _, stated, key in _FIELD.findall(structs[name]):
        path = f"{prefix}.{key}"
        kind = named.get(stated.lstrip("*"), stated)
        of = kind.lstrip("*[]")
        if key == "-" or (prefix == "runners" and key in {*_OTHER_EXECUTORS, *_OF_MANAGER}):
            continue
        if of in structs:
            yield from _paths(of, structs, named, path)
        elif of.startswith("map[string]"):
            yield f"{path}.*", _type(of.removeprefix("map[string]"))
        elif stated == "StringOrArray":
            yield path, "string or strings"
        else:
            yield path, f"{_type(of)}{'s' if '[]' in kind else ''}"


def _type(kind: str) -> str:
    number = re.fullmatch(r"u?int\d*|RequestRetry(Limit|BackoffMax)", kind)
    return "integer" if number else _TYPES.get(kind, "string")


def differences(runner: str, read: Mapping[str, str]) -> list[str]:
    """Return a line for each key on which the table and the source of ``runner`` differ."""
    stated = known_keys(runner)
    return [
        f"runner {runner} has {key} as {read.get(key, 'unknown')}, and the table as "
        f"{stated.get(key, 'unknown')}"
        for key in sorted(stated.keys() | read.keys())
        if stated.get(key) != read.get(key)
    ]


def _reader(tree: str, runner: str) -> Callable[[str], str]:
    """Read files of ``runner`` from a repository, bare or not, or from the Go module proxy.

    A file that a version does not have is empty.
    """
    if tree:

        def from_git(path: str) -> str:
            command = ["git", "-C", tree, "show", f"v{runner}:{path}"]
            answer = subprocess.run(command, check=False, capture_output=True, text=True)
            return answer.stdout

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
    folder = Path(module["Dir"])
    return lambda path: (
        (folder / path).read_text(encoding="utf-8") if (folder / path).exists() else ""
    )


def keys_of_release(tree: str, runner: str) -> dict[str, str]:
    """Return the keys of a release, read from a repository or from the Go module proxy."""
    read = _reader(tree, runner)
    config = f"{read(CONFIG)}\n{in_package('cacheconfig', read(CACHE))}"
    return read_keys(config, read(FLAGS))


def main(tree: str) -> int:
    """Check the table against each version of the runner whose source can be read."""
    lines = [
        line for runner in SOURCES for line in differences(runner, keys_of_release(tree, runner))
    ]
    print("\n".join(lines) or f"all keys are as runner {', '.join(SOURCES)} has them")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
