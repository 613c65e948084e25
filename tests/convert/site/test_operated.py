"""A Runner of GitLab Runner Operator is taken property by property, with its ConfigMaps."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from convert.site.importer import Imported
from tests.support.sites import imported

RUNNER = ("runners", "fast")
SPEC: dict[str, Any] = {"gitlabUrl": "https://gitlab.example.com", "token": "runner-token"}
ENV = {
    "HTTP_PROXY": "http://proxy.example.com:3128",
    "KUBERNETES_POLL_TIMEOUT": "360",
    "LANG": "C",
    "RUNNER_OUTPUT_LIMIT": "8192",
}


def _object(kind: str, name: str, **content: object) -> dict[str, object]:
    api = "apps.gitlab.com/v1beta2" if kind == "Runner" else "v1"
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **content}


def _config(text: str) -> dict[str, object]:
    return _object("ConfigMap", "settings", data={"config.toml": text})


def _read(folder: Path, *objects: object) -> tuple[list[str], Imported]:
    """Import objects of one file; return what was said of the file too."""
    file = folder / "runner.yaml"
    file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    sources, found = imported(file)
    return [problem.text for problem in sources.problems], found


def _imported(folder: Path, spec: dict[str, Any], *objects: object) -> Imported:
    runner = _object("Runner", "fast", spec={**SPEC, **spec})
    problems, found = _read(folder, runner, *objects)
    assert problems == []
    assert found.errors == []
    return found


def _outcomes(found: Imported) -> dict[str, str]:
    return {item.path: item.outcome for item in found.findings}


PROPERTIES: list[tuple[dict[str, Any], str, Any]] = [
    ({"tags": "openshift, build"}, "tags", ["openshift", "build"]),
    ({"concurrent": 4}, "concurrent", 4),
    (
        {"logLevel": "warn", "logFormat": "json"},
        "manager",
        {"logLevel": "warn", "logFormat": "json"},
    ),
    ({"listenAddr": ":9252"}, "manager", {"metrics": "annotations"}),
    (
        {
            "cacheType": "s3",
            "cachePath": "a",
            "cacheShared": True,
            "s3": {"server": "minio.example.com", "bucket": "b", "location": "c", "insecure": True},
        },
        "cache",
        {
            "kind": "s3",
            "bucket": "b",
            "region": "c",
            "endpoint": "http://minio.example.com",
            "path": "a",
            "shared": True,
        },
    ),
    (
        {"gcs": {"bucket": "b", "credentials": "login"}},
        "cache",
        {"kind": "gcs", "bucket": "b", "credentials": "fast"},
    ),
    (
        {"deploymentSpec": [{"patch": "replicas: 3\ntemplate: {spec: {nodeSelector: {a: b}}}"}]},
        "manager",
        {"replicas": 3, "nodeSelector": {"a": "b"}},
    ),
    (
        {"deploymentSpec": [{"patch": '[{"op": "add", "path": "/replicas", "value": 2}]'}]},
        "manager",
        {"replicas": 2},
    ),
    (
        {
            "podSpec": [
                {"patch": "tolerations: [{key: a, operator: Exists}]", "patchType": "merge"},
                {"patch": "containers: [{name: runner, resources: {limits: {memory: 1Gi}}}]"},
            ]
        },
        "manager",
        {"tolerations": [{"key": "a"}], "resources": {"limits": {"memory": "1Gi"}}},
    ),
]


@pytest.mark.parametrize(("spec", "key", "value"), PROPERTIES, ids=range(len(PROPERTIES)))
def test_a_property_becomes_a_key(
    spec: dict[str, Any], key: str, value: object, tmp_path: Path
) -> None:
    found = _imported(tmp_path, spec)

    assert found.draft.get((*RUNNER, key)) == value
    assert set(_outcomes(found).values()) <= {"taken", "asks"}


def test_a_runner_registers_with_the_secret_that_it_has(tmp_path: Path) -> None:
    found = _imported(tmp_path, {"cloneURL": "https://gitlab.local.example.com"})

    assert found.draft.get((*RUNNER, "registration")) == {"kind": "secret", "name": "runner-token"}
    assert found.draft.get(("gitlab",)) == {
        "url": "https://gitlab.example.com",
        "cloneUrl": "https://gitlab.local.example.com",
    }


def test_its_config_maps_are_read_in_any_order(tmp_path: Path) -> None:
    config = _config('[[runners]]\n[runners.kubernetes]\ncpu_limit = "2"\n')
    runner = _object("Runner", "fast", spec={**SPEC, "config": "settings", "env": "env"})
    problems, found = _read(tmp_path, config, _object("ConfigMap", "env", data=ENV), runner)

    assert (problems, found.errors) == ([], [])
    assert [runner.name for runner in found.runners] == ["fast"]
    assert found.draft.get((*RUNNER, "resources")) == {"limits": {"cpu": "2"}}
    assert found.draft.get((*RUNNER, "manager")) == {"environment": {"LANG": "C"}}
    assert found.draft.get((*RUNNER, "logLimit")) == "8192Ki"
    assert found.draft.get((*RUNNER, "podStartTimeout")) == 360
    assert found.draft.get(("proxy",)) == {"http": ENV["HTTP_PROXY"]}
    assert _outcomes(found)["spec.config"] == "product"


def test_a_config_map_that_is_missing_has_a_line(tmp_path: Path) -> None:
    runner = _object("Runner", "fast", spec={**SPEC, "config": "settings", "env": "env"})
    problems, found = _read(tmp_path, runner)

    said = [
        f"takes values from ConfigMap {name}, which is not read" for name in ("env", "settings")
    ]
    assert [text.partition(";")[0] for text in problems] == said
    assert (_outcomes(found)["spec.config"], _outcomes(found)["spec.env"]) == ("asks", "asks")


def test_two_runners_of_one_template_are_two_runners(tmp_path: Path) -> None:
    config = _config('[[runners]]\n[runners.kubernetes]\ncpu_limit = "2"\n')
    pair = [
        _object("Runner", name, spec={**SPEC, "config": "settings", "token": name})
        for name in ("a", "b")
    ]
    _, found = _read(tmp_path, *pair, config)

    assert [found.draft.get(("runners", name, "resources", "limits")) for name in "ab"] == [
        {"cpu": "2"},
        {"cpu": "2"},
    ]


@pytest.mark.parametrize(
    ("spec", "path", "outcome"),
    [
        ({"interval": 5}, "spec.interval", "product"),
        ({"serviceaccount": "a"}, "spec.serviceaccount", "product"),
        ({"sentryDsn": "https://a@b.example.com/1"}, "spec.sentryDsn", "refused"),
        ({"ca": "a"}, "spec.ca", "asks"),
        ({"buildImage": "alpine"}, "spec.buildImage", "asks"),
        ({"helperImage": "gitlab/gitlab-runner-helper:ubi-fips"}, "spec.helperImage", "product"),
        ({"runnerImage": "r.example.com/gitlab-runner:a"}, "spec.runnerImage", "taken"),
        ({"newProperty": "a"}, "spec.newProperty", "unknown"),
        ({"podSpec": [{"patch": "hostNetwork: true"}]}, "spec.podSpec.hostNetwork", "refused"),
        (
            {"podSpec": [{"patch": "containers: [{name: a, tty: true}]"}]},
            "spec.podSpec.containers.tty",
            "refused",
        ),
        ({"deploymentSpec": [{"patch": "paused: true"}]}, "spec.deploymentSpec.paused", "refused"),
        (
            {"deploymentSpec": [{"patch": "template: {metadata: {labels: {a: b}}}"}]},
            "spec.deploymentSpec.template.metadata",
            "refused",
        ),
        ({"podSpec": [{"patchFile": "/a"}]}, "spec.podSpec", "refused"),
        ({"token": "glrt-PlantedToken0001"}, "spec.token", "refused"),
    ],
    ids=str,
)
def test_no_property_is_dropped(
    spec: dict[str, Any], path: str, outcome: str, tmp_path: Path
) -> None:
    assert _outcomes(_imported(tmp_path, spec))[path] == outcome


def test_a_runner_of_another_operator_has_a_line(tmp_path: Path) -> None:
    other = {**_object("Runner", "a"), "apiVersion": "actions.summerwind.dev/v1alpha1"}
    problems, found = _read(tmp_path, other)

    assert problems == ["a Runner has no values of the chart"]
    assert found.runners == []
