"""The globs of ``allowed_services``, which are doublestar's (common/allowed_images.go).

Only what the program writes of them is known here: ``*``, ``?`` and ``**`` as a whole part of a
path (github.com/bmatcuk/doublestar/v4: README.md).
"""

import re

_PARTS = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def matches(glob: str, image: str) -> bool:
    """Return whether the runner lets a job name this image, as it is written."""
    found: list[str] = re.findall(r"(?:(?<![^/])\*\*/)|(?:(?<![^/])\*\*$)|.", glob)
    return bool(re.fullmatch("".join(_PARTS.get(part, re.escape(part)) for part in found), image))
