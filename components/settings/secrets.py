"""The secret keys of the config: tokens of runners, and logins of registries."""

import json
import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic.alias_generators import to_camel

from components.settings.models import Plans, Settings
from components.settings.runners.cache import LOGINS, Cache, secret_data
from components.settings.runners.registration import TokenRegistration
from components.types import JSON, PROJECT, Model

_SETTINGS = f"{PROJECT}:settings"


class Credentials(Model):
    """The login of a registry."""

    username: str = Field(min_length=1)
    """The user's name, which is not secret."""
    password: SecretStr = Field(min_length=1)
    """The password, or a token."""


def _key_file(value: SecretStr) -> SecretStr:
    try:
        content = json.loads(value.get_secret_value())
    except ValueError:
        content = None
    if not isinstance(content, dict) or "private_key" not in content:
        message = (
            "must be the key of a service account as Google writes it, a JSON object with "
            "private_key; store the whole file"
        )
        raise ValueError(message)
    return value


class CacheLogin(Model):
    """The login of the storage of caches: the fields of one kind of cache."""

    access_key: str | None = Field(default=None, min_length=1)
    """For `s3`: the ID of the access key, which is not secret."""
    secret_key: SecretStr | None = Field(default=None, min_length=1)
    """For `s3`: the access key itself."""
    key_file: Annotated[SecretStr, AfterValidator(_key_file)] | None = None
    """For `gcs`: the key of a service account, as JSON."""
    account_key: SecretStr | None = Field(default=None, min_length=1)
    """For `azure`: a key of the storage account."""

    def fields(self) -> dict[str, str]:
        """Return what is given, in plain, by its key."""
        given = {to_camel(name): getattr(self, name) for name in self.model_fields_set}
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in given.items()
            if value is not None
        }


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
    cache_credentials: dict[str, CacheLogin] = Field(default_factory=dict[str, CacheLogin])
    """The logins of caches, by the names that ``cache.credentials`` of runners give them."""

    def of_cache(self, cache: Cache | None) -> dict[str, str]:
        """Return the keys of the Secret that the manager gets for a cache, in plain."""
        if cache is None or cache.credentials is None:
            return {}
        return secret_data(cache, self.cache_credentials[cache.credentials].fields())


def placeholders_of_caches(settings: Settings) -> dict[str, JSON]:
    """Return made-up logins that pass the checks, where secrets must not be read."""
    return {
        cache.credentials: dict.fromkeys(LOGINS[cache.kind], '{"private_key": ""}')
        for runner in settings.runners.values()
        if (cache := runner.cache) and cache.credentials
    }


def secret_errors(secrets: Secrets, settings: Settings, plans: Plans) -> Iterator[tuple[str, str]]:
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
    yield from _cache_errors(secrets, settings)
    yield from _secrets_of_others(settings)
    yield from _identity_errors(settings, plans)
    for path, name in settings.logins():
        if name not in secrets.registry_credentials:
            yield (
                f"{PROJECT}:registryCredentials.{name}",
                f"is missing, and settings.{path} names it; run: pulumi "
                f"config set --secret --path 'registryCredentials.{name}.username' and pulumi "
                f"config set --secret --path 'registryCredentials.{name}.password'",
            )


def _cache_errors(secrets: Secrets, settings: Settings) -> Iterator[tuple[str, str]]:
    for name, runner in settings.runners.items():
        cache = runner.cache
        if cache is None or cache.credentials is None:
            continue
        path, wanted = f"cacheCredentials.{cache.credentials}", LOGINS[cache.kind]
        login = secrets.cache_credentials.get(cache.credentials)
        if login is None:
            commands = " and ".join(
                f"pulumi config set --secret --path '{path}.{key}'" for key in wanted
            )
            yield (
                f"{PROJECT}:{path}",
                f"is missing, and settings.runners.{name}.cache names it; run: {commands}",
            )
        elif login.fields().keys() != {*wanted}:
            yield (
                f"{PROJECT}:{path}",
                f"must have {' and '.join(wanted)} and nothing else for settings.runners.{name}."
                f"cache, whose kind is {cache.kind}; add what is missing, and remove the rest",
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


def _identity_errors(settings: Settings, plans: Plans) -> Iterator[tuple[str, str]]:
    """Yield each registry of a cloud that a runner cannot push to by the identity of its jobs."""
    for index, registry in enumerate(settings.registries):
        for name, runner in settings.runners.items():
            cloud, jobs = registry.identity, runner.identity.jobs
            if cloud and plans[name].builds and not (jobs and getattr(jobs, cloud)):
                yield (
                    f"{_SETTINGS}.registries[{index}].identity",
                    f"needs an identity of the jobs of runners.{name}; set "
                    f"runners.{name}.identity.jobs.{cloud}",
                )
