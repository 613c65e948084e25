"""The rules of the import: one for each key of the chart and of GitLab Runner for Kubernetes."""

import re
from collections.abc import Mapping, Sequence

from convert.site.rule import SiteRule
from convert.site.rules import (
    cache,
    chart,
    config,
    environment,
    kubernetes,
    legacy,
    manager,
    patches,
    resources,
    volumes,
)


def _by_path(rules: Sequence[SiteRule]) -> Mapping[str, SiteRule]:
    return {rule.path.lower(): rule for rule in rules}


_OLD_BLOCKS = [rule for rule in resources.RULES if "kubernetes" not in rule.path]
_OF_PODS = [rule for rule in resources.RULES if "kubernetes" in rule.path]

GLOBAL = _by_path(config.GLOBAL)
"""What becomes of the keys of config.toml that all of its runners share."""

RUNNER = _by_path(
    (
        *config.RUNNER,
        *cache.RULES,
        *kubernetes.RULES,
        *patches.RULES,
        *_OF_PODS,
        *volumes.RULES,
        *legacy.RUNNER,
    )
)
"""What becomes of the keys of a runner in config.toml."""

VALUES = _by_path(
    (*chart.RULES, *manager.RULES, *environment.RULES, *cache.RULES, *_OLD_BLOCKS, *legacy.RULES)
)
"""What becomes of the values of the chart, by their path in lowercase."""


def of_values(path: str) -> SiteRule | None:
    """Return the rule for a value.

    Charts around the official one have values that are named like keys of config.toml, and mean
    these: ``pollTimeout`` or ``runner.poll_timeout``.
    """
    if rule := VALUES.get(path.lower()):
        return rule
    parent, _, name = path.rpartition(".")
    if parent.lower() not in _WRAPPERS or any(
        rule.startswith(f"{path.lower()}.") for rule in VALUES
    ):
        return None
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    places = (f"runners.kubernetes.{snake}", f"runners.{snake}")
    return next((RUNNER[place] for place in places if place in RUNNER), None)


_WRAPPERS = {"", "runner", "runners", "runners.kubernetes", "kubernetes", "gitlabrunner"}
