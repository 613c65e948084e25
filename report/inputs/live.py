"""What the cluster holds of an object, as far as it was asked for.

A field that nobody asked for has a default or belongs to a controller, and is no drift. An entry
more in a list that was asked for is one, and so is a key more where nothing but users put keys.
"""

import base64
import contextlib
import dataclasses
import re
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml
from kubernetes import config
from kubernetes.dynamic.client import DynamicClient
from kubernetes.dynamic.exceptions import DynamicApiError, NotFoundError, ResourceNotFoundError
from kubernetes.utils import quantity
from urllib3.exceptions import HTTPError

from report.inputs.charts import Objects, identity, shown
from report.inputs.helm import HelmError, run
from report.model import ObjectChange, PropertyChange
from report.values import (
    SECRET,
    Scrubber,
    differences,
    inside,
)

_TIMEOUT = 60.0
_WHOLE = re.compile(r"data|binaryData|matchLabels|(\w+S|s)elector")
_QUANTITIES = {"cpu", "memory", "ephemeral-storage", "storage", "sizeLimit"}


class LiveError(Exception):
    """The cluster cannot be looked at; the message says why and what to do, without a value."""


class Place(NamedTuple):
    """Which cluster: the kubeconfig files, and the context in them or None for their own."""

    kubeconfig: str
    context: str | None


