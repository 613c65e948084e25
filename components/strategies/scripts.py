"""The build scripts of strategies as one text each, with their parts in their place."""

import itertools
import re
from pathlib import Path

_FOLDER = Path(__file__).parent
_PART = re.compile(r"^\. \./(\S+)\n", re.MULTILINE)


def script(name: str) -> str:
    """Return a build script without the comments at its head."""
    lines = (_FOLDER / name).read_text(encoding="utf-8").splitlines(keepends=True)
    body = "".join(itertools.dropwhile(lambda line: line.startswith("#"), lines))
    return _PART.sub(lambda part: script(part[1]), body)
