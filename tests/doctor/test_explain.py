"""explain --cluster says what the stack file declares and is not so."""

import contextlib
import json
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest
import yaml

from commands.app import main
from commands.shared.exit_codes import ExitCode
from tests.support.clinic import MadeUpApi, kubeconfig, stack
from tests.support.configured import SETTINGS
from tests.support.servers import Reply, serving


@contextlib.contextmanager
def _cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[MadeUpApi]:
    """Yield an API server that the stack file ``dev`` names."""
    api = MadeUpApi(stack({}))

    def answers(method: str, path: str, _: Mapping[str, str], body: bytes) -> Reply:
        answer = api.ask(method, path, json.loads(body or b"null"))
        return Reply(answer.status, answer.body)

    config = {"kubernetes:context": "a-cluster", "image-builds:settings": SETTINGS}
    text = yaml.safe_dump({"config": config})
    (folder / "Pulumi.dev.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr("commands.shared.checkout.CHECKOUT", folder)
    with serving(answers) as host:
        monkeypatch.setenv("KUBECONFIG", kubeconfig(folder, f"http://{host}").kubeconfig)
        yield api


def test_what_is_as_declared_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with _cluster(tmp_path, monkeypatch):
        assert main(["explain", "--cluster"]) == ExitCode.NO_CHANGE

    assert "no fault found" in capsys.readouterr().out


def test_what_is_not_as_declared_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with _cluster(tmp_path, monkeypatch) as api:
        api.find("Node", "worker")["status"]["nodeInfo"]["osImage"] = "Talos (v1.11)"
        assert main(["explain", "--cluster"]) == ExitCode.CHANGES

    printed = " ".join(capsys.readouterr().out.split())
    assert "cluster.nodes.os: ubuntu, and node worker has Talos" in printed
    assert "runners.main" in printed


def test_what_cannot_be_seen_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with _cluster(tmp_path, monkeypatch) as api:
        api.denied["/nodes"] = 403
        assert main(["explain", "--cluster"]) == ExitCode.NO_CHANGE

    printed = " ".join(capsys.readouterr().out.split())
    assert "did not run (the whole stack): declared-os" in printed
    assert "may not list nodes" in printed


def test_without_a_context_no_cluster_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with _cluster(tmp_path, monkeypatch):
        text = yaml.safe_dump({"config": {"image-builds:settings": SETTINGS}})
        (tmp_path / "Pulumi.dev.yaml").write_text(text, encoding="utf-8")
        assert main(["explain", "--cluster"]) == ExitCode.FAILED

    assert "kubernetes:context: is required" in capsys.readouterr().err


def test_a_context_that_the_kubeconfig_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with _cluster(tmp_path, monkeypatch):
        file = tmp_path / "Pulumi.dev.yaml"
        file.write_text(file.read_text("utf-8").replace("a-cluster", "elsewhere"), "utf-8")
        assert main(["explain", "--cluster"]) == ExitCode.FAILED

    assert "elsewhere" in capsys.readouterr().err
