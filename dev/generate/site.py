"""What becomes of the keys of the chart and of GitLab Runner, as Markdown."""

from collections.abc import Mapping

from convert.site.model import OUTCOMES
from convert.site.operated import OPERATED
from convert.site.rule import SiteRule
from convert.site.rules import GLOBAL, RUNNER, VALUES
from dev.generate.keys import table


def values() -> str:
    """Return what becomes of the values of the chart."""
    return _table(VALUES)


def config() -> str:
    """Return what becomes of the keys of ``config.toml``."""
    return _table({**GLOBAL, **RUNNER})


def operated() -> str:
    """Return what becomes of the properties of a Runner of GitLab Runner Operator."""
    return _table(OPERATED)


def _table(rules: Mapping[str, SiteRule]) -> str:
    rows = [[f"`{rule.path}`", _becomes(rule), rule.says] for rule in rules.values()]
    return table(["key", "what becomes of it", "note"], sorted(rows))


def _becomes(rule: SiteRule) -> str:
    keys = ", ".join(f"`{key.replace('*', '<name>')}`" for key in rule.keys)
    return keys or OUTCOMES[rule.outcome]
