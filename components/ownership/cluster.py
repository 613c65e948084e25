"""The objects of a cluster, read with the kubeconfig of the Kubernetes provider.

The client is imported only when something is read: that takes half a second, which a run that
reads nothing need not pay.
"""

import contextlib
import tempfile
import threading
from collections.abc import Generator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, cast

_TIMEOUT = 30.0
"""Seconds that one request may take."""


class Kubeconfig(NamedTuple):
    """Kubeconfig files, and the context to use; None is their current context."""

    kubeconfig: str
    context: str | None


class UnreadableError(Exception):
    """A cluster cannot be read; the message says why and what to do, and contains no value."""


class ForbiddenError(UnreadableError):
    """The account of the kubeconfig may not read an object."""


@contextlib.contextmanager
def locate(given: str, context: str | None, otherwise: str) -> Generator[Kubeconfig]:
    """Yield the kubeconfig of a stack, as the Kubernetes provider finds it.

    ``given`` is the stack's decrypted ``kubernetes:kubeconfig``: a path, the content, or empty;
    without it the files of ``otherwise`` count. ``context`` is its ``kubernetes:context``.
    """
    import yaml  # noqa: PLC0415 - see above

    with tempfile.TemporaryDirectory() as folder:
        if isinstance(yaml.safe_load(given), Mapping):
            file = Path(folder) / "kubeconfig"
            file.touch(mode=0o600)
            file.write_text(given, encoding="utf-8")
            given = str(file)
        yield Kubeconfig(given or otherwise, context)


@contextlib.contextmanager
def _errors_as_unreadable() -> Generator[None]:
    from kubernetes.client import ApiException  # noqa: PLC0415 - see above
    from kubernetes.config import ConfigException  # noqa: PLC0415 - see above
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - see above

    try:
        yield
    except ApiException as error:
        status = cast("Any", error).status
        if status == HTTPStatus.FORBIDDEN:
            message = "the API server does not show it to the account of the kubeconfig"
            raise ForbiddenError(message) from error
        message = f"the API server answers {status}; check the account of the kubeconfig"
        raise UnreadableError(message) from error
    except HTTPError as error:
        message = "the API server cannot be reached; check its address in the kubeconfig"
        raise UnreadableError(message) from error
    except ConfigException as error:
        message = "the kubeconfig cannot be used; check its path and kubernetes:context"
        raise UnreadableError(message) from error


class LiveCluster:
    """A cluster whose objects are read; several threads may read at once."""

    def __init__(self, where: Kubeconfig) -> None:
        """Connect.

        Raises:
            UnreadableError: the kubeconfig cannot be used, or nobody answers at its address.
        """
        from kubernetes import client, config  # noqa: PLC0415 - see above
        from kubernetes.dynamic.client import DynamicClient  # noqa: PLC0415 - see above

        self._lock = threading.Lock()
        with _errors_as_unreadable(), tempfile.TemporaryDirectory() as folder:
            settings = cast("Any", client).Configuration()
            # Each of urllib3's retries would be a warning on the terminal.
            settings.retries = False
            connect = cast("Any", config).new_client_from_config
            api = connect(where.kubeconfig or None, where.context, settings)
            # The dynamic client sets no limit to the time of its first requests.
            cast("Any", client).VersionApi(api).get_code(_request_timeout=_TIMEOUT)
            # The default cache of API resources would outlive the server.
            cache = str(Path(folder) / "known")
            self._dynamic = cast("Any", DynamicClient)(api, cache_file=cache)

    def read(self, wanted: Mapping[str, Any], namespace: str = "") -> dict[str, Any] | None:
        """Return the object of the same kind and name as ``wanted``, None if there is none.

        ``namespace`` is that of an object which names none.

        Raises:
            ForbiddenError: the account may not read it.
            UnreadableError: the cluster cannot be read.
        """
        from kubernetes.dynamic import exceptions as errors  # noqa: PLC0415 - see above

        metadata = wanted["metadata"]
        with _errors_as_unreadable():
            try:
                kind = self._kind(wanted["apiVersion"], wanted["kind"])
                found = kind.get(
                    name=metadata["name"],
                    namespace=metadata.get("namespace", namespace) if kind.namespaced else None,
                    _request_timeout=_TIMEOUT,
                )
            except (errors.NotFoundError, errors.ResourceNotFoundError):
                return None
            return found.to_dict()

    def list(self, api_version: str, kind: str, namespace: str | None) -> list[dict[str, Any]]:
        """Return the objects of a kind in a namespace, or with None in the whole cluster.

        Raises:
            ForbiddenError: the account may not list them.
            UnreadableError: the cluster cannot be read.
        """
        with _errors_as_unreadable():
            found = self._kind(api_version, kind).get(
                namespace=namespace, _request_timeout=_TIMEOUT
            )
            return found.to_dict()["items"]

    def _kind(self, api_version: str, kind: str) -> Any:  # noqa: ANN401 - the client types none of it
        # Finding a kind may ask the server and fill a cache, which threads share.
        with self._lock:
            return self._dynamic.resources.get(api_version=api_version, kind=kind)
