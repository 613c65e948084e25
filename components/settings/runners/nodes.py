"""Which nodes pods may run on."""

from collections.abc import Iterator, Mapping
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


_ARCH, _OS = "kubernetes.io/arch", "kubernetes.io/os"
_HELPERS = ("amd64", "arm", "arm64", "ppc64le", "riscv64", "s390x")
"""What GitLab Runner has a helper image for (gitlab-runner:helpers/container/helperimage)."""


def architecture_errors(
    selector: Mapping[str, str], affinity: NodeAffinity | None
) -> Iterator[tuple[str, str]]:
    """Yield (key below the runner, message) of nodes for which the helper has no image."""
    if selector.get(_OS, "linux") != "linux":
        yield f"nodeSelector.{_OS}", "must be linux, since no strategy builds elsewhere; remove it"
    if _ARCH in selector and selector[_ARCH] not in _HELPERS:
        known = ", ".join(_HELPERS)
        message = f"must be one of {known}, for which GitLab Runner has a helper image; correct it"
        yield f"nodeSelector.{_ARCH}", message
    for index, requirement in enumerate(affinity.require if affinity else ()):
        if requirement.key == _ARCH and _ARCH not in selector:
            yield (
                f"nodeAffinity.require[{index}]",
                f"selects nodes by {_ARCH}, and GitLab Runner chooses its helper image by "
                "nodeSelector alone, so it would be the one for amd64; write it in nodeSelector",
            )
