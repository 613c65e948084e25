"""The distributed cache, as config.toml, old charts and variables of the manager say it."""

from pathlib import Path
from typing import Any

import pytest

from convert.site import security
from convert.site.importer import Imported
from tests.support.sites import about, values

CACHE = ("runners", "builds", "cache")
S3 = '[runners.cache.s3]\nBucketName = "b"\n'


def _config(folder: Path, text: str) -> Imported:
    return values(folder, f"[[runners]]\n[runners.cache]\n{text}\n", "config.toml")


TAKEN: list[tuple[str, Any]] = [
    (f'Type = "s3"\n{S3}', {"kind": "s3", "bucket": "b"}),
    (S3, {"kind": "s3", "bucket": "b"}),
    (
        f'Type = "s3"\nPath = "/p/"\nShared = true\nMaxUploadedArchiveSize = 1000\n{S3}'
        'BucketLocation = "r"\nServerAddress = "minio.example.com:9000"\nInsecure = true\n'
        "PathStyle = true",
        {
            "kind": "s3",
            "bucket": "b",
            "region": "r",
            "endpoint": "http://minio.example.com:9000",
            "pathStyle": True,
            "path": "p",
            "shared": True,
            "maxArchiveSize": "1000",
        },
    ),
    (
        f'{S3}ServerAddress = "https://s3.example.com/"',
        {"kind": "s3", "bucket": "b", "endpoint": "https://s3.example.com"},
    ),
    (f'{S3}ServerAddress = "s3.amazonaws.com"', {"kind": "s3", "bucket": "b"}),
    (
        f'{S3}ServerSideEncryption = "KMS"\nServerSideEncryptionKeyID = "k"',
        {"kind": "s3", "bucket": "b", "encryption": "KMS", "encryptionKey": "k"},
    ),
    (f'{S3}AuthenticationType = "iam"', {"kind": "s3", "bucket": "b"}),
    ('Type = "gcs"\n[runners.cache.gcs]\nBucketName = "b"', {"kind": "gcs", "bucket": "b"}),
    (
        'Type = "azure"\n[runners.cache.azure]\nAccountName = "a"\nContainerName = "c"',
        {"kind": "azure", "account": "a", "container": "c"},
    ),
]


@pytest.mark.parametrize(("text", "cache"), TAKEN, ids=range(len(TAKEN)))
def test_a_cache_is_taken(text: str, cache: dict[str, Any], tmp_path: Path) -> None:
    found = _config(tmp_path, text)

    assert found.draft.get(CACHE) == cache
    assert [item.outcome for item in found.findings] == ["taken"]
    assert found.errors == []
    assert any("cache.shared" in line for line in security.worse(found)) == ("shared" in cache)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f'{S3}AccessKey = "PlantedA"\nSecretKey = "PlantedB"', ["accessKey", "secretKey"]),
        ('[runners.cache.gcs]\nBucketName = "b"\nCredentialsFile = "/secrets/a"', ["keyFile"]),
        (
            '[runners.cache.azure]\nAccountName = "a"\nContainerName = "c"\nAccountKey = "Planted"',
            ["accountKey"],
        ),
    ],
    ids=["s3", "gcs", "azure"],
)
def test_the_login_of_a_cache_is_stored_by_commands(
    text: str, parts: list[str], tmp_path: Path
) -> None:
    found = _config(tmp_path, text)

    assert found.draft.get((*CACHE, "credentials")) == "builds"
    stored = [line for line in found.draft.commands if "cacheCredentials" in line]
    assert [line.rpartition(".")[2].rstrip("'") for line in stored] == parts
    assert "Planted" not in repr((found.findings, found.draft.settings, found.draft.commands))
    assert found.errors == []


def test_the_login_of_a_cache_may_stand_apart_from_it(tmp_path: Path) -> None:
    config = '[[runners]]\n  [runners.cache]\n    Type = "gcs"\n    [runners.cache.gcs]\n'
    found = values(
        tmp_path,
        "runners:\n  cache: {secretName: login}\n  config: |\n"
        + "".join(f"    {line}\n" for line in (config + '    BucketName = "b"').splitlines()),
    )

    assert found.draft.get(CACHE) == {"kind": "gcs", "bucket": "b", "credentials": "builds"}
    assert found.errors == []


