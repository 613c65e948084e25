"""The secret config keys beside ``image-builds:settings``."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from components.types import Model


class Credentials(Model):
    """A user name and a password or token."""

    username: str = Field(min_length=1)
    password: SecretStr = Field(min_length=1)


def _runner_token(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text.startswith("GR"):
        message = (
            "is a registration token, which GitLab removes in 20.0; create the runner in GitLab "
            "and use its authentication token, which begins with glrt-"
        )
        raise ValueError(message)
    if text != text.strip():
        message = "has white space around it, which breaks the runner's requests; strip it"
        raise ValueError(message)
    if not re.fullmatch(r"glrt-[\w.-]{8,}", text):
        message = "is no runner authentication token; use the one that begins with glrt-"
        raise ValueError(message)
    return value


class Secrets(Model):
    """The secret config keys beside ``settings``."""

    runner_tokens: dict[str, Annotated[SecretStr, AfterValidator(_runner_token)]] = Field(
        default_factory=dict[str, SecretStr],
    )
    registry_credentials: dict[str, Credentials] = Field(
        default_factory=dict[str, Credentials],
    )
