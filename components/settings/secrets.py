"""The secret keys of the config: tokens of runners, and logins of registries."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from components.types import Model


class Credentials(Model):
    """The login of a registry."""

    username: str = Field(min_length=1)
    """The user's name, which is not secret."""
    password: SecretStr = Field(min_length=1)
    """The password, or a token."""


def _runner_token(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text.startswith("GR"):
        message = (
            "must be an authentication token: GitLab 20.0 removes registration tokens; create the "
            "runner in GitLab, and use its token, which begins with glrt-"
        )
        raise ValueError(message)
    if text != text.strip():
        message = "must not have whitespace around it, which breaks requests; remove it"
        raise ValueError(message)
    if not re.fullmatch(r"glrt-[A-Za-z0-9_.-]{8,}", text):
        message = "must be a runner's authentication token; use the one that begins with glrt-"
        raise ValueError(message)
    return value


class Secrets(Model):
    """The keys beside ``image-builds:settings``, which the stack file has encrypted."""

    runner_tokens: dict[str, Annotated[SecretStr, AfterValidator(_runner_token)]] = Field(
        default_factory=dict[str, SecretStr]
    )
    """The authentication token of each runner that exists in GitLab, by the runner's name."""
    registry_credentials: dict[str, Credentials] = Field(default_factory=dict[str, Credentials])
    """The logins, by the names that ``pull`` and ``push`` of registries give them."""