def test_a_cache_without_a_place_is_asked_for(tmp_path: Path) -> None:
    found = values(tmp_path, "runners: {cache: {secretName: login}}\n")

    assert [item.outcome for item in about(found, "runners.cache")] == ["asks"]
    assert found.draft.get(CACHE) is None


def test_variables_say_where_the_cache_is(tmp_path: Path) -> None:
    variables = "{CACHE_TYPE: s3, CACHE_SHARED: 'true', CACHE_S3_BUCKET_NAME: b}"
    secret = "{CACHE_S3_ACCESS_KEY: {secretKeyRef: {name: a, key: b}}}"

    found = values(tmp_path, f"extraEnv: {variables}\nextraEnvFrom: {secret}\n")

    cache = {"kind": "s3", "bucket": "b", "shared": True, "credentials": "builds"}
    assert found.draft.get(CACHE) == cache
    assert [item.outcome for item in found.findings] == ["asks"]
    assert found.errors == []


def test_what_has_no_key_moves_to_extra(tmp_path: Path) -> None:
    found = _config(tmp_path, f"{S3}Accelerate = true\nDualStack = false")

    assert [(item.path, item.outcome) for item in found.findings] == [
        ("runners.cache", "taken"),
        ("runners.cache.s3.Accelerate", "extra"),
    ]
    extra = found.draft.get(("runners", "builds", "extra"))
    assert extra == {"cache": {"s3": {"Accelerate": True}}}
    assert found.errors == []


def test_a_template_in_a_cache_is_asked_for_by_its_key(tmp_path: Path) -> None:
    """The chart of GitLab itself has one for the address of its storage."""
    text = (
        '[[runners]]\n[runners.cache]\nType = "s3"\nShared = true\n[runners.cache.s3]\n'
        'ServerAddress = {{ include "cache.address" . }}\nBucketName = "a"\n'
    )

    found = values(tmp_path, text, "config.toml")

    assert found.draft.get(("runners", "builds", "cache")) == {
        "kind": "s3",
        "bucket": "a",
        "shared": True,
    }
    (asked,) = about(found, "runners.cache")
    assert asked.outcome == "asks"
    assert asked.do == "set what the chart renders for s3.serveraddress"


def test_a_cache_without_a_place_is_asked_for_by_what_is_missing(tmp_path: Path) -> None:
    text = (
        '[[runners]]\n[runners.cache]\nType = "azure"\n[runners.cache.azure]\nContainerName="a"\n'
    )

    (asked,) = values(tmp_path, text, "config.toml").findings

    assert (asked.text, asked.do) == ("no file says its account", "set cache with kind azure")


def test_a_bucket_by_a_template_leaves_the_cache_to_people(tmp_path: Path) -> None:
    text = (
        '[[runners]]\n[runners.cache]\nType = "gcs"\n[runners.cache.gcs]\nBucketName="{{ .x }}"\n'
    )

    (asked,) = values(tmp_path, text, "config.toml").findings

    assert asked.outcome == "asks"
    assert "gcs.bucketname; set cache with kind gcs" in asked.do


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (f'Type = "s3"\nFuture = "a"\n{S3}', "runners.cache.future"),
        (f'Type = "s3"\n{S3}[runners.cache.gcs]\nBucketName = "g"', "runners.cache.gcs.bucketname"),
    ],
)
def test_a_key_that_a_cache_of_this_type_lacks_has_a_line(
    text: str, path: str, tmp_path: Path
) -> None:
    found = _config(tmp_path, text)

    assert found.draft.get(CACHE) == {"kind": "s3", "bucket": "b"}
    assert [item.outcome for item in found.findings if item.path == path] == ["unknown"]


def test_values_and_config_toml_say_one_cache_together(tmp_path: Path) -> None:
    text = (
        "runners:\n"
        "  cache: {cacheType: s3, s3BucketName: b, secretName: login}\n"
        "  config: |\n    [[runners]]\n    [runners.cache]\n    Path = 'p'\n    Shared = true\n"
    )
    found = values(tmp_path, text)

    assert found.draft.get(CACHE) == {
        "kind": "s3",
        "bucket": "b",
        "path": "p",
        "shared": True,
        "credentials": "builds",
    }
    assert {item.outcome for item in about(found, "runners.cache")} == {"asks"}
    assert found.errors == []
