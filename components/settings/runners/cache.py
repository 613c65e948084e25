"""Where the caches of a runner's jobs are kept: what a pipeline lists under ``cache``."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from components.quantity import Quantity
from components.types import Model, Url


def _path(value: str) -> str:
    if not value.strip("/") or value.startswith("/") or ".." in value.split("/"):
        message = "must be a folder in the bucket, without a slash at its start: runners/builds"
        raise ValueError(message)
    return value.rstrip("/")


def _origin(value: str) -> str:
    if value.count("/") > 2:
        message = "must end after the host or its port, since a bucket is not part of it; remove it"
        raise ValueError(message)
    return value


_Text = Annotated[str, Field(min_length=1)]


class _Cache(Model):
    """What every kind of cache has."""

    credentials: str | None = None
    """The name of the login in `image-builds:cacheCredentials`. Without it the manager's own
    identity in the cloud signs; that of its node needs `network.egress.metadata: true`. Security:
    the manager has it and signs addresses for jobs, which do not see it."""
    shared: bool = False
    """Set `true` to let all runners with the same bucket and `path` use the same caches. Security:
    a job takes files that a job of another branch left. By default each runner has separate caches,
    so give protected branches their own runner."""
    path: Annotated[str, AfterValidator(_path)] | None = None
    """A folder in the bucket, for a bucket that others use too."""
    max_archive_size: Quantity | None = None
    """The largest cache that a job may store: `2Gi`. By default the storage decides."""


class S3Cache(_Cache):
    """Caches in S3, or in storage that speaks it, such as MinIO, Ceph and R2."""

    kind: Literal["s3"]
    """Selects storage of S3."""
    bucket: _Text
    """The name of the bucket."""
    region: _Text | None = None
    """The region of the bucket. By default the manager asks the storage."""
    endpoint: Annotated[Url, AfterValidator(_origin)] | None = None
    """The address of the storage, where it is not that of AWS: `https://minio.example.com:9000`.
    Jobs must reach it as well. Security: with `http`, everyone on the way can read and change
    caches."""
    path_style: bool | None = None
    """Whether the bucket is in the path of addresses. By default it is, but for AWS, and for
    Google's and Alibaba's storage."""
    encryption: Literal["S3", "KMS"] | None = None
    """How AWS encrypts caches: with its own keys or with `encryptionKey`. By default the bucket
    decides."""
    encryption_key: _Text | None = None
    """The ID or ARN of the key for `KMS`."""

    @model_validator(mode="after")
    def _key_is_of_kms(self) -> Self:
        if (self.encryption == "KMS") != (self.encryption_key is not None):
            message = (
                "must have encryptionKey with encryption: KMS, and only then; add or remove it"
            )
            raise ValueError(message)
        return self


class GcsCache(_Cache):
    """Caches in Google Cloud Storage."""

    kind: Literal["gcs"]
    """Selects Google Cloud Storage."""
    bucket: _Text
    """The name of the bucket."""


class AzureCache(_Cache):
    """Caches in Azure Blob Storage."""

    kind: Literal["azure"]
    """Selects Azure Blob Storage."""
    account: _Text
    """The name of the storage account."""
    container: _Text
    """The name of the container."""
    domain: _Text | None = None
    """The domain of a sovereign cloud; by default `blob.core.windows.net`."""


LOGINS: Mapping[str, Sequence[str]] = {
    "s3": ("accessKey", "secretKey"),
    "gcs": ("keyFile",),
    "azure": ("accountKey",),
}
"""What the login of each kind of cache has, as ``image-builds:cacheCredentials`` spells it."""

Cache = Annotated[S3Cache | GcsCache | AzureCache, Field(discriminator="kind")]
"""Storage for caches."""


def secret_data(cache: Cache, login: Mapping[str, str]) -> dict[str, str]:
    """Return the keys of a Secret as the chart reads them (chart: templates/configmap.yaml)."""
    if isinstance(cache, S3Cache):
        return {"accesskey": login["accessKey"], "secretkey": login["secretKey"]}
    if isinstance(cache, GcsCache):
        return {"gcs-application-credentials-file": login["keyFile"]}
    return {"azure-account-name": cache.account, "azure-account-key": login["accountKey"]}
