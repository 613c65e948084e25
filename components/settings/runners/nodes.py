"""Which nodes pods may run on."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from components.types import LabelKey, LabelValue, Model


class Toleration(Model):
    """A taint of nodes that pods tolerate."""

    key: LabelKey
    """The taint's key."""
    value: LabelValue | None = None
    """The taint's value; by default any."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; by default every one."""


def _one_effect_each(tolerations: list[Toleration]) -> list[Toleration]:
    seen: set[tuple[str, str | None]] = set()
    for toleration in tolerations:
        taint = (toleration.key, toleration.value)
        if taint in seen:
            message = (
                f"must name the taint {toleration.key} once, because GitLab Runner keeps one "
                "effect for each; remove effect, to tolerate every one"
            )
            raise ValueError(message)
        seen.add(taint)
    return tolerations


Tolerations = Annotated[list[Toleration], AfterValidator(_one_effect_each)]
"""Taints that are tolerated, each once."""
