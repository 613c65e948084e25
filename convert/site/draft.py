"""The stack file as it grows: its settings, from which key each comes, and what is left to do."""

import re
from typing import Any, cast

from components.types import JSON
from convert.site.model import KeyFinding

Path = tuple[str | int, ...]
_BY_ITSELF = KeyFinding(file="import", path="the choice of a strategy", outcome="taken")


class Draft:
    """The settings of a stack file, and the finding that each value comes from.

    ``commands`` store what must not be in a file; ``remarks`` are comments by the key that they
    stand above.
    """

    def __init__(self, stack: str) -> None:
        self.stack = stack
        self.settings: dict[str, JSON] = {}
        self.commands: list[str] = []
        self.remarks: dict[Path, str] = {}
        self._origins: dict[Path, KeyFinding] = {}
        self._places: dict[int, list[Path]] = {}

    def put(self, path: Path, value: JSON, finding: KeyFinding | None = None) -> KeyFinding | None:
        """Set a value, maps and lists beside what is there.

        Return the finding whose other value is there already, and so stays.
        """
        *parents, last = path
        place: Any = self.settings
        for part in parents:
            place = place.setdefault(part, {})
        known: JSON = cast("dict[str | int, JSON]", place).get(last)
        if isinstance(value, dict) and value:
            for key, below in value.items():
                if standing := self.put((*path, key), below, finding):
                    return standing
            return None
        if known is None:
            place[last] = value
        elif isinstance(known, list) and isinstance(value, list):
            place[last] = [*known, *(item for item in value if item not in known)]
        elif value not in (known, {}):
            return self._origins.get(self._nearest(path), _BY_ITSELF)
        if finding:
            self._remember(path, finding)
        return None

    def replace(self, path: Path, value: JSON, finding: KeyFinding | None = None) -> None:
        """Set a value in place of what is there."""
        *parents, last = path
        place: Any = self.settings
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = value
        if finding:
            self._remember(path, finding)

    def get(self, path: Path) -> JSON:
        """Return what stands at a path, None where nothing does."""
        found: JSON = self.settings
        for part in path:
            found = found.get(str(part)) if isinstance(found, dict) else None
        return found

    def origin(self, where: str) -> KeyFinding | None:
        """Return the finding from which the value comes where an error is."""
        path = self._path(where)
        if above := self._nearest(path):
            return self._origins[above]
        # What several keys make together is wrong, so one of them has to go.
        below = [key for key in self._origins if len(path) > 2 and key[: len(path)] == path]
        return self._origins[below[-1]] if below else None

    def remove(self, finding: KeyFinding) -> None:
        """Remove all values that come from a finding, and the maps that they leave empty."""
        for path in self._places.pop(id(finding), ()):
            del self._origins[path]
            for length in range(len(path), 0, -1):
                *parents, last = path[:length]
                place: Any = self.settings
                for part in parents:
                    place = place[part]
                if length == len(path) or place[last] == {}:
                    del place[last]

    def command(self, line: str) -> None:
        """Add a command, once."""
        if line not in self.commands:
            self.commands.append(line)

    def store(self, path: str) -> None:
        """Add the command that encrypts a value of the stack's config, which asks for it."""
        self.command(f"pulumi config set --secret --path '{path}'")

    def store_login(self, name: str) -> None:
        """Add the commands that store a login to registries."""
        self.store(f"registryCredentials.{name}.username")
        self.store(f"registryCredentials.{name}.password")

    def _remember(self, path: Path, finding: KeyFinding) -> None:
        if path not in self._origins:
            self._origins[path] = finding
            self._places.setdefault(id(finding), []).append(path)

    def _nearest(self, path: Path) -> Path:
        while path and path not in self._origins:
            path = path[:-1]
        return path

    def _path(self, where: str) -> Path:
        """Return the path of an error, as far as the settings have it."""
        place: Any = self.settings
        path: list[str | int] = []
        while True:
            index = re.match(r"\[(\d+)\]", where)
            keys = cast("dict[str, Any]", place) if isinstance(place, dict) else {}
            ends = (found.start() for found in re.finditer(r"[.\[]|$", where))
            fitting = [where[:end] for end in ends if where[:end] in keys]
            if index and isinstance(place, list):
                path.append(int(index[1]))
                place = cast("list[Any]", place)[int(index[1])]
                where = where[index.end() :].removeprefix(".")
            elif fitting:
                key = max(fitting, key=len)
                path.append(key)
                place, where = keys[key], where[len(key) :].removeprefix(".")
            else:
                return tuple(path)
