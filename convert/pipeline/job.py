"""A job as GitLab hands it to a runner, with the place of each part."""

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterator, Mapping

from convert.items import Item, as_list
from convert.pipeline.shell import Command, parse

_NESTED = 5
"""How often a variable may name another one."""
_LONG = 2000
_COMBINATIONS = 200
"""How many jobs GitLab makes of a matrix."""
_COMMANDS = 5000
"""How many commands of a job are read."""
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobImage:
    """An image of a job or a service: its name after variables, and what else is said of it.

    ``place`` is the name as it is written, and ``entry`` all that is said.
    """

    name: str
    place: Item
    entry: Item
    aliases: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    pull_policies: tuple[Item, ...] = ()

    @property
    def is_engine(self) -> bool:
        """Whether it is a Docker engine, by its name or its alias."""
        last = self.name.partition("@")[0].rpartition("/")[2]
        named = re.match(r"docker(:|$)", last) or "dind" in last
        return bool(named) or (last.startswith("$") and "docker" in self.aliases)


@dataclasses.dataclass(frozen=True)
class Line:
    """A command of a job's script, and the text that it stands in."""

    command: Command
    place: Item
    number: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PipelineJob:
    """A job with all that it inherits; ``place`` is the job's own mapping."""

    name: str
    place: Item
    image: JobImage | None = None
    services: tuple[JobImage, ...] = ()
    variables: Mapping[str, Item] = dataclasses.field(default_factory=dict[str, Item])
    tags: tuple[Item, ...] = ()
    script: tuple[Item, ...] = ()
    files: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    """The scripts of the project that it calls, by path."""
    template: str = ""
    """The strategy of the template of this project that makes it, if one does."""
    has_identity: bool = False
    """Whether GitLab gives it a token or a secret for others (``id_tokens``, ``secrets``)."""

    @property
    def line(self) -> int:
        """The line of its name, or of the include that makes it."""
        return self.place.line

    @functools.cached_property
    def lines(self) -> tuple[Line, ...]:
        """Every command, those of the project's scripts that it calls included."""
        return tuple(itertools.islice(self._lines(), _COMMANDS))

    @functools.cached_property
    def environment(self) -> Mapping[str, str]:
        """The variables that it sets, by ``export`` too, after expansion."""
        given = {name: item.text for name, item in self.variables.items()}
        exported = {
            name: value
            for line in self.lines
            for name, value in line.command.assigned.items()
            if line.command.sets
        }
        return {name: expand(value, given) for name, value in {**given, **exported}.items()}

    @property
    def engine(self) -> JobImage | None:
        """The Docker engine that it names as a service."""
        return next((service for service in self.services if service.is_engine), None)

    def find(self, name: str) -> Item:
        """Return where a variable of the environment is set: in the job, or in its script."""
        if name in self.variables:
            return self.variables[name]
        setting = (line for line in self.lines if line.command.sets)
        return next(at(line) for line in setting if name in line.command.assigned)

    def _lines(self) -> Iterator[Line]:
        for place in self.script:
            # The text of a block begins on the line below its mark.
            below = 1 if "\n" in place.text else 0
            for command in parse(place.text):
                yield Line(command, place, place.line + below + command.line)
                text = self.files.get(script_of(command).removeprefix("./"))
                for inner in parse(text) if text else ():
                    yield Line(inner, dataclasses.replace(place, start=-1), place.line)


def script_of(command: Command) -> str:
    """Return the path of the script that a command runs, as far as its words show it."""
    words = [word for word in command.words if not word.startswith("-")]
    called = words[1:] if command.name in _READERS else [word for word in words[:1] if "/" in word]
    return next(iter(called), "")


_READERS = frozenset({".", "source", "sh", "bash", "ash", "dash"})


def at(line: Line) -> Item:
    """Return the place of a command, as that of a separate text."""
    return dataclasses.replace(line.place, line=line.number, key=-1)


def combinations(item: Item) -> list[dict[str, Item]]:
    """Return the variables that a matrix gives each job that it makes, or none for one job."""
    rows = [
        dict(zip(entry.entries, values, strict=True))
        for entry in as_list(item.get("parallel", "matrix"))
        for values in itertools.islice(
            itertools.product(*(as_list(value) for value in entry.entries.values())), _COMBINATIONS
        )
    ]
    return rows[:_COMBINATIONS] or [{}]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with the variables that are known in place, and with theirs.

    What is too long for a name of an image or a tag stays as it is.
    """

    def value(found: re.Match[str]) -> str:
        known = variables.get(found[1] or found[2], found[0])
        return known if len(known) < _LONG else found[0]

    for _ in range(_NESTED):
        if len(text) > _LONG:
            break
        text = _VARIABLE.sub(value, text)
    return text
