"""The commands of a shell script, as far as a reader sees them; nothing is run.

Variables stay as they are written. What is in ``$(…)``, backticks and ``sh -c`` is read too.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_LEADING = frozenset({"if", "then", "else", "elif", "while", "until", "do", "!", "{", "time"})
_SILENT = frozenset({"for", "case", "select", "fi", "done", "esac", "}", "in", ";;"})
_WRAPPERS = frozenset(
    {"sudo", "env", "exec", "nohup", "command", "timeout", "nice", "retry", "xargs"}
)
_SHELLS = frozenset({"sh", "bash", "ash", "eval"})
_SETS = frozenset({"export", "declare", "local", "readonly"})
_DEEP = 5
"""How deep commands in commands are read."""


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """A simple command; ``line`` counts from 0 in the text, ``sets`` is for later commands too.

    ``written`` are the files that its output goes to, and ``waits`` says that it is the condition
    of a loop.
    """

    words: tuple[str, ...]
    line: int
    assigned: Mapping[str, str]
    sets: bool = False
    waits: bool = False
    written: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The program without its folder."""
        return self.words[0].rpartition("/")[2] if self.words else ""

    @property
    def text(self) -> str:
        """The words in a line."""
        return " ".join(self.words)


def parse(text: str, deep: int = 0) -> tuple[Command, ...]:
    """Return the commands of a script, in order."""
    return tuple(_Script(text, deep).commands()) if deep < _DEEP else ()


class _Script:
    """One pass over the characters of a script."""

    def __init__(self, text: str, deep: int) -> None:
        self._text = text
        self._deep = deep
        self._at = 0
        self._line = 0
        self._start = 0
        self._words: list[str] = []
        self._word: list[str] | None = None
        self._written: list[str] = []
        self._redirect = ""
        self._cases = 0
        self._pattern = False
        self._heredocs: list[str] = []
        self._inner: list[Command] = []

    def commands(self) -> Iterator[Command]:
        """Yield each command when its end is read, after those in its words."""
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in "\n;&|()":
                yield from self._operator(char)
            else:
                self._character(char)
        yield from self._end()

    def _character(self, char: str) -> None:
        if char == "\\":
            self._escape()
        elif char in " \t\r":
            self._end_word()
            self._at += 1
        elif char == "#" and self._word is None:
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end
        elif char in "'\"":
            self._quoted(char)
        elif char in "<>":
            self._redirection(char)
        elif char == "`" or self._text.startswith("$(", self._at):
            self._substitution()
        else:
            self._add(char)
            self._at += 1

    def _add(self, text: str) -> None:
        if self._word is None:
            self._word = []
            if not self._words:
                self._start = self._line
        self._word.append(text)

    def _escape(self) -> None:
        following = self._text[self._at + 1 : self._at + 2]
        if following == "\n":
            self._line += 1
        else:
            self._add(following)
        self._at += 2

    def _quoted(self, quote: str) -> None:
        self._add("")
        self._at += 1
        while self._at < len(self._text) and self._text[self._at] != quote:
            char = self._text[self._at]
            if quote == '"' and (char == "`" or self._text.startswith("$(", self._at)):
                self._substitution()
                continue
            if quote == '"' and char == "\\":
                self._at += 1
                char = self._text[self._at : self._at + 1]
            self._line += char == "\n"
            self._add(char)
            self._at += 1
        self._at += 1

    def _substitution(self) -> None:
        """Read ``$(…)`` or backticks: a part of the word, with commands in it."""
        begin = self._at
        ticks = self._text[begin] == "`"
        end = self._text.find("`", begin + 1) if ticks else _closing(self._text, begin + 1)
        inner = begin + (1 if ticks else 2)
        end = len(self._text) if end < 0 else end
        content = self._text[inner:end]
        for command in () if content.startswith("(") else parse(content, self._deep + 1):
            self._inner.append(dataclasses.replace(command, line=command.line + self._line))
        self._add(self._text[begin : end + 1])
        self._line += content.count("\n")
        self._at = end + 1

    def _redirection(self, char: str) -> None:
        if self._word is not None and "".join(self._word).isdigit():
            self._word = None
        self._end_word()
        if self._text.startswith("<<<", self._at):
            self._at += 3
        elif found := re.compile(r"<<-?\s*['\"]?(\w+)['\"]?").match(self._text, self._at):
            self._heredocs.append(found[1])
            self._at = found.end()
            return
        else:
            marks = re.compile(r"[<>]+[&|]?").match(self._text, self._at)
            self._at = marks.end() if marks else self._at + 1
        self._redirect = char

    def _operator(self, char: str) -> Iterator[Command]:
        if char == "&" and self._text.startswith("&>", self._at):
            self._at += 1
            return
        if char == "(" and self._word is not None:
            # A function's name.
            self._word = None
            closing = self._text.find(")", self._at)
            self._at = len(self._text) if closing < 0 else closing + 1
            return
        yield from self._end()
        if self._text.startswith(";;", self._at) and self._cases:
            self._pattern = True
        elif char == ")":
            self._pattern = False
        self._at += 1
        if char == "\n":
            self._line += 1
            self._skip_heredocs()

    def _skip_heredocs(self) -> None:
        for mark in self._heredocs:
            end = re.compile(rf"^\s*{mark}\s*$", re.MULTILINE).search(self._text, self._at)
            stop = end.end() if end else len(self._text)
            self._line += self._text.count("\n", self._at, stop)
            self._at = stop
        self._heredocs.clear()

    def _end_word(self) -> None:
        if self._word is None:
            return
        word = "".join(self._word)
        self._word = None
        if self._redirect != "<":
            (self._written if self._redirect else self._words).append(word)
        self._redirect = ""

    def _end(self) -> Iterator[Command]:
        self._end_word()
        self._redirect = ""
        yield from self._inner
        self._inner.clear()
        words, self._words = tuple(self._words), []
        written, self._written = tuple(self._written), []
        if self._pattern and words[:1] != ("esac",):
            return
        if words[:1] == ("case",) and "in" in words[2:]:
            self._cases += 1
        self._cases -= words[:1] == ("esac",)
        self._pattern = words[:1] == ("case",)
        for command in _simple(words, self._start, self._deep):
            yield dataclasses.replace(command, written=written)


