"""The secret keys of the config: what is missing, wrong or not encrypted."""

from typing import Any

import pytest

from tests.support.configured import (
    CACHES,
    MISSING,
    SECRETS,
    SETTINGS,
    TOKEN,
    configure,
    replace_values,
)
from tests.support.rejections import assert_rejected, assert_says, change, reject

TOKENS = "image-builds:runnerTokens"
LOGINS = "image-builds:registryCredentials"
CACHE_LOGINS = "image-builds:cacheCredentials"
S3 = "kind: s3, bucket: a"


@pytest.mark.parametrize(
    ("changes", "key", "advice"),
    [
        ({"runnerTokens": {}}, f"{TOKENS}.main", "pulumi config set"),
        ({"runnerTokens.main": "GR1348941abcdef"}, f"{TOKENS}.main", "begins with glrt-"),
        ({"runnerTokens.main": "glpat-abcdefghijkl"}, f"{TOKENS}.main", "begins with glrt-"),
        ({"runnerTokens.main": "glrt-abcdefé12345"}, f"{TOKENS}.main", "authentication token"),
        ({"runnerTokens.main": f"{TOKEN}\n"}, f"{TOKENS}.main", "whitespace around it"),
        ({"runnerTokens.main": 5}, f"{TOKENS}.main", "put it in quotes"),
        ({"runnerTokens.gone": TOKEN}, f"{TOKENS}.gone", "remove or rename"),
        ({"registryCredentials.in.password": MISSING}, f"{LOGINS}.in.password", "add it"),
        ({"registryCredentials.in.password": ""}, f"{LOGINS}.in.password", "must not be empty"),
        ({"registryCredentials.in.username": ""}, f"{LOGINS}.in.username", "must not be empty"),
        ({"registryCredentials.in.user": "x"}, f"{LOGINS}.in.user", "did you mean username?"),
    ],
)
def test_an_error_is_named_without_the_value(
    changes: dict[str, Any], key: str, advice: str
) -> None:
    configure(SETTINGS, replace_values(SECRETS, changes))

    lines = reject()

    assert_says(lines, key, advice)
    assert "abcdef" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("registries.0.pull: other", f"{LOGINS}.other", "pulumi config set"),
        ("registries.0.push: other", f"{LOGINS}.other", "pulumi config set"),
        ("runners.other: {tags: [x]}", f"{TOKENS}.other", "pulumi config set"),
        (
            "runners.main.registration: {kind: userRunner, runnerType: instance_type}",
            f"{TOKENS}.main",
            "is never used",
        ),
    ],
)
def test_settings_and_secrets_belong_together(text: str, key: str, advice: str) -> None:
    assert_rejected(change(text), key, advice)


def test_each_runner_has_its_own_token() -> None:
    settings = change("runners.other: {tags: [x]}, runners.third: {tags: [y]}")
    tokens = {"main": TOKEN, "other": "glrt-AnotherToken01", "third": TOKEN}
    configure(settings, {**SECRETS, "runnerTokens": tokens})

    lines = reject()

    assert_says(lines, f"{TOKENS}.third", "is the token of runners.main too")
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("cache", "key", "advice"),
    [
        (f"{S3}, credentials: gone", "gone", "'cacheCredentials.gone.accessKey' and pulumi config"),
        (f"{S3}, credentials: azure", "azure", "must have accessKey and secretKey and nothing"),
        ("kind: gcs, bucket: a, credentials: minio", "minio", "must have keyFile and nothing else"),
    ],
)
def test_a_cache_has_the_login_of_its_kind(cache: str, key: str, advice: str) -> None:
    secrets = {**SECRETS, "cacheCredentials": CACHES}
    configure(change(f"runners.main.cache: {{{cache}}}"), secrets)

    lines = reject()

    assert_says(lines, f"{CACHE_LOGINS}.{key}", advice)
    assert "PlantedCacheKey" not in "\n".join(lines)


@pytest.mark.parametrize("text", ["PlantedCacheKey", "[]", '{"key": "PlantedCacheKey"}'])
def test_googles_key_is_the_file_that_google_writes(text: str) -> None:
    configure(SETTINGS, {**SECRETS, "cacheCredentials": {"google": {"keyFile": text}}})

    lines = reject()

    assert_says(lines, f"{CACHE_LOGINS}.google.keyFile", "must be the key of a service account")
    assert "PlantedCacheKey" not in "\n".join(lines)


def test_the_login_of_a_cache_is_encrypted_but_for_its_name() -> None:
    configure(SETTINGS, {**SECRETS, "cacheCredentials": CACHES}, plain=("cacheCredentials",))

    lines = reject()

    assert_says(lines, f"{CACHE_LOGINS}.minio.secretKey", "is in plain text")
    assert not [line for line in lines if "accessKey" in line]
