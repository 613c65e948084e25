"""Writes the floor: a program that registers what a stack has deployed, as literals."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from report.redact import MARK


def literal_program(deployment: Mapping[str, Any], file: Path) -> None:
    """Write a program that registers what ``deployment`` (an exported state) holds.

    That is its resources in their order, which a first update needs, and what components and the
    stack put out.
    """
    lines = ["import pulumi", "import pulumi_kubernetes as k8s", ""]
    outputs: list[str] = []
    names: dict[str, str] = {}
    for resource in deployment["resources"]:
        urn, kind = resource["urn"], resource["type"]
        name = urn.rpartition("::")[2]
        if kind.startswith("pulumi:providers:"):
            names[urn] = f"r{len(names)}"
            if name == "cluster":
                arguments = "context='image-builds-local', kubeconfig='', "
                arguments += "enable_secret_mutable=True, enable_config_map_mutable=True, "
                arguments += "upsert_existing_objects=True"
                lines.append(f"{names[urn]} = k8s.Provider('cluster', {arguments})")
            continue
        if kind == "pulumi:pulumi:Stack":
            known = resource.get("outputs", {}).items()
            outputs += [f"pulumi.export({key!r}, {_literal(value)})" for key, value in known]
            continue
        options = [f"parent={names[resource['parent']]}"] if resource["parent"] in names else []
        if provider := resource.get("provider"):
            options.append(f"provider={names[provider.rpartition('::')[0]]}")
        if after := [names[urn] for urn in resource.get("dependencies") or ()]:
            options.append(f"depends_on=[{', '.join(after)}]")
        made = f"opts=pulumi.ResourceOptions({', '.join(options)})"
        names[urn] = f"r{len(names)}"
        if resource.get("custom"):
            call = f"k8s.{_class(kind)}({name!r}, **{_literal(_inputs(resource))}, {made})"
        else:
            call = f"pulumi.ComponentResource({kind!r}, {name!r}, None, {made})"
            known = _literal(resource.get("outputs", {}))
            outputs.append(f"{names[urn]}.register_outputs({known})")
        lines.append(f"{names[urn]} = {call}")
    file.write_text("\n".join([*lines, *outputs]) + "\n", encoding="utf-8")


def _class(kind: str) -> str:
    group, version_and_kind = kind.removeprefix("kubernetes:").split("/", 1)
    version, name = version_and_kind.split(":")
    for end in (".k8s.io", ".authorization", ".sh"):
        group = group.removesuffix(end)
    return f"{group}.{version}.{name}"


def _inputs(resource: Mapping[str, Any]) -> dict[str, Any]:
    """A resource's inputs as arguments: the SDK adds the API version and kind itself."""
    left_out = {"apiVersion", "kind", "__defaults", "compat"}
    inputs = {key: value for key, value in resource["inputs"].items() if key not in left_out}
    if resource["type"].startswith("kubernetes:helm.sh"):
        kept = ("chart", "name", "namespace", "repositoryOpts", "timeout", "values", "version")
        inputs = {key: inputs[key] for key in kept if key in inputs}
    return {
        "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key): value
        for key, value in inputs.items()
    }


class _Secret(NamedTuple):
    """A secret, which the program marks as one."""

    value: object

    def __repr__(self) -> str:
        return f"pulumi.Output.secret({self.value!r})"


def _literal(value: object) -> str:
    return repr(plain(value, _Secret))


def plain(value: object, secret: Callable[[object], object] = lambda value: value) -> object:
    """Return inputs of the state as the API server takes them, secrets as ``secret`` has them."""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        if MARK in table:
            return secret(json.loads(table["plaintext"]))
        return {key: plain(item, secret) for key, item in table.items() if key != "__defaults"}
    if isinstance(value, list):
        return [plain(item, secret) for item in cast("list[object]", value)]
    return value