@contextlib.contextmanager
def place(settings: Mapping[str, str], kubeconfig: str) -> Generator[Place]:
    """Yield where the stack is, as the Kubernetes provider understands its config.

    Args:
        settings: the stack's config in plain; ``kubernetes:kubeconfig`` is a path or a content.
        kubeconfig: the files to read where that is not set.
    """
    given = settings.get("kubernetes:kubeconfig", "")
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(yaml.safe_load(given), Mapping):
            file = Path(folder) / "kubeconfig"
            file.touch(mode=0o600)
            file.write_text(given, encoding="utf-8")
            given = str(file)
        yield Place(given or kubeconfig, settings.get("kubernetes:context"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
    """A Helm release: its objects as they were deployed and as they are, and what differs."""

    old: Objects
    new: Objects
    changes: tuple[ObjectChange, ...]


def release(helm: Path, where: Place, name: str, namespace: str, scrub: Scrubber) -> Release:
    """Look at a release, as far as Helm has written it down.

    Raises:
        LiveError: the release or its objects cannot be read.
    """
    old: dict[str, Mapping[str, Any]] = {}
    new: dict[str, Mapping[str, Any]] = {}
    changes: list[ObjectChange] = []
    documents = _manifest(helm, where, name, namespace)
    for wanted, found in _objects(where, documents, namespace):
        told = identity(wanted)
        old[told] = shown(wanted, scrub)
        if found is not None:
            new[told] = shown(as_asked(wanted, found), scrub)
        if properties := object_changes(wanted, found, scrub):
            operation = "delete" if found is None else "update"
            change = ObjectChange(operation=operation, identity=told, properties=properties)
            changes.append(change)
    return Release(old=old, new=new, changes=tuple(changes))


def object_changes(
    wanted: Mapping[str, Any],
    live: Mapping[str, Any] | None,
    scrub: Scrubber,
) -> tuple[PropertyChange, ...]:
    """Return what differs; of a secret only that it does."""
    if live is None:
        return differences(shown(wanted, scrub), None)
    seen = as_asked(wanted, live)
    told = {item.path: item for item in differences(shown(wanted, scrub), shown(seen, scrub))}
    for item in differences(wanted, seen):
        hidden = PropertyChange(
            path=scrub(item.path),
            old=item.old and SECRET,
            new=item.new and SECRET,
        )
        told.setdefault(hidden.path, hidden)
    return tuple(told[path] for path in sorted(told))


def as_asked(wanted: object, live: object, key: str = "") -> Any:  # noqa: ANN401 - JSON
    """Return ``live`` with the fields that ``wanted`` has, written as there if they are equal."""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        asked, found = cast("Mapping[str, Any]", wanted), cast("Mapping[str, Any]", live)
        both = {**(found if _WHOLE.fullmatch(key) else {}), **asked}
        kept = {name: as_asked(item, found.get(name), name) for name, item in both.items()}
        return {name: item for name, item in kept.items() if item is not None}
    if isinstance(wanted, list) and isinstance(live, list):
        entries = cast("list[Any]", wanted)
        found_entries = list(enumerate(cast("list[Any]", live)))
        return [as_asked(_counterpart(entries, item, at), item) for at, item in found_entries]
    sides = cast("tuple[object, object]", (wanted, live))
    equal = not any(sides) or (key in _QUANTITIES and _same_quantity(*sides))
    return sides[0] if equal else sides[1]


def _counterpart(entries: list[Any], item: object, at: int) -> object:
    """Return the entry of the same name, or at the same place where it has none; or itself."""
    name = inside(item).get("name")
    if name is None:
        return entries[at] if at < len(entries) else item
    return next((entry for entry in entries if inside(entry).get("name") == name), item)


def _same_quantity(wanted: object, live: object) -> bool:
    """Whether two spellings mean as much: the API server keeps ``0.5`` as ``500m``."""
    with contextlib.suppress(ValueError):
        parse = cast("Any", quantity).parse_quantity
        return bool(parse(wanted) == parse(live))
    return False


def _manifest(helm: Path, where: Place, name: str, namespace: str) -> list[dict[str, Any]]:
    """Return the objects that Helm deployed last, which it has written down in a Secret."""
    arguments = ["get", "manifest", name, "--namespace", namespace]
    arguments += ["--kube-context", where.context] if where.context else []
    try:
        documents = run(helm, arguments, KUBECONFIG=where.kubeconfig)
    except HelmError as error:
        message = (
            f"the release {namespace}/{name} cannot be read by helm; check that the account of "
            "the kubeconfig may get and list Secrets there, and whether the cluster is up"
        )
        raise LiveError(message) from error
    return [_plain(item) for item in documents]


def _objects(
    where: Place,
    documents: list[dict[str, Any]],
    namespace: str,
) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Return each object with what is there of it, None if nothing is."""
    new_client = cast("Any", config).new_client_from_config
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            new_client(where.kubeconfig, where.context) as api,
        ):
            # Its cache of what the API server knows would otherwise outlive the server.
            dynamic = cast("Any", DynamicClient)(api, cache_file=str(Path(folder) / "known"))
            return [(item, _live(dynamic, item, namespace)) for item in documents]
    except (DynamicApiError, HTTPError, config.ConfigException) as error:
        message = (
            "the release's objects cannot be read in the cluster; check the address and the "
            "account of the kubeconfig, and its rights to get what the chart makes"
        )
        raise LiveError(message) from error


def _live(dynamic: Any, wanted: dict[str, Any], namespace: str) -> dict[str, Any] | None:  # noqa: ANN401 - the client types none of it
    metadata = inside(wanted, "metadata")
    try:
        kind = dynamic.resources.get(api_version=wanted["apiVersion"], kind=wanted["kind"])
        found = kind.get(
            name=metadata.get("name"),
            namespace=metadata.get("namespace", namespace) if kind.namespaced else None,
            _request_timeout=_TIMEOUT,
        )
    except (NotFoundError, ResourceNotFoundError):
        return None
    return cast("dict[str, Any]", found.to_dict())


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """Return what the API server stores of an object: no nulls, and a Secret's text in base64.

    The one default that counts is that of a Deployment, since one without pods does nothing.
    """
    plain = _without_nulls(document)
    if plain.get("kind") == "Deployment":
        plain["spec"] = {"replicas": 1, **inside(plain, "spec")}
    if plain.get("kind") == "Secret":
        encoded = {
            key: base64.b64encode(str(text).encode()).decode()
            for key, text in inside(plain.pop("stringData", None)).items()
        }
        plain["data"] = {**inside(plain, "data"), **encoded}
    return plain


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - YAML
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: _without_nulls(item) for key, item in items if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in cast("list[Any]", value)]
    return value
