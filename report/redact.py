"""What keeps secrets out of a report: marks in values, and known secrets in text."""

import base64
import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

from report.tree import JSON, Tree, leaves

SECRET = "[secret]"  # noqa: S105 - what stands in place of one
UNKNOWN = "(known after the update)"
MARK = "4dabf18193072939515e22adb298388d"
"""The key that marks a secret, an asset and the like (pulumi: sdk/go/common/resource/sig)."""
_MARKED_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - its value for a secret
# What stands for a value that is not known in a preview
# (pulumi: sdk/go/common/resource/plugin/rpc.go).
_UNKNOWNS = {
    "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
}
_INTERNAL = {"__defaults", "__inputs"}
_SHORT = 8
_NAMED = r"[\w-]*(?:password|passwd|token|private[-_]?key|api[-_]?key|access[-_]?key)"
_SECRET_KEY = re.compile(rf"{_NAMED}", re.IGNORECASE)
_OBVIOUS = re.compile(
    # GitLab's own tokens (gitlab:doc/security/tokens/_index.md), and variables that say it.
    rf"\bgl[a-z]{{2,5}}-[\w.-]{{8,}}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|"
    rf"(?P<name>\b{_NAMED}|\b[\w-]*secret)=(?!\[secret\])[^\s\"',;]+",
    re.IGNORECASE,
)


class Scrubber:
    """Takes known secrets out of text, however they are spelled there, and what looks like one.

    Values shorter than eight characters are words that text has for other reasons, so they are
    taken out only where they stand alone.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Remember the secrets and their usual encodings."""
        spelled = {form for secret in secrets for form in _spellings(secret)}
        patterns = [
            re.escape(form) if len(form) >= _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)"
            for form in sorted(spelled, key=len, reverse=True)
        ]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def __call__(self, text: str) -> str:
        """Return ``text`` without them."""
        known = self._pattern.sub(SECRET, text) if self._pattern else text
        return _OBVIOUS.sub(
            lambda found: f"{found['name']}={SECRET}" if found["name"] else SECRET,
            known,
        )


def _spellings(secret: str) -> Iterator[str]:
    """Yield what a secret looks like as it is, in JSON, in a URL, in base64 and line by line."""
    for part in {secret, *secret.splitlines()}:
        if not part.strip():
            continue
        yield part
        yield json.dumps(part)[1:-1]
        yield quote(part, safe="")
        encoded = base64.b64encode(part.encode()).decode()
        yield encoded
        yield encoded.rstrip("=")


def secrets_of(value: JSON) -> Iterator[str]:
    """Yield every text that is marked secret in a state with its secrets in plain.

    The provider's copy of a resource's inputs is left out: it is marked as a whole if any of it
    is secret, and so would make names and public settings secret.
    """
    if isinstance(value, Mapping):
        if value.get(MARK) == _MARKED_SECRET:
            yield from _texts(json.loads(str(value.get("plaintext", "null"))))
        else:
            for key, item in value.items():
                if key not in _INTERNAL:
                    yield from secrets_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from secrets_of(item)


def config_secrets(value: str) -> Iterator[str]:
    """Yield the texts in a config value that is secret; an object counts leaf by leaf."""
    try:
        yield from _texts(json.loads(value))
    except ValueError:
        yield value
    else:
        yield value


def _texts(value: object) -> Iterator[str]:
    for leaf in leaves(value):
        if isinstance(leaf, str):
            yield leaf
            # A Secret's values are in base64, and config files in it hold the secret as a part.
            for decoded in _decoded(leaf):
                yield from _texts(decoded)


def _decoded(text: str) -> Iterator[object]:
    with contextlib.suppress(ValueError):
        if decoded := base64.b64decode(text, validate=True).decode():
            yield decoded
    if text.startswith(("{", "[")):
        with contextlib.suppress(ValueError):
            yield json.loads(text)


def clean(value: Tree, scrub: Scrubber) -> dict[str, JSON]:
    """Return the inputs of a resource without secrets, marks and what the provider keeps."""
    if MARK in value:
        return {"value": SECRET}
    cleaned: dict[str, JSON] = {
        scrub(key): SECRET if _names_a_secret(key, item) else _clean(item, scrub)
        for key, item in value.items()
        if key not in _INTERNAL
    }
    if _names_a_secret(str(value.get("name")), value.get("value")):
        cleaned["value"] = SECRET
    return cleaned


def _clean(value: JSON, scrub: Scrubber) -> JSON:
    if isinstance(value, Mapping):
        if MARK in value:
            return SECRET if value[MARK] == _MARKED_SECRET else "(a file)"
        return clean(value, scrub)
    if isinstance(value, list):
        return [_clean(item, scrub) for item in value]
    if isinstance(value, str):
        return UNKNOWN if value in _UNKNOWNS else scrub(value)
    return value


def _names_a_secret(name: str, value: JSON) -> bool:
    """Whether a name says that its value is a secret, although nothing marks it."""
    return isinstance(value, str) and bool(value) and bool(_SECRET_KEY.fullmatch(name))
