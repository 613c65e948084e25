"""Which secrets a stack file holds in plain text, leaf by leaf.

A program learns of a whole config key only whether some part of it is encrypted, so a leaf in
plain text beside an encrypted one is found in the file alone.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping

from components.types import JSON, PROJECT

SECRET_KEYS = (
    f"{PROJECT}:runnerTokens",
    f"{PROJECT}:registryCredentials",
    f"{PROJECT}:cacheCredentials",
    "gitlab:token",
    "kubernetes:kubeconfig",
)
"""The keys of the config that hold secrets."""

_PUBLIC = re.compile(
    rf"{PROJECT}:(registryCredentials(\.|\[).*\Wusername|cacheCredentials(\.|\[).*\WaccessKey)\"?\]?"
)
"""The path of a leaf that is not secret."""
_CIPHERTEXT = re.compile(r"v[0-9]+:.+|[A-Za-z0-9+/]{16,}=*")
"""What Pulumi writes below ``secure`` (pulumi: sdk/go/common/resource/config/crypt.go)."""
_CREDENTIAL = re.compile(r"\b(token|password|client-key-data)\"?\s*:")
"""What makes a kubeconfig secret; a path to one, or one that runs a program, is not."""
_LOGIN = re.compile(
    # A name alone is a token in many URLs, but not in those of SSH.
    r"\bhttps?://[^/\s:@]+@|\b[a-z][a-z0-9+.-]{0,30}://[^/\s:@]*:(?![0-9]*/)[^\s@]+@|"
    # The form of a proxy's address without a scheme; an image by tag and digest is not one.
    r"^[^/\s:@]+:[^/\s]+@[^/\s@]+:[0-9]{1,5}/?$",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"\$(\w+|\{\w+\})")


def has_login(text: str) -> bool:
    """Return whether a text contains a URL with a login; variables of jobs in it are not one."""
    return bool(_LOGIN.search(_REFERENCE.sub("", text)))


def plain_secrets(config: Mapping[str, JSON], stack: str, source: str) -> Iterator[tuple[str, str]]:
    """Yield (path, message) of each secret in plain text, without its value.

    ``config`` is that of ``stack``, with ciphertext as it stands in ``source``.
    """
    for key, value in config.items():
        # Without --path, `pulumi config set` makes one key of a whole path.
        if re.split(r"[.\[]", key)[0] in SECRET_KEYS:
            for path, text in _leaves(key, value):
                if _is_secret(path, text):
                    where = path.removeprefix(f"{PROJECT}:")
                    yield (
                        path,
                        f"is in plain text in {source}, so everyone who can read that knows it; "
                        "remove it, have its issuer replace it, and store the new one; run: "
                        f"pulumi config set --secret --path '{where}' --stack {stack}",
                    )


def _leaves(path: str, value: JSON) -> Iterator[tuple[str, str]]:
    """Yield path and text of each leaf that is not encrypted; an object may be given as JSON."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, dict) and value.keys() == {"secure"}:
        if not _CIPHERTEXT.fullmatch(str(value["secure"])):
            yield path, str(value["secure"])
    elif isinstance(value, dict):
        for key, item in value.items():
            plain = re.fullmatch(r"[A-Za-z_][\w-]*", str(key))
            below = f".{key}" if plain else f"[{json.dumps(str(key))}]"
            yield from _leaves(f"{path}{below}", item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(f"{path}[{index}]", item)
    elif value is not None:
        yield path, str(value)


def _is_secret(path: str, text: str) -> bool:
    if path.startswith("kubernetes:"):
        return bool(_CREDENTIAL.search(f"{path}: {text}"))
    return bool(text) and not _PUBLIC.fullmatch(path)
