"""Pipelines that are put to the check, on runners of every strategy."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from components.settings.models import Settings
from components.strategies import STRATEGIES as KINDS
from convert.pipeline.check import Result, check
from convert.pipeline.runner import StackRunner, candidates, runners
from tests.support.configured import SETTINGS, STRATEGIES

BY_KIND: Mapping[str, Any] = {kind: STRATEGIES[kind] for kind in KINDS if kind in STRATEGIES} | {
    "buildkit-service-buildx": STRATEGIES["buildkit-service-buildx"]
}
"""A strategy of each kind, as a stack file says it."""


def stack(strategies: Mapping[str, Any] = BY_KIND, **changes: Any) -> Settings:  # noqa: ANN401 - YAML
    """Return a stack with a runner for each strategy, which has its name as the tag."""
    named = {
        name: {"tags": [name], "strategy": strategy, **changes}
        for name, strategy in strategies.items()
    }
    return Settings.model_validate({**SETTINGS, "runners": named})


def checked(
    folder: Path, pipeline: object, settings: Settings | None = None, *, merged: bool = False
) -> Result:
    """Check a pipeline, a text or what YAML makes of it, as the only file of a checkout."""
    file = folder / ".gitlab-ci.yml"
    text = pipeline if isinstance(pipeline, str) else yaml.safe_dump(pipeline, sort_keys=False)
    file.write_text(text, encoding="utf-8", newline="")
    (folder / ".git").mkdir(exist_ok=True)
    usual, every = _usual()
    return check([file], runners(settings) if settings else usual, every, merged=merged)


@functools.cache
def _usual() -> tuple[list[StackRunner], list[StackRunner]]:
    """Return the runners of the stack that most tests take, and every strategy."""
    settings = stack()
    return runners(settings), candidates(settings)


def verdict(result: Result) -> str:
    """Return the worst verdict of the jobs."""
    order = ["unchanged", "change", "cannot"]
    return max((item.verdict for item in result.verdicts), key=order.index)


def rules(result: Result) -> list[str]:
    """Return the rules that found something."""
    return [finding.rule for item in result.verdicts for finding in item.findings]
