"""The secret keys of the config: tokens of runners, and logins of registries."""

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from components.settings.models import Settings
from components.settings.runners.registration import TokenRegistration
from components.types import PROJECT, Model

_SETTINGS = f"{PROJECT}:settings"


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


def secret_errors(secrets: Secrets, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield (key, message) of each secret that the settings need and lack, or cannot use."""
    for name, runner in settings.runners.items():
        if isinstance(runner.registration, TokenRegistration) and (
            name not in secrets.runner_tokens
        ):
            yield (
                f"{PROJECT}:runnerTokens.{name}",
                f"is missing and runner {name} cannot register without it; run: pulumi config "
                f"set --secret --path 'runnerTokens.{name}' (and paste the glrt- token)",
            )
    for name in sorted(secrets.runner_tokens):
        if name not in settings.runners:
            message = "belongs to no runner of image-builds:settings.runners; remove or rename"
            yield f"{PROJECT}:runnerTokens.{name}", f"{message} it"
        elif not isinstance(settings.runners[name].registration, TokenRegistration):
            kind = settings.runners[name].registration.kind
            message = f"is never used, since registration of that runner is {kind}; remove it"
            yield f"{PROJECT}:runnerTokens.{name}", f"{message}, or set registration: token"
    yield from _shared_tokens(secrets, settings)
    yield from _secrets_of_others(settings)
    for path, name in settings.logins():
        if name not in secrets.registry_credentials:
            yield (
                f"{PROJECT}:registryCredentials.{name}",
                f"is missing, and settings.{path} names it; run: pulumi "
                f"config set --path 'registryCredentials.{name}.username' NAME and pulumi "
                f"config set --secret --path 'registryCredentials.{name}.password'",
            )


def _shared_tokens(secrets: Secrets, settings: Settings) -> Iterator[tuple[str, str]]:
    owners: dict[str, str] = {}
    for name in (name for name in settings.runners if name in secrets.runner_tokens):
        token = secrets.runner_tokens[name]
        owner = owners.setdefault(token.get_secret_value(), name)
        if owner != name:
            yield (
                f"{PROJECT}:runnerTokens.{name}",
                f"is the token of runners.{owner} too, so GitLab would take both for one runner, "
                "and either would run the other's jobs; create another runner in GitLab, and run: "
                f"pulumi config set --secret --path 'runnerTokens.{name}' (and paste its token)",
            )


def _secrets_of_others(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield each Secret of others that cannot serve for what it is named for."""
    owners: dict[str, str] = {}
    for name, runner in settings.runners.items():
        wanted = runner.registration
        owner = owners.setdefault(wanted.name, name) if wanted.kind == "secret" else name
        if owner != name:
            yield (
                f"{_SETTINGS}.runners.{name}.registration.name",
                f"is that of runners.{owner} too, so GitLab would take both for one runner; create "
                "another runner in GitLab, with its own Secret",
            )
    first = next((item.push_secret for item in settings.registries if item.push_secret), None)
    for index, registry in enumerate(settings.registries):
        if first and (registry.push or (registry.push_secret or first) != first):
            key = "push" if registry.push else "pushSecret"
            yield (
                f"{_SETTINGS}.registries[{index}].{key}",
                f"is not {first}, and tools read one file of logins; put all logins that push into "
                "that Secret, and name it here as pushSecret",
            )
