"""Requests to the API server that the stack's kubeconfig names."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, cast
from urllib.parse import urlencode

from components.ownership.cluster import Kubeconfig
from doctor.diagnosis import UnseenError

_TIMEOUT = 5.0
"""Seconds that one request may take: all of them together are to take ten."""


class Answer(NamedTuple):
    """An answer: its status, its JSON, and its header ``Date``."""

    status: int
    body: Mapping[str, Any]
    date: str = ""

    @property
    def message(self) -> str:
        """What a refusal says."""
        return str(self.body.get("message", f"status {self.status}"))


class Api(Protocol):
    """An API server, or one that a test makes up."""

    def ask(self, method: str, path: str, body: Any = None, kind: str = "") -> Answer:  # noqa: ANN401 - JSON
        """Send a request and return the answer, whatever its status.

        Raises:
            UnseenError: nobody answers.
        """
        ...


class KubernetesApi:
    """The API server of a kubeconfig's context; several threads may ask at once."""

    def __init__(self, where: Kubeconfig) -> None:
        """Read the kubeconfig.

        Raises:
            UnseenError: it cannot be used.
        """
        from kubernetes import client, config  # noqa: PLC0415 - it takes half a second
        from kubernetes.config import ConfigException  # noqa: PLC0415 - see above

        settings = cast("Any", client).Configuration()
        settings.retries = False
        settings.connection_pool_maxsize = 16
        connect = cast("Any", config).new_client_from_config
        try:
            self._client = connect(where.kubeconfig or None, where.context, settings)
        except ConfigException as error:
            message = f"the kubeconfig cannot be used ({error})"
            raise UnseenError(message) from error

    def ask(self, method: str, path: str, body: Any = None, kind: str = "") -> Answer:  # noqa: ANN401 - JSON
        """Send a request; ``kind`` is the content type of a patch."""
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - see above

        settings = self._client.configuration
        headers = {"Accept": "application/json", "Content-Type": kind or "application/json"}
        headers |= {item["key"]: item["value"] for item in settings.auth_settings().values()}
        try:
            response = self._client.rest_client.pool_manager.request(
                method,
                settings.host + path,
                headers=headers,
                body=None if body is None else json.dumps(body),
                timeout=_TIMEOUT,
                retries=False,
            )
        except HTTPError as error:
            raise UnseenError(_reason(error)) from error
        return Answer(response.status, _content(response), response.headers.get("Date", ""))


def _content(response: Any) -> dict[str, Any]:  # noqa: ANN401 - the client types none of it
    """Return the JSON of an answer; of a text, such as a log, all of it and what it begins with."""
    text: str = response.data.decode(errors="replace")
    if "json" in response.headers.get("Content-Type", ""):
        with contextlib.suppress(ValueError):
            known = json.loads(text)
            return cast("dict[str, Any]", known) if isinstance(known, dict) else {}
    return {"text": text, "message": text[:200]}


def _reason(error: Exception) -> str:
    """Say why nobody answers, without what urllib3 writes around it."""
    return str(error).rpartition(">: ")[2] or type(error).__name__


def query(**parameters: str) -> str:
    """Return the query of a URL, with its question mark."""
    return f"?{urlencode(parameters)}"
