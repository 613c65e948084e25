"""What a chart can install that rendering it elsewhere does not show, by the text of its files.

A preview renders as for a first installation, on a cluster of one version, without a cluster. A
template that asks for anything else renders other objects in an update.
"""

import re
from collections.abc import Iterator, Mapping

# A comment, or an action with its strings, in which braces may be (text/template, Actions).
_ACTION = re.compile(
    r"\{\{-?\s*/\*.*?\*/\s*-?\}\}|"
    r"\{\{((?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|'(?:\\.|[^'\\])*'|[^\"`'])*?)\}\}",
    re.DOTALL,
)
# The official chart asks whether a cluster has an API. All that are supported have autoscaling/v2
# and none v2beta2; the other is rendered as if each had it.
_ASKS = re.compile(
    r"-?\s*(?:else )?if \.Capabilities\.APIVersions\.Has "
    r'"(autoscaling/v2|autoscaling/v2beta2|monitoring\.coreos\.com/v1)"\s*-?'
)
_ELSE = re.compile(r"-?\s*else\s*-?")
_WORDS = re.compile(
    r"\b(lookup|Capabilities|IsInstall|IsUpgrade|Revision|getHostByName|now|rand\w+|uuidv4|"
    r"gen(?:CA|PrivateKey|SelfSignedCert|SignedCert)\w*)\b"
)
_HOOK = "helm.sh/hook"


def unseen(files: Mapping[str, bytes]) -> Iterator[str]:
    """Yield each thing and the file that has it; ``files`` are a chart's by their path in it."""
    for name in sorted(files):
        text = files[name].decode(errors="replace")
        yield from (f"{word} in {name}" for word in sorted(set(_asked(text))))
        if name.startswith("crds/") or "/crds/" in name:
            yield f"a custom resource definition in {name}"
        if name.endswith((".tgz", ".tar.gz")):
            yield f"another chart in {name}"
        if _HOOK in text:
            yield f"a hook in {name}"


def _asked(text: str) -> Iterator[str]:
    actions: list[str] = _ACTION.findall(text)
    asked = [found[1] for found in map(_ASKS.fullmatch, actions) if found]
    if "monitoring.coreos.com/v1" in asked and any(map(_ELSE.fullmatch, actions)):
        # What a cluster without the API gets is not rendered.
        yield "Capabilities"
    for action in actions:
        if not _ASKS.fullmatch(action):
            yield from _WORDS.findall(action)
