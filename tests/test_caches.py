"""Caches of jobs: what config.toml says of their storage, and how the manager gets the login."""

import tomllib
from typing import Any

import pytest

from components.arguments import environment_args
from components.resources.environment import Environment
from components.settings.load import load
from report.inputs.recorder import plain
from tests.support.configured import CACHES, SECRETS, SETTINGS, configure, replace_values
from tests.support.harness import YEAR, RegisteredResource, deploy, is_secret, unmarked

S3 = {"kind": "s3", "bucket": "caches"}
GCS = {"kind": "gcs", "bucket": "caches"}
AZURE = {"kind": "azure", "account": "site", "container": "caches"}
MINIO = {
    **S3,
    "endpoint": "http://minio.example.com:9000",
    "region": "eu-1",
    "pathStyle": True,
    "credentials": "minio",
    "path": "builds/",
    "shared": True,
    "maxArchiveSize": "2Gi",
}
SECRET = "kubernetes:core/v1:Secret"
RELEASE = "kubernetes:helm.sh/v3:Release"


def _deploy(
    cache: dict[str, Any] | None, credentials: dict[str, Any] | None = None
) -> list[RegisteredResource]:
    changes = {"runners.main.cache": cache} if cache else {}
    configure(
        replace_values(SETTINGS, changes), {**SECRETS, "cacheCredentials": credentials or CACHES}
    )
    stack = load()
    return deploy(lambda: Environment("test", environment_args(stack, YEAR)))


def _values(registered: list[RegisteredResource]) -> dict[str, Any]:
    (release,) = [item for item in registered if item.type == RELEASE]
    return release.inputs["values"]


def _table(cache: dict[str, Any]) -> dict[str, Any]:
    text = _values(_deploy(cache))["runners"]["config"]
    return tomllib.loads(text)["runners"][0]["cache"]


@pytest.mark.parametrize(
    ("cache", "table"),
    [
        (
            MINIO,
            {
                "Type": "s3",
                "Path": "builds",
                "Shared": True,
                "MaxUploadedArchiveSize": 2147483648,
                "s3": {
                    "ServerAddress": "minio.example.com:9000",
                    "Insecure": True,
                    "BucketName": "caches",
                    "BucketLocation": "eu-1",
                    "PathStyle": True,
                    "AuthenticationType": "access-key",
                },
            },
        ),
        (
            {**S3, "encryption": "KMS", "encryptionKey": "a-key"},
            {
                "Type": "s3",
                "Shared": False,
                "s3": {
                    "BucketName": "caches",
                    "AuthenticationType": "iam",
                    "ServerSideEncryption": "KMS",
                    "ServerSideEncryptionKeyID": "a-key",
                },
            },
        ),
        (GCS, {"Type": "gcs", "Shared": False, "gcs": {"BucketName": "caches"}}),
        (
            {**AZURE, "domain": "blob.core.usgovcloudapi.net"},
            {
                "Type": "azure",
                "Shared": False,
                "azure": {
                    "AccountName": "site",
                    "ContainerName": "caches",
                    "StorageDomain": "blob.core.usgovcloudapi.net",
                },
            },
        ),
    ],
)
def test_the_storage_of_caches_is_in_config_toml(
    cache: dict[str, Any], table: dict[str, Any]
) -> None:
    assert _table(cache) == table


@pytest.mark.parametrize(
    ("cache", "login", "data"),
    [
        (S3, "minio", {"accesskey": "an-id", "secretkey": "PlantedCacheKey"}),
        (GCS, "google", {"gcs-application-credentials-file": '{"private_key": "PlantedCacheKey"}'}),
        (AZURE, "azure", {"azure-account-name": "site", "azure-account-key": "PlantedCacheKey"}),
    ],
)
def test_the_manager_alone_gets_the_login(
    cache: dict[str, Any], login: str, data: dict[str, str]
) -> None:
    """The chart reads it from these keys."""
    registered = _deploy({**cache, "credentials": login})

    (secret,) = [item for item in registered if item.type == SECRET and item.name == "main-cache"]
    assert secret.inputs["metadata"] == {"name": "gitlab-runner-main-cache", "namespace": "builds"}
    assert plain(secret.inputs["stringData"]) == data
    assert _values(registered)["runners"]["cache"] == {"secretName": "gitlab-runner-main-cache"}
    assert "PlantedCacheKey" not in "\n".join(unmarked(item.inputs) for item in registered)


def test_without_a_login_nothing_is_made_for_it() -> None:
    for registered in (_deploy(None), _deploy(S3)):
        values = _values(registered)
        assert "cache" not in values["runners"]
        assert "image-builds/cache-digest" not in values["podAnnotations"]
        assert not [item for item in registered if item.name == "main-cache"]


def test_another_login_restarts_the_manager_and_shows_nothing() -> None:
    """Its digest is one of the token too, since a login can be short enough to be guessed."""
    key = "image-builds/cache-digest"
    digests = [
        _values(_deploy(MINIO, {"minio": {"accessKey": "an-id", "secretKey": secret}}))[
            "podAnnotations"
        ][key]
        for secret in ("one", "two")
    ]

    assert digests[0] != digests[1]
    assert [len(digest) for digest in digests] == [16, 16]
    assert not any(map(is_secret, digests))
