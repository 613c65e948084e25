"""A cluster as it is: each request is sent once, and nothing is changed."""

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any

from doctor.diagnosis import UnseenError
from doctor.kubernetes_api import Answer, Api, query
from doctor.wanted import Manifest

_PLURALS = {"NetworkPolicy": "networkpolicies", "PriorityClass": "priorityclasses"}
_WITHOUT_NAMESPACE = {"Namespace", "Node", "PriorityClass", "RuntimeClass"}
_DRY_RUN = {"dryRun": "All", "fieldManager": "image-builds-doctor"}


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


class Observed:
    """What an API server shows to the account of the kubeconfig."""

    def __init__(self, api: Api) -> None:
        """Remember who answers."""
        self._api = api
        self._lock = threading.Lock()
        self._known: dict[str, Future[Answer]] = {}

    def ask(self, method: str, path: str, body: Any = None, kind: str = "") -> Answer:  # noqa: ANN401 - JSON
        """Return the answer to a request, which is sent once.

        Raises:
            UnseenError: nobody answers.
        """
        key = json.dumps([method, path, body], sort_keys=True, default=str)
        return self._once(key, lambda: self._api.ask(method, path, body, kind))

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
        return self._seen(answer, f"get {plural(kind)}", namespace).body

    def list(self, api_version: str, kind: str, namespace: str | None = None) -> list[Any]:
        """Return the objects of a kind, in a namespace or in all of them.

        Raises:
            UnseenError: the account may not list them, or nobody answers.
        """
        answer = self.ask("GET", folder(api_version, kind, namespace))
        return self._seen(answer, f"list {plural(kind)}", namespace).body.get("items") or []

    @staticmethod
    def _seen(answer: Answer, what: str, namespace: str | None) -> Answer:
        if answer.status == HTTPStatus.OK:
            return answer
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

    def try_out(self, item: Manifest) -> str | None:
        """Return why the API server would refuse to create or change an object, None if not.

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
        done = answer.status in {HTTPStatus.OK, HTTPStatus.CREATED}
        return None if done else answer.message

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
        if answer.status != HTTPStatus.CREATED:
            message = f"the account of the kubeconfig may not create {kind.lower()}s"
            raise UnseenError(message)
        return bool(answer.body["status"]["allowed"])
