"""What a site has is read in each form, and what cannot be read is one line without a value."""

import json
from pathlib import Path

import pytest
import yaml

from convert.site.importer import Imported
from tests.support.sites import about, imported

URL = "https://gitlab.example.com"
VALUES = {"gitlabUrl": URL, "concurrent": 7}
TOML = f'concurrent = 7\n[[runners]]\nurl = "{URL}"\n[runners.kubernetes]\ncpu_limit = "2"\n'
TEXT = yaml.safe_dump(VALUES)
META = {"metadata": {"name": "fast"}}
SECRET = "glrt-PlantedToken0001"


def _flux(values: object, **more: object) -> dict[str, object]:
    chart = {"spec": {"chart": "gitlab-runner", "version": "0.86.0"}}
    spec = {"chart": chart, "values": values, **more}
    return {"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", **META, "spec": spec}


def _argo(helm: object, kind: str = "Application") -> dict[str, object]:
    spec: object = {"source": {"targetRevision": "0.86.0", "helm": helm}}
    spec = {"template": {"spec": spec}} if kind == "ApplicationSet" else spec
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, **META, "spec": spec}


def _rancher(**spec: object) -> dict[str, object]:
    return {"apiVersion": "helm.cattle.io/v1", "kind": "HelmChart", **META, "spec": spec}


