"""Every key of the chart and of GitLab Runner has a rule."""

from collections.abc import Collection

import pytest

from components.gitlab_runner.keys import known_keys
from convert.site.rules import GLOBAL, RUNNER, VALUES
from dev.paths import CHECKOUT

FOLDER = CHECKOUT / "tests/convert/site"
CHART = (FOLDER / "chart_keys.txt").read_text(encoding="utf-8").split()
"""The values of chart 0.86.0, those in comments too."""
CONFIG = sorted(known_keys("99.0.0"))
"""The keys of config.toml for jobs in Kubernetes."""


def _is_covered(key: str, known: Collection[str]) -> bool:
    parts = key.replace("[]", "").lower().split(".")
    above = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    below = f"{'.'.join(parts)}."
    return bool(above.intersection(known)) or any(path.startswith(below) for path in known)


@pytest.mark.parametrize("key", CHART)
def test_a_value_of_the_chart_has_a_rule(key: str) -> None:
    assert _is_covered(key, VALUES)


@pytest.mark.parametrize("key", CONFIG)
def test_a_key_of_the_runner_has_a_rule(key: str) -> None:
    assert _is_covered(key, {**GLOBAL, **RUNNER})
