"""Patches of a job's pod, merged as GitLab Runner merges them before it creates the pod.

The runner takes YAML or JSON and the three types of Kubernetes' patches
(gitlab-runner:docs/executors/kubernetes/_index.md, Overwrite generated pod specs).
"""

import functools
from collections.abc import Mapping
from typing import cast

import yaml

from report.tree import JSON, Tree, entries, inside

# By which key a strategic patch merges the entries of a list; it replaces any other list
# (kubernetes: staging/src/k8s.io/api/core/v1/types.go, patchMergeKey).
_MERGE_KEYS = {
    "containers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ports": "containerPort",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}


class PatchError(Exception):
    """A patch cannot be merged."""


def merge(spec: Tree, text: str, kind: str) -> Tree:
    """Return a pod's spec with a patch of the type strategic, merge or json, in YAML or JSON.

    Raises:
        PatchError: it has another type, is not such a patch, or does what only Kubernetes can do.
    """
    try:
        patch = cast("JSON", yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise PatchError from error
    if kind == "json" and isinstance(patch, list):
        return inside(functools.reduce(_operate, map(inside, patch), cast("JSON", spec)))
    if kind in {"merge", "strategic"} and isinstance(patch, Mapping):
        return inside(_merge(spec, patch, _MERGE_KEYS if kind == "strategic" else {}))
    raise PatchError


def _merge(value: JSON, patch: JSON, merge_keys: Mapping[str, str], field: str = "") -> JSON:
    """Merge mappings by key and the lists of ``merge_keys`` by entry; null removes."""
    if isinstance(patch, Mapping):
        # Directives such as $patch: replace.
        if any(key.startswith("$") for key in patch):
            raise PatchError
        table = {**inside(value)}
        for key, item in patch.items():
            table[key] = _merge(table.get(key), item, merge_keys, key)
        return {key: item for key, item in table.items() if item is not None}
    if isinstance(patch, list) and field in merge_keys:
        name = merge_keys[field]
        merged = {str(item.get(name)): item for item in entries({field: value}, field)}
        for item in map(inside, patch):
            if name not in item:
                raise PatchError
            key = str(item[name])
            merged[key] = inside(_merge(merged.get(key), item, merge_keys))
        return list(merged.values())
    return patch


def _operate(value: JSON, operation: Tree) -> JSON:
    """Apply one operation of a JSON patch; what a test demands is taken to hold."""
    kind = operation.get("op")
    if kind == "test":
        return value
    path = str(operation.get("path")).split("/")[1:]
    if kind not in {"add", "replace", "remove"} or not path:
        raise PatchError
    keys = [key.replace("~1", "/").replace("~0", "~") for key in path]
    return _put(value, keys, str(kind), operation.get("value"))


def _put(value: JSON, path: list[str], kind: str, new: JSON) -> JSON:
    key, *rest = path
    if isinstance(value, list):
        return _put_into_list(value, path, kind, new)
    table = {**inside(value)}
    if rest:
        below = table.get(key, [] if rest[0] == "-" else None)
        table[key] = _put(below, rest, kind, new)
    elif kind == "remove":
        table.pop(key, None)
    else:
        table[key] = new
    return table


def _put_into_list(value: list[JSON], path: list[str], kind: str, new: JSON) -> JSON:
    key, *rest = path
    appends = kind == "add" and not rest
    at = len(value) if key == "-" else int(key) if key.isdigit() else -1
    if not 0 <= at < len(value) + appends:
        raise PatchError
    if rest:
        return [*value[:at], _put(value[at], rest, kind, new), *value[at + 1 :]]
    entry = [] if kind == "remove" else [new]
    return [*value[:at], *entry, *value[at if appends else at + 1 :]]
