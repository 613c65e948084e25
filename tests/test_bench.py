"""The floor of the benchmark: a program without this project's code that registers the same."""

import json
import runpy
from pathlib import Path
from typing import Any, cast

import pulumi

from dev.bench.floor import literal_program
from dev.cluster.kubeconfig import NAME
from dev.local.stack_file import chart_of
from dev.paths import CHECKOUT, STAND_IN_CHART
from report.inputs.recorder import RegisteredResource
from report.redact import MARK
from tests.support.harness import deploy

SETTINGS = {
    "gitlab": {"url": "https://gitlab.example.com"},
    "cluster": {"kind": "managed", "nodes": {"trusted": True}},
    "namespace": "bench",
    "chart": chart_of(STAND_IN_CHART),
    "registries": [{"host": "registry.example.com", "pull": "pull", "push": "push"}],
    "runners": {name: {"tags": ["bench"], "strategy": "kaniko"} for name in ("one", "two")},
}
LOGIN = {"username": "registry-user", "password": "made-up-password"}
SECRETS = {
    "image-builds:runnerTokens": {name: f"glrt-made-up-{name}" for name in ("one", "two")},
    "image-builds:registryCredentials": {"pull": LOGIN, "push": LOGIN},
}


def _run(program: Path) -> list[RegisteredResource]:
    def configured() -> None:
        texts = {key: json.dumps(value) for key, value in SECRETS.items()}
        config = {"image-builds:settings": json.dumps(SETTINGS), "kubernetes:context": NAME}
        pulumi.runtime.set_all_config({**config, **texts}, [*SECRETS])
        runpy.run_path(str(program))

    return deploy(configured)


def _exported(value: object) -> object:
    """Return inputs or outputs as pulumi stack export --show-secrets has them."""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        if MARK in table:
            return {MARK: table[MARK], "plaintext": json.dumps(table["value"])}
        return {key: _exported(item) for key, item in table.items()}
    return [*map(_exported, cast("list[object]", value))] if isinstance(value, list) else value


def _state(registered: list[RegisteredResource]) -> dict[str, Any]:
    return {
        "resources": [
            {
                "urn": resource.urn,
                "type": resource.type,
                "custom": resource.type.startswith(("kubernetes:", "pulumi:providers:")),
                "parent": resource.parent,
                "provider": resource.provider,
                "dependencies": resource.dependencies,
                "inputs": _exported(resource.inputs),
                "outputs": _exported(resource.outputs),
            }
            for resource in registered
        ]
    }


def test_the_floor_registers_what_the_program_does(tmp_path: Path) -> None:
    ours = _run(CHECKOUT / "__main__.py")
    literal_program(_state(ours), tmp_path / "floor.py")

    floor = _run(tmp_path / "floor.py")

    mine, least = ({item.urn: item for item in found} for found in (ours, floor))
    assert least.keys() == mine.keys()
    assert len(mine) > 20
    for urn, resource in mine.items():
        assert least[urn].inputs == resource.inputs, urn
        assert least[urn].outputs == resource.outputs, urn
        assert set(least[urn].dependencies) >= set(resource.dependencies), urn
