"""Keeps secrets out of a report: values that are marked secret, and known secrets in text."""

import base64
import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

from report.tree import JSON, Tree, leaves

SECRET = "[secret]"  # noqa: S105 - the placeholder for a secret
UNKNOWN = "(known after the update)"
MARK = "4dabf18193072939515e22adb298388d"
"""The key that marks a secret, an asset and the like (pulumi: sdk/go/common/resource/sig)."""
_MARKED_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - its value for a secret
# The placeholders for a value that a preview does not know
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
    # GitLab's tokens (gitlab:doc/security/tokens/_index.md), and variables named like secrets.
    rf"\bgl[a-z]{{2,5}}-[\w.-]{{8,}}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|"
    rf"(?P<name>\b{_NAMED}|\b[\w-]*secret)=(?!\[secret\])[^\s\"',;]+",
    re.IGNORECASE,
)


class Scrubber:
    """Replaces known secrets in text, in each of their usual encodings, and obvious secrets.

    A secret shorter than eight characters is replaced only where it stands alone: as a part of a
    longer word it is usually something else.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
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
            lambda found: f"{found['name']}={SECRET}" if found["name"] else SECRET, known
        )


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret and its lines as they are, in JSON, in a URL and in base64."""
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
    """Yield every text that a state marks as secret; the state must be decrypted.

    The provider's copy of a resource's inputs is skipped: it is marked as a whole if a part of it
    is secret, which would make names and public settings secret too.
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
    """Yield the texts of a secret config value: as a whole, and for an object leaf by leaf."""
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
            # A Secret's values are in base64, and config files in it contain the secret.
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
    """Whether a value is a secret by its name, although nothing marks it."""
    return isinstance(value, str) and bool(value) and bool(_SECRET_KEY.fullmatch(name))
