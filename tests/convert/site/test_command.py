"""The command ``import``: what it writes, prints and returns."""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands.app import main
from commands.shared.exit_codes import ExitCode
from components.ownership.cluster import UnreadableError
from components.settings.models import Settings
from components.types import JSON
from convert.site import cluster
from convert.site.draft import Draft
from report.inputs import helm
from tests.support.pages import DOCS, commands

PAGE = DOCS / "how-to" / "bring-your-site.md"
PROGRAM = ".venv/bin/python -m commands"
TOKEN = "glrt-PlantedToken0001"
VALUES = f"""\
gitlabUrl: https://gitlab.example.com
runnerToken: {TOKEN}
rbac: {{clusterWideAccess: true}}
runners:
  tags: ci
  privileged: true
  env: {{PASSWORD: PlantedPassword}}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for stack files, with values beside it."""
    monkeypatch.setattr("commands.shared.checkout.CHECKOUT", tmp_path)
    (tmp_path / "values.yaml").write_text(VALUES, encoding="utf-8")
    return tmp_path


def _run(site: Path, *options: str) -> int:
    return main(["import", str(site / "values.yaml"), "--stack", "moved", *options])


def _stack(site: Path) -> dict[str, Any]:
    text = (site / "Pulumi.moved.yaml").read_text(encoding="utf-8")
    assert "Planted" not in text
    return yaml.safe_load(text)["config"]


