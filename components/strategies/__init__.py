"""How jobs turn a Dockerfile into an image: one file for each strategy, and their union here.

A class that lacks what a strategy must have is an error of the type checker where the union is
used; no other list of strategies exists.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import BeforeValidator, Field

from components.site import Site
from components.strategies.auto import Auto
from components.strategies.buildah import Buildah
from components.strategies.buildkit import Buildkit
from components.strategies.buildkit_service import BuildkitService
from components.strategies.buildx import Buildx
from components.strategies.deploy import Deploy
from components.strategies.dind import Dind
from components.strategies.dood import Dood
from components.strategies.kaniko import Kaniko
from components.types import named_kind

Strategy = Kaniko | BuildkitService | Buildkit | Buildah | Buildx | Dind | Dood | Deploy | Auto
"""From what needs the least to what needs the most; tables and explanations keep the order."""

DEFAULT = Auto()
"""The strategy of a runner for which the stack file names none."""

STRATEGIES: Mapping[str, type[Strategy]] = {
    strategy.model_fields["kind"].default: strategy
    for strategy in cast("tuple[type[Strategy], ...]", get_args(Strategy))
}
"""The classes by the kind that a stack file names them by."""

_Kind = cast(
    "Any",
    Literal[
        tuple(
            sorted(
                kind
                for kind, strategy in STRATEGIES.items()
                if not any(field.is_required() for field in strategy.model_fields.values())
            )
        )
    ],
)
"""The kinds that a stack file can give by their names alone: all of their options have defaults."""

_Given = Annotated[Strategy, Field(discriminator="kind")]
AnyStrategy = Annotated[_Given, BeforeValidator(named_kind, json_schema_input_type=_Given | _Kind)]
"""A strategy as a stack file says it: an object with ``kind``, or its kind alone."""


def forms() -> Iterator[tuple[str, Strategy]]:
    """Yield every strategy in each of its forms, with the form's name."""
    for strategy in STRATEGIES.values():
        for name, options in strategy.forms.items():
            yield name, strategy.model_validate(options)


def resolve(strategy: Strategy, site: Site) -> tuple[Strategy, str]:
    """Return the strategy that runs there, and why it is that one."""
    if isinstance(strategy, Auto):
        return strategy.choose(site), strategy.why(site)
    return strategy, "the stack file names it"


def command(kind: str, options: Mapping[str, Any]) -> str:
    """Return what jobs of a strategy call, by its kind and what is known of its options.

    It is empty where they build nothing, or where no strategy has that kind.
    """
    strategy = STRATEGIES.get(kind)
    return strategy.model_construct(**options).command if strategy else ""