def _closing(text: str, begin: int) -> int:
    """Return where the parenthesis at ``begin`` is closed, -1 if nowhere."""
    depth = 0
    for index in range(begin, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if not depth:
            return index
    return -1


def _simple(words: tuple[str, ...], line: int, deep: int) -> Iterator[Command]:
    """Yield the command of some words, without what the shell reads itself, and those in it."""
    rest = list(words[2:] if words[:1] == ("function",) else words)
    waits = False
    while rest and rest[0] in _LEADING:
        waits = waits or rest[0] in {"while", "until"}
        rest.pop(0)
    if not rest or rest[0] in _SILENT:
        return
    sets = rest[0] in _SETS
    others = (index for index, word in enumerate(rest) if not _ASSIGNMENT.fullmatch(word))
    count = len(rest) if sets else next(others, len(rest))
    found = [_ASSIGNMENT.fullmatch(word) for word in rest[:count]]
    assigned = {each[1]: each[2] for each in found if each}
    rest = rest[count:]
    yield Command(tuple(rest), line, assigned, sets or not rest, waits)
    while rest and rest[0] in _WRAPPERS:
        rest.pop(0)
        while rest and (rest[0].startswith("-") or "=" in rest[0] or re.match(r"\d", rest[0])):
            rest.pop(0)
        if rest:
            yield Command(tuple(rest), line, {}, waits=waits)
    if rest and rest[0].rpartition("/")[2] in _SHELLS and deep < _DEEP:
        text = rest[-1] if " " in rest[-1] else ""
        for command in parse(text, deep + 1):
            yield dataclasses.replace(command, line=line)
