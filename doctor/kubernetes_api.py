"""Requests to the API server that the stack's kubeconfig names."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, cast
from urllib.parse import urlencode

from components.ownership.cluster import Kubeconfig
from doctor.diagnosis import NobodyError, UnseenError

_CONNECT, _ANSWER = 3.0, 5.0
"""Seconds to connect, and to wait for an answer: all requests together are to take ten."""


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
            NobodyError: no connection can be made.
            UnseenError: no answer comes.
        """
        ...


class KubernetesApi:
    """The API server of a kubeconfig's context; several threads may ask at once."""

    def __init__(self, where: Kubeconfig) -> None:
        """Read the kubeconfig.

        Raises:
            UnseenError: it cannot be used.
        """
        import yaml  # noqa: PLC0415 - see below
        from kubernetes import client, config  # noqa: PLC0415 - it takes half a second
        from kubernetes.config import ConfigException  # noqa: PLC0415 - see above

        settings = cast("Any", client).Configuration()
        settings.retries = False
        settings.connection_pool_maxsize = 64
        connect = cast("Any", config).new_client_from_config
        try:
            self._client = connect(where.kubeconfig or None, where.context, settings)
        # The client checks little of what a file has.
        except (
            *(ConfigException, yaml.YAMLError, OSError),
            *(ValueError, TypeError, LookupError, AttributeError),
        ) as error:
            message = f"the kubeconfig cannot be used ({' '.join(str(error).split())})"
            raise UnseenError(message) from error

    def ask(self, method: str, path: str, body: Any = None, kind: str = "") -> Answer:  # noqa: ANN401 - JSON
        """Send a request; ``kind`` is the content type of a patch."""
        from urllib3 import Timeout, exceptions  # noqa: PLC0415 - see above

        settings = self._client.configuration
        headers = {"Accept": "application/json", "Content-Type": kind or "application/json"}
        headers |= {item["key"]: item["value"] for item in settings.auth_settings().values()}
        try:
            response = self._client.rest_client.pool_manager.request(
                method,
                settings.host + path,
                headers=headers,
                body=None if body is None else json.dumps(body),
                timeout=Timeout(connect=_CONNECT, read=_ANSWER),
                retries=False,
            )
        # That of a refused connection, and of a name that is not known, is one of the first kind.
        except (exceptions.ConnectTimeoutError, exceptions.SSLError) as error:
            raise NobodyError(_reason(error)) from error
        except exceptions.HTTPError as error:
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
    from urllib3 import exceptions  # noqa: PLC0415 - see above

    if isinstance(error, exceptions.ReadTimeoutError):
        return f"no answer came within {_ANSWER:.0f} seconds"
    if type(error) is exceptions.ConnectTimeoutError:
        return f"no connection came about within {_CONNECT:.0f} seconds"
    return str(error).rpartition(">: ")[2] or type(error).__name__


def query(**parameters: str) -> str:
    """Return the query of a URL, with its question mark."""
    return f"?{urlencode(parameters)}"