def _config_map(**data: str) -> dict[str, object]:
    data = {key.replace("_", "."): text for key, text in data.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", **META, "data": data}


FORMS = {
    "values": VALUES,
    "within another chart": {"gitlab-runner": VALUES},
    "within gitlab": {"global": {"a": "b"}, "gitlab": {"gitlab-runner": VALUES}},
    "beside others": {"gitlabUrl": URL, "gitlab-runner": {"concurrent": 7}},
    "printed by helm": {"USER-SUPPLIED VALUES": None, **VALUES},
    "HelmRelease": _flux(VALUES),
    "valuesObject": _argo({"valuesObject": VALUES}),
    "values of an Application": _argo({"values": TEXT}),
    "ApplicationSet": _argo({"valuesObject": VALUES}, "ApplicationSet"),
    "parameters": _argo(
        {
            "parameters": [
                {"name": "gitlabUrl", "value": URL},
                {"name": "concurrent", "value": "7"},
                {"name": "rbac.create", "value": "true"},
                {"name": "rbac.serviceAccountName", "value": "a"},
            ]
        }
    ),
    "HelmChart": _rancher(valuesContent=TEXT),
    "HelmChart with set": _rancher(set=VALUES),
    "helmfile": {
        "releases": [
            {"name": "other", "chart": "a/b"},
            {"name": "fast", "chart": "gitlab/gitlab-runner", "values": [VALUES]},
        ]
    },
    "helmfile with set": {
        "releases": [
            {
                "name": "fast",
                "chart": "gitlab/gitlab-runner",
                "set": [{"name": "gitlabUrl", "value": URL}, {"name": "concurrent", "value": "7"}],
            }
        ]
    },
    "kustomization": {"helmCharts": [{"name": "gitlab-runner", "valuesInline": VALUES}]},
    "kustomization with a kind": {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "helmCharts": [{"name": "gitlab-runner", "valuesInline": VALUES}],
    },
    "parameters of another chart": _argo(
        {
            "parameters": [
                {"name": "gitlab-runner.gitlabUrl", "value": URL},
                {"name": "gitlab-runner.concurrent", "value": "7"},
            ]
        }
    ),
    "an override": {"gitlabUrl": URL, "runners": {"configOverride": "concurrent = 7"}},
    "List": {"apiVersion": "v1", "kind": "List", "items": [_flux(VALUES)]},
    "ConfigMap": _config_map(config_toml=TOML),
    "values in a ConfigMap": _config_map(values_yaml=TEXT, entrypoint="a"),
    "sources": {
        **_argo({}),
        "spec": {"sources": [{"ref": "values"}, {"helm": {"valuesObject": VALUES}}]},
    },
    "within a platform": {"platform": {"gitlab-runner": VALUES}},
    "under an alias": {"upstream": VALUES, "istio": {"enabled": False}},
    "within a wrapper": {"helm": VALUES, "other": {"a": "b"}},
}


def _runner(found: Imported) -> tuple[object, object]:
    (name,) = (runner.name for runner in found.runners)
    return found.draft.get(("gitlab", "url")), found.draft.get(("runners", name, "concurrent"))


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_read(form: str, tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(FORMS[form]), encoding="utf-8")

    sources, found = imported(file)

    assert sources.problems == []
    assert _runner(found) == (URL, 7)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("values.json", json.dumps(VALUES)),
        ("config.toml", TOML),
        ("config", TOML),
        ("windows.yaml", TEXT.replace("\n", "\r\n")),
        ("windows.toml", TOML.replace("\n", "\r\n")),
        ("marked.yaml", "\N{ZERO WIDTH NO-BREAK SPACE}" + TEXT),
        ("anchors.yaml", f"a: &a {{concurrent: 7}}\n<<: *a\ngitlabUrl: {URL}\n"),
        ("quoted.yaml", f"gitlabUrl: {URL}\nconcurrent: '7'\n"),
        ("rendered.yaml", f"gitlabUrl: {URL}\nconcurrent: 7\n---\n"),
    ],
    ids=lambda value: value[:15],
)
def test_a_spelling_is_read(name: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8", newline="")

    _, found = imported(file)

    assert _runner(found) == (URL, 7)


def test_a_later_file_outranks_an_earlier_one_as_in_helm(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(f"gitlabUrl: {URL}\nconcurrent: 3\nrbac: {{create: true}}\n", "utf-8")
    second.write_text("concurrent: 7\nrbac: {clusterWideAccess: true}\n", "utf-8")

    _, found = imported(first, second)

    assert _runner(found) == (URL, 7)
    assert [item.outcome for item in about(found, "rbac")] == ["product", "refused"]


@pytest.mark.parametrize("values_first", [True, False])
def test_a_config_toml_beside_values_belongs_to_them(values_first: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    values, config = tmp_path / "values.yaml", tmp_path / "config.toml"
    values.write_text("resources: {limits: {memory: 1Gi}}\nconcurrent: 7\n", "utf-8")
    config.write_text(TOML, "utf-8")

    _, found = imported(*([values, config] if values_first else [config, values]))

    assert len(found.runners) == (1 if values_first else 2)
    assert found.errors == []


def test_each_runner_of_a_config_toml_is_one_of_the_stack(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    runner = '[[runners]]\nname = "My runner"\nlimit = {}\nexecutor = "kubernetes"\n'
    file.write_text("concurrent = 5\n" + runner.format(2) + runner.format(9), "utf-8")

    _, found = imported(file)

    assert [runner.name for runner in found.runners] == ["my-runner", "my-runner-2"]
    assert found.draft.get(("runners", "my-runner", "concurrent")) == 2
    assert found.draft.get(("runners", "my-runner-2", "concurrent")) == 5


def test_templates_of_the_chart_are_read(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    config = """\
[[runners]]
  {{- if .Values.x }}
  [runners.kubernetes]
    namespace = "{{.Release.Namespace}}"
    image = {{ printf "%s:%s" .Values.image .Values.tag | quote }}
    helper_image = "{{ .Values.helper | default "none" }}"
    cpu_limit = "{{ .Values.cpu }}"
    memory_limit = "1Gi"
  {{- end }}
"""
    file.write_text(yaml.safe_dump({"runners": {"config": config}}), "utf-8")

    _, found = imported(file)

    assert found.errors == []
    assert about(found, "runners.kubernetes.namespace") == []
    (cpu,) = about(found, "runners.kubernetes.cpu_limit")
    (image,) = about(found, "runners.kubernetes.image")
    assert (cpu.outcome, cpu.text, image.outcome) == ("refused", "is a template", "refused")
    assert about(found, "runners.kubernetes.memory_limit")[0].outcome == "taken"


def test_templates_of_values_are_what_the_values_say(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    config = """\
[[runners]]
  name = {{ .Release.Name | quote }}
  limit = {{ .Values.jobs.limit }}
  [runners.kubernetes]
    image = "{{ printf "%s/%s:%s" .Values.image.registry .Values.image.name .Values.image.tag }}"
    priority_class_name = {{ .Values.class | quote }}
    cpu_limit = "{{ printf "%d" .Values.jobs.limit }}"
    memory_limit = "{{ .Values.text }}"
"""
    content = {
        "image": {"registry": "r.example.com", "name": "a", "tag": "1"},
        "class": "low",
        "text": 'a"b',
        "jobs": {"limit": "3"},
        "runners": {"config": config},
    }
    file.write_text(yaml.safe_dump(content), "utf-8")

    _, found = imported(file)

    runner = ("runners", "builds")
    assert found.draft.get((*runner, "strategy", "image")) == "r.example.com/a:1"
    assert found.draft.get((*runner, "priorityClassName")) == "low"
    assert found.draft.get((*runner, "concurrent")) == 3
    unread = ("cpu_limit", "memory_limit")
    outcomes = [about(found, f"runners.kubernetes.{key}")[0].outcome for key in unread]
    assert outcomes == ["refused", "refused"]


def test_parameters_are_paths_as_helm_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    role = "arn:aws:iam::000000000000:role/runner"
    parameters = {
        "gitlabUrl": URL,
        r"serviceAccount.annotations.eks\.amazonaws\.com/role-arn": role,
        "tolerations[0].key": "ci",
        "tolerations[1].key": "spot",
        "runners.tags": "{a,b}",
        "": "ignored",
    }
    named = [{"name": name, "value": value} for name, value in parameters.items()]
    file.write_text(yaml.safe_dump(_argo({"parameters": named})), "utf-8")

    _, found = imported(file)

    runner = ("runners", "fast")
    assert found.draft.get((*runner, "identity", "manager")) == {"aws": role}
    assert found.draft.get((*runner, "manager", "tolerations")) == [{"key": "ci"}, {"key": "spot"}]
    assert found.draft.get((*runner, "tags")) == ["a", "b"]
    assert found.errors == []


@pytest.mark.parametrize("wrapped", [False, True], ids=["values", "object"])
def test_each_alias_of_the_chart_is_a_runner(wrapped: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """A chart may contain that of the runner more than once."""
    file = tmp_path / "values.yaml"
    content = {"small": VALUES, "large": {**VALUES, "concurrent": 9}, "global": {"a": "b"}}
    document = _flux(content, chart={"spec": {"chart": "ci"}}) if wrapped else content
    file.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")

    _, found = imported(file)

    counts = {
        runner.name: found.draft.get(("runners", runner.name, "concurrent"))
        for runner in found.runners
    }
    assert counts == {"small": 7, "large": 9}


def test_environments_of_a_helmfile_are_no_runner(tmp_path: Path) -> None:
    file = tmp_path / "helmfile.yaml"
    first = {"environments": {"dev": {"values": [{"replicas": 1}]}}}
    second = {"releases": [{"name": "a", "chart": "b/gitlab-runner", "values": [VALUES]}]}
    file.write_text(yaml.safe_dump_all([first, second]), "utf-8")

    _, found = imported(file)

    assert _runner(found) == (URL, 7)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (_flux(VALUES, valuesFrom=[{"kind": "Secret", "name": "a"}]), "takes values from Secret a"),
        (_argo({"valueFiles": ["x.yaml"], "valuesObject": VALUES}), "names x.yaml, which is not"),
        (_argo({"fileParameters": [{"path": "x"}], "valuesObject": VALUES}), "names x, which is"),
        (
            _flux(VALUES, valuesFrom=[{"kind": "ConfigMap", "name": "a"}]),
            "takes values from ConfigMap a, which is not read",
        ),
        (_config_map(other="a"), "a ConfigMap has no config.toml and no values"),
        (
            {"releases": [{"chart": "x/gitlab-runner", "values": [VALUES], "secrets": ["s.yaml"]}]},
            "names s.yaml, which holds secrets",
        ),
        (
            {**_argo({}), "spec": {"source": {"chart": "gitlab-runner"}}},
            "has a runner without values here",
        ),
        ({"apiVersion": "v1", "kind": "Secret", "data": {}}, "holds secrets, so it is not read"),
        ({"apiVersion": "v1", "kind": "Service"}, "a Service has no values of the chart"),
        (
            _flux({"replicaCount": 2}, chart={"spec": {"chart": "podinfo"}}),
            "a HelmRelease of another chart",
        ),
        ({**VALUES, "sops": {"mac": "ENC[a]"}}, "is encrypted with SOPS"),
        (
            {"releases": [{"chart": "x/gitlab-runner", "values": ["a.gotmpl"]}]},
            "names a.gotmpl, which is not read",
        ),
    ],
    ids=range(12),
)
def test_what_is_not_read_has_a_line(document: object, said: str, tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(document), "utf-8")

    sources, _ = imported(file)

    assert [said in problem.text for problem in sources.problems] == [True]


def test_values_that_a_helmfile_names_are_read(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text(TEXT, "utf-8")
    (tmp_path / "none.yaml").write_text("", "utf-8")
    release = {"name": "a", "chart": "gitlab/gitlab-runner", "values": ["none.yaml", "more.yaml"]}
    file = tmp_path / "helmfile.yaml"
    file.write_text(yaml.safe_dump({"releases": [release]}), "utf-8")

    _, found = imported(file)

    assert _runner(found) == (URL, 7)


DEEP = "\n".join([f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)])
HOSTILE = {
    "anchors": (f"a0: &a0 [{SECRET}]\n{DEEP}".encode(), "aliases make it too large"),
    "a circle": (b"a: &a\n  b: *a\n", "an anchor holds an alias of itself"),
    "5 MB": (b"a: " + b"x" * 5_000_000, "has more bytes than the 1048576 that Helm can keep"),
    "a template": (f"{{{{ if .x }}}}\ntoken: {SECRET}\n".encode(), "is a template; render it"),
    "tabs": (f"a:\n\ttoken: {SECRET}\n".encode(), ":2: must be YAML, and found character '\\t'"),
    "binary": (b"\xff\xfe\x00", "must be text in UTF-8"),
    "a null": (b"a: b\0c", "is a binary file"),
    "a list": (f"- {SECRET}\n".encode(), "must be a mapping of values"),
    "an alias": (f"a: *{SECRET}\n".encode(), "must be YAML, and found undefined alias"),
    "depth": (b"a: " + b"[" * 5000, "must be YAML|levels deep"),
    "bad config": (
        f'runners: {{config: "token = {SECRET}"}}\n'.encode(),
        "runners.config:1: must be TOML",
    ),
    "a bad template": (b'runners: {config: "{{ x }} = 1"}\n', "must be TOML, and is a template"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_cannot_be_read_is_one_line_without_a_secret(case: str, tmp_path: Path) -> None:
    content, said = HOSTILE[case]
    file = tmp_path / "values.yaml"
    file.write_bytes(content)

    sources, _ = imported(file)

    (problem,) = sources.problems
    assert problem.fatal
    assert any(part in str(problem) for part in said.split("|"))
    assert "\n" not in str(problem)
    assert SECRET not in str(problem)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f'token = "{SECRET}\n', ":1: must be TOML, as GitLab Runner reads it"),
        (f'a = 1\na = "{SECRET}"\n', ":2: must be TOML"),
        ("a = " + "[" * 5000, "config.toml:1: "),
        ("[[runners]\n", "must be TOML"),
        ('a = "x', "must be TOML"),
    ],
    ids=range(5),
)
def test_a_config_toml_that_cannot_be_read_is_one_line(
    content: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(content, "utf-8")

    sources, _ = imported(file)

    assert [said in str(problem) for problem in sources.problems] == [True]
    assert SECRET not in str(sources.problems)


@pytest.mark.parametrize("name", ["main.tf", "missing.yaml"])
def test_a_file_that_is_no_values_is_one_line(name: str, tmp_path: Path) -> None:
    if name == "main.tf":
        (tmp_path / name).write_text("", "utf-8")

    sources, _ = imported(tmp_path / name)

    assert [problem.fatal for problem in sources.problems] == [True]


def test_a_key_that_stands_twice_is_named(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(f"concurrent: 3\nconcurrent: 7\ngitlabUrl: {URL}\n", "utf-8")

    sources, found = imported(file)

    assert "the key concurrent stands twice" in str(sources.problems[0])
    assert _runner(found) == (URL, 7)


def _written(folder: Path, **documents: object) -> list[Path]:
    """Write files in the order of their names in the call."""
    paths = [folder / f"{name}.yaml" for name in documents]
    for path, document in zip(paths, documents.values(), strict=True):
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return paths


@pytest.mark.parametrize("backwards", [False, True])
def test_values_from_a_config_map_are_below_those_of_its_release(
    tmp_path: Path, *, backwards: bool
) -> None:
    release = _flux({"gitlabUrl": URL}, valuesFrom=[{"kind": "ConfigMap", "name": "fast"}])
    below = yaml.safe_dump({"gitlabUrl": "https://other.example.com", "concurrent": 7})
    files = _written(tmp_path, a=release, b=_config_map(values_yaml=below))

    sources, found = imported(*(reversed(files) if backwards else files))

    assert sources.problems == []
    assert _runner(found) == (URL, 7)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_file_of_values_belongs_to_what_names_it(tmp_path: Path, *, backwards: bool) -> None:
    config = {"concurrent": 7, "runners": {"config": '[[runners]]\nname = "a"\n'}}
    application = _argo({"valueFiles": ["$values/b.yaml"], "valuesObject": {"gitlabUrl": URL}})
    files = _written(tmp_path, a=application, b=config)

    sources, found = imported(*(reversed(files) if backwards else files))

    assert sources.problems == []
    assert _runner(found) == (URL, 7)


def test_an_application_may_have_no_values_but_those_of_a_file(tmp_path: Path) -> None:
    source = {"chart": "gitlab-runner", "helm": {"valueFiles": ["b.yaml"]}}
    application = {**_argo({}), "spec": {"source": source}}
    sources, found = imported(*_written(tmp_path, a=application, b=VALUES))

    assert sources.problems == []
    assert _runner(found) == (URL, 7)
    assert {item.file for item in found.findings} == {"b.yaml"}


def test_a_config_map_has_a_config_by_any_name(tmp_path: Path) -> None:
    (file,) = _written(tmp_path, a=_config_map(template=TOML))

    assert _runner(imported(file)[1]) == (URL, 7)


def test_a_config_map_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (file,) = _written(tmp_path, a=_config_map(config_toml="a ="))

    sources, _ = imported(file)

    assert [problem.fatal for problem in sources.problems] == [True]


def test_further_files_of_a_kustomization_are_read(tmp_path: Path) -> None:
    _written(tmp_path, more={"concurrent": 7})
    chart = {"name": "gitlab-runner", "additionalValuesFiles": ["more.yaml"]}
    (file,) = _written(
        tmp_path, kustomization={"helmCharts": [{**chart, "valuesInline": {"gitlabUrl": URL}}]}
    )

    assert _runner(imported(file)[1]) == (URL, 7)


def test_variables_of_a_registration_in_a_config_map_are_read(tmp_path: Path) -> None:
    options = {"CI_SERVER_URL": URL, "KUBERNETES_CPU_LIMIT": "2", "RUNNER_TAG_LIST": "a,b"}
    document = {**_config_map(), "data": {**options, "REGISTRATION_TOKEN": SECRET}}
    (file,) = _written(tmp_path, a=document)

    sources, found = imported(file)

    (runner,) = found.runners
    assert (sources.problems, found.errors) == ([], [])
    assert found.draft.get(("gitlab", "url")) == URL
    assert found.draft.get(("runners", runner.name, "tags")) == ["a", "b"]
    assert found.draft.get(("runners", runner.name, "resources")) == {"limits": {"cpu": "2"}}
