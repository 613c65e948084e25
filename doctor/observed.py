"""A cluster as it is: each request is sent once, and nothing is changed."""

import json
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any, NamedTuple

from doctor.diagnosis import NobodyError, UnseenError
from doctor.kubernetes_api import Answer, Api, query
from doctor.wanted import Manifest

_PLURALS = {"NetworkPolicy": "networkpolicies", "PriorityClass": "priorityclasses"}
_WITHOUT_NAMESPACE = {"Namespace", "Node", "PriorityClass", "RuntimeClass", "StorageClass"}
_BROKEN = HTTPStatus.INTERNAL_SERVER_ERROR
"""This status and those above it say that the server cannot answer, and not what it thinks."""
_DRY_RUN = {"dryRun": "All", "fieldManager": "image-builds-doctor", "timeout": "4s"}
"""With the time that the API server has, less than a client waits: webhooks may take longer."""
LATE = re.compile(r"did not complete within (the allotted|requested) timeout")
"""What the API server says when that time is over, as it is while a webhook does not answer."""


def plural(kind: str) -> str:
    """Return the name of a kind's resource."""
    return _PLURALS.get(kind) or f"{kind.lower()}{'es' if kind.endswith('s') else 's'}"


def group(api_version: str) -> str:
    """Return the API group of a version; the core group has no name."""
    return api_version.rpartition("/")[0]


def folder(api_version: str, kind: str, namespace: str | None) -> str:
    """Return the path of a kind's objects; an object's has its name at the end."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    inner = f"/namespaces/{namespace}" if namespace and kind not in _WITHOUT_NAMESPACE else ""
    return f"{root}{inner}/{plural(kind)}"


class Tried(NamedTuple):
    """What a dry run gives: why it is refused, empty if it is not, and the object as it became."""

    refusal: str
    item: Manifest


class Observed:
    """What an API server shows to the account of the kubeconfig."""

    def __init__(self, api: Api) -> None:
        """Remember who answers."""
        self._api = api
        self._lock = threading.Lock()
        self._known: dict[str, Future[Answer]] = {}
        self._nobody: NobodyError | None = None

    def ask(self, method: str, path: str, body: Any = None, kind: str = "") -> Answer:  # noqa: ANN401 - JSON
        """Return the answer to a request, which is sent once.

        Raises:
            UnseenError: nobody answers.
        """
        key = json.dumps([method, path, body], sort_keys=True, default=str)
        return self._once(key, lambda: self._asked(method, path, body, kind))

    def _asked(self, *request: Any) -> Answer:  # noqa: ANN401 - JSON
        if self._nobody:
            # All would wait, one after the other.
            raise self._nobody
        try:
            return self._api.ask(*request)
        except NobodyError as error:
            self._nobody = error
            raise

    def _once(self, key: str, make: Callable[[], Answer]) -> Answer:
        with self._lock:
            known = self._known.get(key)
            mine = None if known else self._known.setdefault(key, Future())
        if mine is None:
            return self._known[key].result()
        try:
            mine.set_result(make())
        except BaseException as error:  # noqa: BLE001 - those who wait get it too
            mine.set_exception(error)
        return mine.result()

    def get(
        self, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> Manifest | None:
        """Return an object, None if there is none.

        Raises:
            UnseenError: the account may not get it, or nobody answers.
        """
        answer = self.ask("GET", f"{folder(api_version, kind, namespace)}/{name}")
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        return self._seen(answer, "metadata", f"get {plural(kind)}", namespace)

    def list(self, api_version: str, kind: str, namespace: str | None = None) -> list[Any]:
        """Return the objects of a kind, in a namespace or in all of them.

        Raises:
            UnseenError: the account may not list them, or nobody answers.
        """
        answer = self.ask("GET", folder(api_version, kind, namespace))
        return self._seen(answer, "items", f"list {plural(kind)}", namespace)["items"] or []

    @staticmethod
    def _seen(answer: Answer, key: str, what: str, namespace: str | None) -> Manifest:
        if answer.status == HTTPStatus.OK and key in answer.body:
            return answer.body
        where = f" in {namespace}" if namespace else ""
        if answer.status == HTTPStatus.FORBIDDEN:
            message = f"the account of the kubeconfig may not {what}{where}"
        else:
            message = f"the API server does not {what}{where}: {answer.message}"
        raise UnseenError(message)

    def namespace(self, name: str) -> Manifest | None:
        """Return a namespace, None if there is none."""
        return self.get("v1", "Namespace", name)

    def existing(self, name: str) -> Manifest:
        """Return a namespace that has to be there.

        Raises:
            UnseenError: it is not, as before the first update, or cannot be seen.
        """
        found = self.namespace(name)
        if found is None:
            message = f"the namespace {name} does not exist before pulumi up"
            raise UnseenError(message)
        return found

    def try_out(self, item: Manifest) -> Tried:
        """Return whether the API server would create or change an object, and how it would be.

        Nothing is created: it is a dry run on the server, with all of its admission.

        Raises:
            UnseenError: the account may not even try, or nobody answers.
        """
        metadata: Mapping[str, Any] = item["metadata"]
        path = folder(item["apiVersion"], item["kind"], metadata.get("namespace"))
        if item["kind"] == "Pod":
            answer = self.ask("POST", f"{path}{query(**_DRY_RUN)}", item)
        else:
            path = f"{path}/{metadata['name']}{query(**_DRY_RUN, force='true')}"
            answer = self.ask("PATCH", path, item, "application/apply-patch+yaml")
        if answer.status == HTTPStatus.UNAUTHORIZED:
            message = "the API server does not accept the account of the kubeconfig"
            raise UnseenError(message)
        if answer.status in {HTTPStatus.OK, HTTPStatus.CREATED}:
            return Tried("", answer.body)
        if "does not support dry run" in answer.message:
            message = f"nothing can be tried out there: {answer.message}"
            raise UnseenError(message)
        busy = answer.status == HTTPStatus.TOO_MANY_REQUESTS
        # Of a webhook that is down, it says so.
        says = "webhook" in answer.message or LATE.search(answer.message)
        if busy or (answer.status >= _BROKEN and not says):
            message = f"the API server answers with status {answer.status}: {answer.message}"
            raise UnseenError(message)
        return Tried(answer.message, {})

    def may(
        self,
        verb: str,
        group: str,
        resource: str,
        namespace: str = "",
        account: tuple[str, str] | None = None,
    ) -> bool:
        """Whether an account, by namespace and name, may do something; None is one's own.

        An empty ``namespace`` stands for all of them.

        Raises:
            UnseenError: the account of the kubeconfig may not ask, or nobody answers.
        """
        name, _, subresource = resource.partition("/")
        spec: dict[str, Any] = {
            "resourceAttributes": {
                "verb": verb,
                "group": group,
                "resource": name,
                "subresource": subresource,
                "namespace": namespace,
            }
        }
        kind = "SelfSubjectAccessReview"
        if account:
            kind = "SubjectAccessReview"
            home, called = account
            spec["user"] = f"system:serviceaccount:{home}:{called}"
            spec["groups"] = [
                "system:serviceaccounts",
                f"system:serviceaccounts:{home}",
                "system:authenticated",
            ]
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
        answer = self.ask("POST", f"/apis/authorization.k8s.io/v1/{kind.lower()}s", body)
        if answer.status == HTTPStatus.CREATED:
            return bool(answer.body["status"]["allowed"])
        message = f"the account of the kubeconfig may not create {kind.lower()}s"
        if answer.status != HTTPStatus.FORBIDDEN:
            message = f"the API server answers with status {answer.status}: {answer.message}"
        raise UnseenError(message)
