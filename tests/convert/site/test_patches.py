"""Patches of job pods become keys field by field, or say why they do not."""

from pathlib import Path
from typing import Any

import pytest

from convert.site.importer import Imported
from tests.support.sites import values

RUNNER = ("runners", "builds")
CLAIM = (
    "volumes: [{{name: repo, ephemeral: {{volumeClaimTemplate: {{spec: {{{}"
    "resources: {{requests: {{storage: 9Gi}}}}}}}}}}}}]"
)
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
PATCHES: list[tuple[str, str, Any]] = [
    (
        "containers: [{name: build, resources: {limits: {nvidia.com/gpu: 1}}}]",
        "resources",
        {"extended": {"nvidia.com/gpu": 1}},
    ),
    (
        "containers: [{name: helper, resources: {requests: {cpu: 50m}}}]",
        "resources",
        {"helper": {"requests": {"cpu": "50m"}}},
    ),
    (
        CLAIM.format("storageClassName: fast, "),
        "volumes",
        [{"path": "/builds", "perJob": {"size": "9Gi", "storageClass": "fast"}}],
    ),
    (CLAIM.format(""), "volumes", [{"path": "/builds", "perJob": {"size": "9Gi"}}]),
    ("topologySpreadConstraints: [{topologyKey: kubernetes.io/hostname}]", "spread", "node"),
    ("tolerations: [{key: a, operator: Exists}]", "tolerations", [{"key": "a"}]),
    ("affinity: {podAntiAffinity: {topologyKey: kubernetes.io/hostname}}", "spread", "node"),
    ("nodeSelector: {a: b}", "nodeSelector", {"a": "b"}),
    ('[{"op": "add", "path": "/nodeSelector", "value": {"a": "b"}}]', "nodeSelector", {"a": "b"}),
    (
        f"affinity: {{nodeAffinity: {{{PREFERRED}: "
        "[{weight: 5, preference: {matchExpressions: [{key: a, operator: Exists}]}}]}}",
        "nodeAffinity",
        {"prefer": [{"key": "a", "operator": "Exists", "weight": 5}]},
    ),
]


def _patched(folder: Path, patch: str) -> Imported:
    table = "[[runners]]\n[[runners.kubernetes.pod_spec]]\n"
    return values(folder, f"{table}patch = '''{patch}'''\n", "config.toml")


@pytest.mark.parametrize(("patch", "key", "value"), PATCHES, ids=range(len(PATCHES)))
def test_a_patch_is_taken_field_by_field(
    patch: str, key: str, value: object, tmp_path: Path
) -> None:
    found = _patched(tmp_path, patch)

    assert found.draft.get((*RUNNER, key)) == value
    assert [item.outcome for item in found.findings] == ["taken"]
    assert found.errors == []


def test_names_of_hosts_in_a_patch_are_those_of_the_stack(tmp_path: Path) -> None:
    found = _patched(tmp_path, "hostAliases: [{ip: 192.0.2.7, hostnames: [a.example.com]}]")

    assert found.draft.get(("hostAliases",)) == {"192.0.2.7": ["a.example.com"]}


@pytest.mark.parametrize(
    ("patch", "path", "said"),
    [
        ("hostNetwork: true", ".hostNetwork", "past the plan"),
        ("affinity: {podAffinity: {a: b}}", ".affinity.podAffinity", "past the plan"),
        ("glpat-PlantedToken0001: true", ".…", "past the plan"),
        ('[{"op": "add", "path": "/hostPID", "value": true}]', ".hostPID", "past the plan"),
        ('[{"op": "remove", "path": "/containers/0"}]', ".containers", "past the plan"),
        ("containers: a", ".containers", "adds a container"),
        ("containers: [{name: more}]", ".containers", "adds a container"),
        ("containers: [{name: build, tty: true}]", ".containers.tty", "past the plan"),
        ("volumes: [{name: more}]", ".volumes", "adds a volume"),
        ("nodeSelector: a", ".nodeSelector", "must be a mapping"),
        ("a: [", "", "is not a patch"),
        ("{{ .Values.patch }}", "", "is a template"),
    ],
    ids=range(12),
)
def test_a_patch_past_the_plan_is_refused(patch: str, path: str, said: str, tmp_path: Path) -> None:
    (finding,) = _patched(tmp_path, patch).findings

    assert (finding.outcome, said in finding.text) == ("refused", True)
    assert finding.path == f"runners.kubernetes.pod_spec{path}"
