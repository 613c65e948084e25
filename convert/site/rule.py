"""What a rule of the import is: a key of a site's files, and what becomes of it."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from components.gitlab_runner import charts
from components.gitlab_runner.keys import known_keys
from components.types import JSON
from convert.site.draft import Draft
from convert.site.model import ChartRelease, Evidence, KeyFinding, Outcome, Tree, is_set, leaves
from convert.site.secrets import is_secret

CONFIDENTIAL = (
    "looks like a secret, which everyone who reads the file would know",
    "replace it at its issuer, and give the new one to the jobs that need it as a masked variable "
    "in GitLab",
)
"""Why a secret is not taken, and what to do."""
_TEMPLATE = ("is a template", "import what it renders to (helm get values, or the ConfigMap)")
_ENCRYPTED = ("is encrypted with SOPS", "import what sops --decrypt prints")
_EMPTY = ("has another form than the chart and the runner take", "correct it")


@dataclasses.dataclass(kw_only=True)
class DraftRunner:
    """A runner of the draft: its name, and what its files say about how its jobs build."""

    name: str
    evidence: Evidence = dataclasses.field(default_factory=Evidence)


@dataclasses.dataclass(kw_only=True)
class KeyCase:
    """A key of a file, with the runners that it is about, which are all of its release."""

    draft: Draft
    release: ChartRelease
    runners: Sequence[DraftRunner]
    file: str
    path: str
    value: Tree
    findings: list[KeyFinding]

    def at(self, path: str, value: Tree) -> "KeyCase":
        """Return the case of a part of the value."""
        return dataclasses.replace(self, path=f"{self.path}{path}", value=value)

    @property
    def unknown(self) -> tuple[str, str] | None:
        """Why a value is not known, and what to do, where that is so."""
        found = leaves(self.value)
        if any("{{" in leaf for leaf in found):
            return _TEMPLATE
        return _ENCRYPTED if any(leaf.startswith("ENC[") for leaf in found) else None

    def take(self, key: str, value: JSON, text: str = "", do: str = "") -> KeyFinding:
        """Set a key of the stack file; ``*`` in it stands for each runner of the release."""
        keys = [key.replace("*", runner.name) for runner in self.runners]
        finding = self._found("asks" if do else "taken", text, do)
        finding.keys = tuple(dict.fromkeys(keys if "*" in key else [key]))
        if unknown := self.unknown:
            finding.refuse(*unknown)
            return finding
        if value in ("", [], {}) and not key.endswith(".strategy"):
            finding.refuse(*_EMPTY)
            return finding
        if any(map(is_secret, _texts(value))):
            finding.refuse(*CONFIDENTIAL)
            return finding
        for each in finding.keys:
            if standing := self.draft.put(tuple(each.split(".")), value, finding):
                self._settle(finding, standing)
        return finding

    def _settle(self, finding: KeyFinding, standing: KeyFinding) -> None:
        """Say that another value stands already: of the same release, or of another one."""
        where = f"{standing.file}: {standing.path}"
        if standing.file == finding.file and standing.path != finding.path:
            finding.refuse(f"differs from {where}, and there is one key for both", "keep one")
        elif standing.file.startswith(self.release.file):
            finding.outcome, finding.text = "unknown", f"{where} says otherwise, and counts"
        else:
            finding.refuse(f"differs from {where}, which is taken", "make another stack for it")

    def product(self, text: str) -> KeyFinding:
        """Say that the product does it itself, and how."""
        return self._found("product", text)

    def ask(self, text: str, do: str, *keys: str) -> KeyFinding:
        """Say that the stack file has a key for it, whose value no file can have."""
        finding = self._found("asks", text, do)
        named = [key.replace("*", runner.name) for key in keys for runner in self.runners]
        finding.keys = tuple(dict.fromkeys(named))
        return finding

    def refuse(self, text: str, do: str = "") -> KeyFinding:
        """Refuse it: why, and what to do."""
        return self._found("refused", text, do)

    def ignore(self, text: str) -> KeyFinding:
        """Say that neither chart nor runner reads it, so that it had no effect."""
        return self._found("unknown", text)

    def _found(self, outcome: Outcome, text: str, do: str = "") -> KeyFinding:
        finding = KeyFinding(file=self.file, path=self.path, outcome=outcome, text=text, do=do)
        self.findings.append(finding)
        return finding


Take: TypeAlias = Callable[[KeyCase], object]
Convert: TypeAlias = Callable[[Tree], JSON]


class SiteRule(NamedTuple):
    """A key of the chart (``values``) or of the runner (``config``), and what becomes of it.

    ``path`` has ``*`` for any key; what lies below it belongs to it. ``keys`` are those of the
    stack file that it may become, and ``says`` explains the rest.
    """

    path: str
    outcome: Outcome
    keys: tuple[str, ...]
    says: str
    take: Take


def key(path: str, becomes: str, convert: Convert, says: str = "") -> SiteRule:
    """A key that becomes one of the stack file."""

    def take(case: KeyCase) -> None:
        case.take(becomes, convert(case.value), says)

    return SiteRule(path, "taken", (becomes,), says, take)


def keys(path: str, becomes: Sequence[str], take: Take, says: str = "") -> SiteRule:
    """A key that becomes several of the stack file, or one in another form."""
    return SiteRule(path, "taken", tuple(becomes), says, take)


def done(path: str, says: str) -> SiteRule:
    """A key for which the product has no use, since it does that itself."""
    return SiteRule(path, "product", (), says, functools.partial(KeyCase.product, text=says))


def refused(path: str, says: str, do: str = "") -> SiteRule:
    """A key that has no place here: why, and what to do."""
    whole = f"{says}; {do}" if do else says
    return SiteRule(path, "refused", (), whole, functools.partial(KeyCase.refuse, text=says, do=do))


def extra(path: str, says: str = "") -> SiteRule:
    """A key of config.toml that has no key here, and moves to ``extra``."""
    return SiteRule(path, "extra", (EXTRA,), says, functools.partial(to_extra, says=says))


EXTRA = "runners.*.extra"


def to_extra(case: KeyCase, says: str, path: str = "") -> None:
    """Move a key to ``extra``, where it has another name below ``runners`` if ``path`` is given."""
    path = path or case.path
    value: JSON = typed(case.value, path)
    for part in reversed(path.removeprefix("runners.").split(".")):
        value = {part: value}
    finding = case.take(EXTRA, value, says)
    if finding.outcome == "taken":
        finding.outcome = "extra"


def typed(value: Tree, path: str) -> JSON:
    """Return a value of a key of config.toml with the types that GitLab Runner knows."""
    if isinstance(value, dict):
        return {name: typed(below, f"{path}.{name}") for name, below in value.items()}
    if isinstance(value, list):
        return [typed(below, path) for below in value]
    kind = _types().get(path) or _types().get(f"{path.rpartition('.')[0]}.*", "")
    if kind.startswith("boolean") and value in {"true", "false"}:
        return value == "true"
    is_number = kind.startswith("integer") and re.fullmatch(r"-?[0-9]{1,18}", value or "")
    return int(value or "") if is_number else value


@functools.cache
def _types() -> Mapping[str, str]:
    return known_keys(charts.runner_of(charts.DEFAULT_VERSION))


Find: TypeAlias = Callable[[str], SiteRule | None]
"""Finds the rule for a path."""


def apply(find: Find, case: KeyCase) -> None:
    """Follow the rules for a key and all below it; a key without one is unknown."""
    if rule := find(case.path):
        if is_set(case.value):
            _take(rule, case)
    elif isinstance(case.value, dict):
        for name, below in case.value.items():
            apply(find, case.at(f".{name}", below))
    elif isinstance(case.value, list) and any(isinstance(item, dict) for item in case.value):
        for item in case.value:
            apply(find, dataclasses.replace(case, value=item))
    elif case.value not in (None, "", []):
        case.ignore("is not a key of the chart or of GitLab Runner that is known here")


def _take(rule: SiteRule, case: KeyCase) -> None:
    try:
        rule.take(case)
    except ValueError as error:
        case.refuse(*(case.unknown or _mistake(error)))


def _mistake(error: ValueError) -> tuple[str, str]:
    text, _, do = str(error).partition("; ")
    return text, do or "correct it"


def _texts(value: JSON) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for below in value.values():
            yield from _texts(below)
    elif isinstance(value, list):
        for below in value:
            yield from _texts(below)
