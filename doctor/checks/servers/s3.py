"""Requests to storage that speaks S3, with a login (AWS: Signature Version 4)."""

import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

_EMPTY = hashlib.sha256(b"").hexdigest()
_ALGORITHM = "AWS4-HMAC-SHA256"


def signed(url: str, login: Mapping[str, str], region: str, now: dt.datetime) -> Mapping[str, str]:
    """Return the headers by which a GET without a body has a login: an access key and its secret.

    It is for an address whose query is empty or has one parameter without a value.
    """
    parts = urlsplit(url)
    # As clients send it: without the port that the scheme has anyway.
    usual = parts.port in {None, {"http": 80, "https": 443}[parts.scheme]}
    headers = {
        "host": f"{parts.hostname}" if usual else f"{parts.hostname}:{parts.port}",
        "x-amz-content-sha256": _EMPTY,
        "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
    }
    given, names = "".join(f"{key}:{text}\n" for key, text in headers.items()), ";".join(headers)
    path, query = quote(parts.path or "/"), f"{parts.query}=" if parts.query else ""
    asked = f"GET\n{path}\n{query}\n{given}\n{names}\n{_EMPTY}"
    scope = (now.strftime("%Y%m%d"), region, "s3", "aws4_request")
    text = "\n".join(
        (
            _ALGORITHM,
            headers["x-amz-date"],
            "/".join(scope),
            hashlib.sha256(asked.encode()).hexdigest(),
        )
    )
    key = f"AWS4{login['secretKey']}".encode()
    for part in (*scope, text):
        key = hmac.digest(key, part.encode(), "sha256")
    credential = "/".join((login["accessKey"], *scope))
    return {
        **{name: text for name, text in headers.items() if name != "host"},
        "Authorization": (
            f"{_ALGORITHM} Credential={credential},SignedHeaders={names},Signature={key.hex()}"
        ),
    }