def test_the_stack_file_has_comments_and_no_secret(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(site) == ExitCode.NO_CHANGE

    settings = Settings.model_validate(_stack(site)["image-builds:settings"])
    assert settings.runners["builds"].tags == ["ci"]
    text = (site / "Pulumi.moved.yaml").read_text(encoding="utf-8")
    assert "      # jobs are privileged today" in text
    assert max(map(len, text.splitlines())) <= 100
    printed = capsys.readouterr()
    assert "Planted" not in printed.out + printed.err
    lines = printed.out.splitlines()
    assert "values.yaml: gitlabUrl: taken as gitlab.url" in lines
    assert "  pulumi config set --secret --path 'runnerTokens.builds' --stack moved" in lines
    assert any(line.startswith("security: the manager had rights") for line in lines)
    assert any(line.startswith("6 keys: 3 taken") for line in lines)
    assert "  pulumi config set kubernetes:context NAME --stack moved" in lines
    assert lines[-1] == "Pulumi.moved.yaml is written; preview it before you deploy"


def test_what_is_as_weak_as_it_was_is_said(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = "cache: {cacheType: s3, s3BucketName: b, cacheShared: true}"
    (site / "values.yaml").write_text(f"runners: {{{cache}}}\n", encoding="utf-8")
    _run(site)

    assert "security, as it was: runners.builds.cache.shared" in capsys.readouterr().out


EVERYWHERE = """\
gitlabUrl: https://user:PlantedPassword@gitlab.example.com
runnerToken: glrt-PlantedToken0001
runnerRegistrationToken: GR1348941PlantedToken
sentryDsn: https://PlantedKey@sentry.example.com/1
adminPassword: PlantedPlain
glpat-PlantedToken0002: {a: b}
preEntrypointScript: echo PlantedScript
podAnnotations: {a: glpat-PlantedToken0003}
podLabels: {glpat-PlantedToken0008: a}
imagePullSecrets: [{name: glpat-PlantedToken0009}]
envVars: [{name: API_KEY, value: PlantedKey}, {name: A, value: "password=PlantedOther"}]
extraEnv: {CACHE_S3_SECRET_KEY: PlantedCache, HTTP_PROXY: "http://a:PlantedProxy@p.example.com:1"}
secrets: [{name: a, data: PlantedData}]
runners:
  tags: [glpat-PlantedToken0004]
  env: {DB_PASSWORD: PlantedDatabase}
  image: r.example.com/glpat-PlantedToken0005:1
  config: |
    [[runners]]
      name = "glpat-PlantedToken0006"
      token = "glrt-PlantedToken0007"
      environment = ["TOKEN=PlantedVariable", "JSON={\\"auths\\": {\\"a\\": \\"PlantedAuth\\"}}"]
      post_build_script = "curl -H 'Authorization: Bearer PlantedBearer0000001'"
      [runners.kubernetes]
        bearer_token = "PlantedBearer"
        node_selector = {a = "AKIAPLANTEDKEY000001"}
      [runners.cache.s3]
        BucketName = "b"
        AccessKey = "PlantedAccess"
        SecretKey = "PlantedSecret"
"""


def test_secrets_everywhere_reach_no_output(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "values.yaml").write_text(EVERYWHERE, encoding="utf-8")

    assert _run(site) == ExitCode.NO_CHANGE

    printed = capsys.readouterr()
    text = (site / "Pulumi.moved.yaml").read_text(encoding="utf-8")
    assert "planted" not in f"{printed.out}{printed.err}{text}".lower()


def test_a_stack_file_that_exists_is_kept(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = site / "Pulumi.moved.yaml"
    file.write_text("mine", encoding="utf-8")

    assert _run(site) == ExitCode.FAILED
    assert file.read_text(encoding="utf-8") == "mine"
    assert capsys.readouterr().err.count("\n") == 1
    assert _run(site, "--overwrite") == ExitCode.NO_CHANGE
    assert _stack(site)


def test_what_cannot_be_read_fails_and_the_rest_is_written(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "more.yaml").write_text(f"a: [\ntoken: {TOKEN}\n", encoding="utf-8")

    assert _run(site, str(site / "more.yaml")) == ExitCode.FAILED
    assert _stack(site)
    assert "more.yaml:3: must be YAML" in capsys.readouterr().out


def test_nothing_to_import_is_one_line(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "values.yaml").write_text("kind: Service\napiVersion: v1\n", encoding="utf-8")

    assert _run(site) == ExitCode.FAILED
    assert capsys.readouterr().err.startswith("no file has a runner to import")
    assert not (site / "Pulumi.moved.yaml").exists()


@pytest.mark.parametrize(
    ("script", "proposed"), [("docker run a", False), ("docker build a", True)]
)
def test_pipelines_are_checked_on_the_new_runners(
    script: str, *, proposed: bool, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / ".git").mkdir()
    pipeline = site / ".gitlab-ci.yml"
    job = {"tags": ["ci"], "image": "docker:27", "script": [script]}
    pipeline.write_text(yaml.safe_dump({"build": job}), encoding="utf-8")

    assert _run(site, "--gitlab-ci", str(pipeline)) == ExitCode.NO_CHANGE
    printed = capsys.readouterr().out
    assert "build: runs unchanged on runners.builds, dind (socket)" in printed
    assert ("all of these jobs run with kaniko, by its template" in printed) is proposed


COMMANDS = [line for line in commands(PAGE) if line.startswith(f"{PROGRAM} import values.yaml")]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_works(
    line: str, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / ".git").mkdir()
    (site / ".gitlab-ci.yml").write_text("{}", encoding="utf-8")
    monkeypatch.chdir(site)

    assert main(shlex.split(line.removeprefix(PROGRAM))) == ExitCode.NO_CHANGE
    assert _stack(site)


def test_what_is_left_to_set_is_a_comment_above_its_place(site: Path) -> None:
    (site / "values.yaml").write_text(
        "gitlabUrl: https://gitlab.example.com\ncertsSecretName: ca\nrunners: {image: alpine}\n",
        encoding="utf-8",
    )
    _run(site)

    lines = (site / "Pulumi.moved.yaml").read_text(encoding="utf-8").splitlines()
    above = lines[lines.index("    gitlab:") - 1]
    assert "the file names only where the CA certificates are" in " ".join(
        lines[: lines.index("    gitlab:")]
    )
    assert above.startswith("    # ")
    assert any("runners.builds.strategy.image: the image of jobs" in line for line in lines)


class _Cluster:
    def __init__(self, **objects: Sequence[Mapping[str, Any]]) -> None:
        self._objects = objects

    def list(self, _: str, kind: str, __: str | None) -> list[dict[str, Any]]:
        return [dict(item) for item in self._objects.get(kind, ())]


def _node(
    name: str = "a", provider: str = "", labels: Mapping[str, str] | None = None, **info: str
) -> Mapping[str, Any]:
    info = {"osImage": "Other", "containerRuntimeVersion": "containerd://2.1", **info}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"providerID": provider},
        "status": {"nodeInfo": info},
    }


@pytest.mark.parametrize(
    ("node", "facts"),
    [
        (_node(), {"kind": "onPrem"}),
        (_node(provider="aws:///i-1"), {"kind": "managed"}),
        (_node(osImage="Ubuntu 24.04"), {"kind": "onPrem", "nodes": {"os": "ubuntu"}}),
        (
            _node(containerRuntimeVersion="cri-o://1.34"),
            {"kind": "onPrem", "nodes": {"runtime": "crio"}},
        ),
        (
            _node(labels={"node.openshift.io/os_id": "rhel"}),
            {"kind": "onPrem", "platform": "openShift"},
        ),
        (_node("gk3-pool", provider="gce://x"), {"kind": "managed", "platform": "gkeAutopilot"}),
        (_node(kubeletVersion="v1.34.1+rke2r1"), {"kind": "onPrem", "platform": "rke2"}),
        (
            _node(provider="aws:///x", labels={"eks.amazonaws.com/compute-type": "auto"}),
            {"kind": "managed", "platform": "eksAuto"},
        ),
        (
            _node(provider="aws:///x", labels={"eks.amazonaws.com/compute-type": "fargate"}),
            {"kind": "managed", "platform": "eksFargate"},
        ),
    ],
    ids=range(9),
)
def test_nodes_say_what_the_cluster_is(node: Mapping[str, Any], facts: object) -> None:
    assert cluster.facts(_Cluster(Node=[node])) == facts


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster with two releases, one of another chart."""
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    namespaces = [
        {"metadata": {"name": "ci", "labels": labels}},
        {"metadata": {"name": "other"}},
        {"metadata": {"name": "kube-system", "labels": labels}},
    ]
    secrets = [{"metadata": {"name": "token", "namespace": "ci"}}]
    nodes = [_node(osImage="Ubuntu")]
    objects = _Cluster(Node=nodes, Namespace=namespaces, Secret=secrets)

    def connect(_: object) -> _Cluster:
        return objects

    monkeypatch.setattr("commands.import_site.LiveCluster", connect)
    monkeypatch.setattr(helm, "find", lambda: Path("helm"))
    listed = [
        {"name": "fast", "namespace": "ci", "chart": "gitlab-runner-0.86.0"},
        {"name": "db", "namespace": "ci", "chart": "postgresql-1.0.0"},
    ]
    got: dict[str, Any] = {
        "gitlabUrl": "https://gitlab.example.com",
        "concurrent": 3,
        "runnerToken": TOKEN,
    }
    got |= {"runners": {"secret": "token", "imagePullSecrets": ["login"]}}
    got |= {"image": None, "rbac": {"create": True}, "tolerations": []}

    def run(_: Path, arguments: Sequence[str]) -> list[Any]:
        assert ("--all-namespaces" in arguments) == (arguments[:1] == ["list"])
        return [listed if arguments[0] == "list" else got]

    monkeypatch.setattr(helm, "run", run)


@pytest.mark.usefixtures("live")
def test_a_live_release_is_imported(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "--cluster", "here", "--stack", "moved"]) == ExitCode.NO_CHANGE

    config = _stack(site)
    assert config["kubernetes:context"] == "here"
    settings = config["image-builds:settings"]
    assert settings["cluster"] == {"kind": "onPrem", "nodes": {"os": "ubuntu"}}
    assert settings["runners"]["fast"]["concurrent"] == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "here: namespace ci enforces Pod Security baseline"
    assert "ci/fast: concurrent: taken as runners.fast.concurrent" in lines
    assert [line for line in lines if line.startswith("here: Secret")] == [
        "here: Secret token is in namespace ci; the stack needs it in image-builds-moved",
        "here: Secret login does not exist; the stack needs it in image-builds-moved-fast",
    ]


@pytest.mark.usefixtures("live")
def test_files_come_before_the_releases_of_a_cluster(site: Path) -> None:
    assert _run(site, "--cluster", "here") == ExitCode.NO_CHANGE

    settings = _stack(site)["image-builds:settings"]
    assert list(settings["runners"]) == ["builds"]
    assert settings["cluster"]["nodes"] == {"os": "ubuntu", "trusted": True}


@pytest.mark.usefixtures("live", "site")
def test_what_an_account_may_not_list_has_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = _Cluster.list

    def refuse(self: _Cluster, api: str, kind: str, namespace: str | None) -> list[dict[str, Any]]:
        if kind == refused:
            message = f"may not list {kind}"
            raise UnreadableError(message)
        return listed(self, api, kind, namespace)

    monkeypatch.setattr(_Cluster, "list", refuse)

    for refused in ("Namespace", "Secret", "Node"):
        code = main(["import", "--cluster", "here", "--stack", "moved", "--overwrite"])
        printed = capsys.readouterr()
        if refused == "Node":
            assert code == ExitCode.FAILED
            assert printed.err == "--cluster here: nodes: may not list Node\n"
        else:
            assert code == ExitCode.NO_CHANGE
            assert f"here: may not list {refused}" in printed.out.splitlines()


def test_secrets_of_volumes_and_registries_are_looked_up() -> None:
    draft = Draft("moved")
    registries: list[JSON] = [
        {"host": "r.example.com"},
        {"host": "s.example.com", "pullSecret": "login"},
    ]
    volumes: list[JSON] = [{"path": "/a", "claim": "a"}, {"path": "/b", "secret": "b"}]
    draft.settings = {
        "namespace": "n",
        "registries": registries,
        "runners": {"r": {"volumes": volumes}},
    }
    there = [{"metadata": {"name": "b", "namespace": "n-r"}}]

    lines = list(cluster.secrets(_Cluster(Secret=there), draft))

    assert lines == ["Secret login does not exist; the stack needs it in n-r"]


@pytest.mark.usefixtures("live", "site")
def test_releases_of_one_namespace_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[str]] = []

    def run(_: Path, arguments: Sequence[str]) -> list[Any]:
        asked.append(arguments)
        return [[]]

    monkeypatch.setattr(helm, "run", run)
    main(["import", "--cluster", "here", "--namespace", "ci", "--stack", "moved"])

    assert asked[0][:3] == ["list", "--namespace", "ci"]


@pytest.mark.usefixtures("live", "site")
@pytest.mark.parametrize("case", ["no cluster", "no helm", "helm fails", "bad config"])
def test_a_cluster_that_cannot_be_read_is_one_line(
    case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: object) -> None:
        message = "the API server cannot be reached"
        raise UnreadableError(message)

    def fail(*_: object) -> None:
        raise helm.HelmError from subprocess.SubprocessError()

    def broken(_: Path, arguments: Sequence[str]) -> list[Any]:
        listed = [{"name": "a", "namespace": "ci", "chart": "gitlab-runner-0.86.0"}]
        return [listed if arguments[0] == "list" else {"runners": {"config": "a ="}}]

    match case:
        case "no cluster":
            monkeypatch.setattr("commands.import_site.LiveCluster", refuse)
        case "no helm":
            monkeypatch.setattr(helm, "find", lambda: None)
        case "helm fails":
            monkeypatch.setattr(helm, "run", fail)
        case _:
            monkeypatch.setattr(helm, "run", broken)

    code = main(["import", "--cluster", "here", "--stack", "moved"])

    printed = capsys.readouterr()
    if case == "bad config":
        assert code == ExitCode.FAILED
        assert "ci/a: runners.config:1: must be TOML" in printed.out
    else:
        assert code == ExitCode.FAILED
        assert printed.err.startswith("--cluster")
        assert printed.err.count("\n") == 1


def test_no_character_commands_the_terminal(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "values.yaml").write_text('"a\\e[2J": {"glpat-PlantedToken01": 1}\n', encoding="utf-8")

    _run(site)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "Planted" not in printed
