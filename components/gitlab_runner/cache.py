"""The storage of caches, as a table of config.toml; its login reaches the manager otherwise."""

from typing import Any
from urllib.parse import urlsplit

from components.quantity import amount
from components.settings.runners.cache import Cache, GcsCache, S3Cache


def cache_table(cache: Cache | None) -> dict[str, Any]:
    """Return the table ``runners.cache``, whose keys are unlike all others in case."""
    if cache is None:
        return {}
    size = cache.max_archive_size
    kind, table = _storage(cache)
    return {
        "Type": kind,
        "Path": cache.path,
        "Shared": cache.shared,
        "MaxUploadedArchiveSize": int(amount(size)) if size else None,
        kind: table,
    }


def _storage(cache: Cache) -> tuple[str, dict[str, Any]]:
    if isinstance(cache, S3Cache):
        return "s3", _s3(cache)
    if isinstance(cache, GcsCache):
        return "gcs", {"BucketName": cache.bucket}
    return "azure", {
        "AccountName": cache.account,
        "ContainerName": cache.container,
        "StorageDomain": cache.domain,
    }


def _s3(cache: S3Cache) -> dict[str, Any]:
    endpoint = urlsplit(cache.endpoint or "")
    return {
        "ServerAddress": endpoint.netloc,
        "Insecure": endpoint.scheme == "http" or None,
        "BucketName": cache.bucket,
        "BucketLocation": cache.region,
        "PathStyle": cache.path_style,
        # Without it, the runner decides by whether it has found a key.
        "AuthenticationType": "access-key" if cache.credentials else "iam",
        "ServerSideEncryption": cache.encryption,
        "ServerSideEncryptionKeyID": cache.encryption_key,
    }
