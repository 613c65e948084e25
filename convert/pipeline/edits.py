"""Changes of pipeline files by which nothing else in them changes, not a byte."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from convert.pipeline.rule import Edit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """Text of a file that is to be another: ``old`` is at ``start``, -1 where people must do it."""

    file: str
    line: int
    old: str
    new: str
    start: int = -1


def change(edit: Edit, texts: Mapping[str, str]) -> Change:
    """Return what to write for an edit, by the texts of the files that were read."""
    place = edit.place
    text = texts.get(place.file, "")
    if not edit.new and place.start >= 0:
        start, end = _entry(text, place.key if place.key >= 0 else place.start, place.end)
    elif not edit.old and place.start >= 0:
        return _insertion(edit, text)
    elif place.start >= 0 and text.count(edit.old, place.start, place.end) == 1:
        start = text.index(edit.old, place.start, place.end)
        end = start + len(edit.old)
    else:
        start = end = -1
    if start < 0:
        return Change(file=place.file, line=place.line, old=edit.old, new=edit.new)
    line = text.count("\n", 0, start) + 1
    return Change(file=place.file, line=line, old=text[start:end], new=edit.new, start=start)


def _entry(text: str, start: int, end: int) -> tuple[int, int]:
    """Return where the whole lines of an entry begin and end, -1 where it shares a line.

    A key or a mark of a list that has nothing below it then goes too.
    """
    while end > start and re.search(r"\n[ \t]*(#[^\n]*)?\n?\Z", text[start:end]):
        # An entry ends where the next one begins, behind comments and empty lines.
        end = text.rindex("\n", start, end)
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", end)
    stop = len(text) if stop < 0 else stop + 1
    if text[begin:start].strip(" -") or not re.fullmatch(r"\s*(#.*)?\s*", text[end:stop]):
        return -1, -1
    indent = _indent(text, begin)
    above, key = _key_above(text, begin)
    below = text[stop:].lstrip("\n")
    follows = _indent(below, 0) if below else -1
    listed = below.lstrip(" ").startswith("-") and text[start - 2 : start - 1] == "-"
    if key and (follows < indent and not (listed and follows == indent)):
        if _key_above(text, above)[1] and follows < _indent(text, above):
            # A job with nothing in it would undo what it adds to.
            return -1, -1
        return (above, stop) if _indent(text, above) or text[above] != " " else (-1, -1)
    return begin, stop


def _key_above(text: str, begin: int) -> tuple[int, bool]:
    """Return where the line above one begins, and whether it is a key and no more."""
    above = text.rfind("\n", 0, begin - 1) + 1 if begin else 0
    return above, bool(re.fullmatch(r" *[\w.\"' -]+: *\n", text[above:begin]))


def _indent(text: str, at: int) -> int:
    return len(text) - at - len(text[at:].lstrip(" "))


def _insertion(edit: Edit, text: str) -> Change:
    """Return a line above the first one of a mapping with a line for each entry."""
    start = edit.place.start
    begin = text.rfind("\n", 0, start) + 1
    indent = text[begin:start]
    if indent.strip() or text[start : start + 1] == "{":
        return Change(file=edit.place.file, line=edit.place.line, old="", new=edit.new)
    line = text.count("\n", 0, start) + 1
    new = f"{indent}{edit.new}\n"
    return Change(file=edit.place.file, line=line, old="", new=new, start=begin)


def write(changes: Iterable[Change], root: Path) -> int:
    """Make the changes that can be written by themselves; return how many were made.

    Those that stand twice, or in each other, are made once.
    """
    by_file: dict[str, set[Change]] = {}
    for each in changes:
        if each.start >= 0:
            by_file.setdefault(each.file, set()).add(each)
    done = 0
    for name, wanted in by_file.items():
        path = root / name
        content = path.read_bytes().decode("utf-8")
        mark = "\ufeff" if content.startswith("\ufeff") else ""
        text = content.removeprefix(mark)
        before = len(text) + 1
        for each in sorted(wanted, key=lambda item: (item.start, len(item.old)), reverse=True):
            end = each.start + len(each.old)
            if end <= before and text[each.start : end] == each.old:
                text = text[: each.start] + each.new + text[end:]
                before = each.start
                done += 1
        path.write_bytes((mark + text).encode("utf-8"))
    return done
