"""Which nodes pods may run on."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

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

Spread = Literal["node", "zone"]
"""Over what pods are spread: nodes, or the zones of nodes."""


class Requirement(Model):
    """What a label of a node must be, in Kubernetes' terms."""

    key: LabelKey
    """The label's key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """How the label is compared. `NotIn` and `DoesNotExist` also fit nodes without the label."""
    values: list[LabelValue] = Field(default_factory=list[str])
    """The values for `In` and `NotIn`, or one whole number for `Gt` and `Lt`."""

    @model_validator(mode="after")
    def _values_fit_operator(self) -> Self:
        count = len(self.values)
        if self.operator in {"In", "NotIn"} and not count:
            message = f"must have values with the operator {self.operator}; add them"
        elif self.operator in {"Exists", "DoesNotExist"} and count:
            message = f"must not have values with the operator {self.operator}; remove them"
        elif self.operator in {"Gt", "Lt"} and not (count == 1 and self.values[0].isdecimal()):
            message = (
                f"must have one value, a whole number, with the operator {self.operator}; write "
                'it in quotes: values: ["8"]'
            )
        else:
            return self
        raise ValueError(message)


class Preference(Requirement):
    """A label that nodes should have, and how much it counts."""

    weight: int = Field(default=100, ge=1, le=100)
    """How much a node gains that fits, from 1 to 100, where it is compared with others."""


class NodeAffinity(Model):
    """Which nodes pods may run on, and which they run on rather than on others."""

    require: list[Requirement] = Field(default_factory=list[Requirement])
    """What nodes must have, all of it."""
    prefer: list[Preference] = Field(default_factory=list[Preference])
    """What nodes should have. Pods run on others where none is free."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.require or self.prefer):
            message = "must have require or prefer; add one, or remove nodeAffinity"
            raise ValueError(message)
        return self
