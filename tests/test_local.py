import contextlib
import shutil
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from pulumi import automation as auto
from pulumi.automation import CommandResult

from dev.app import main
from dev.cluster.control_plane import ControlPlane
from dev.errors import DevError
from dev.local.stack import LocalStack
from dev.local.stack_file import CHART_VARIABLE, chart_of, local_config, made_up_secrets
from dev.paths import CHECKOUT, STAND_IN_CHART, STATE_VARIABLE
from dev.toolchain.cache import CACHE_VARIABLE
from dev.toolchain.ensure import SOURCE_VARIABLE
from dev.turn import turn
from report.errors import ReportError


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A local stack whose programs and cluster are not started."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    monkeypatch.setattr("dev.local.commands.ensure_all", lambda *_: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType] - a stand-in
    monkeypatch.setattr(ControlPlane, "up", lambda _: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType] - a stand-in
    return monkeypatch


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("error: incorrect passphrase\n", "dev: the engine failed: incorrect passphrase"),
        ("", "dev: the engine failed, see above"),
    ],
    ids=["the-cli-before-the-engine-runs", "the-engine-on-its-output"],
)
def test_a_failure_of_the_engine_ends_in_one_line(
    stack: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stderr: str, message: str
) -> None:
    @contextlib.contextmanager
    def fail(*_: object) -> Generator[None]:
        raise auto.CommandError(CommandResult(stdout="much", stderr=stderr, code=255))
        yield

    stack.setattr(LocalStack, "open", fail)

    assert main(["up"]) == 1
    assert capsys.readouterr().err == f"{message}\n"


def test_an_unknown_command_says_where_the_help_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upp"]) == 1
    assert "see python -m dev --help" in capsys.readouterr().err


def test_the_clusters_commands_show_its_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))

    assert main(["cluster", "status"]) == 0
    assert "kube-apiserver           stopped" in capsys.readouterr().out


def test_the_toolchain_shows_where_programs_are_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv(SOURCE_VARIABLE, "modules")

    assert main(["toolchain", "show", "etcd"]) == 0
    assert capsys.readouterr().out == "etcd                         not there yet\n"


def test_a_command_waits_for_another_of_the_checkout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    order: list[str] = []

    def second() -> None:
        with turn():
            order.append("second")

    other = threading.Thread(target=second)
    with turn():
        other.start()
        other.join(timeout=0.5)
        order.append("first")
    other.join()

    assert order == ["first", "second"]
    assert "waiting for it" in capsys.readouterr().err


def test_the_state_of_a_stack_is_for_its_owner_alone(tmp_path: Path) -> None:
    """What Pulumi writes there has its own modes."""
    state = tmp_path / "state"
    (state / "backend").mkdir(parents=True)
    local = LocalStack("nowhere", state, tmp_path / "kubeconfig")

    with pytest.raises(ReportError, match="does not exist"), local.open():
        pass

    folders = (state, state / "backend", state / "stacks" / "nowhere")
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700] * 3


def _chart(folder: Path, chart: str) -> dict[str, str]:
    file = folder / "Pulumi.dev.yaml"
    text = f"config: {{'image-builds:settings': {{chart: {chart}}}}}"
    file.write_text(text, encoding="utf-8")
    return local_config(file, "")["image-builds:settings"]["chart"]


def test_a_local_run_deploys_the_chart_that_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = shutil.copytree(STAND_IN_CHART, tmp_path / "other")
    (other / "Chart.yaml").write_text("version: 0.99.0\n", encoding="utf-8")

    stand_in = _chart(tmp_path, "{version: 0.90.1}")
    monkeypatch.setenv(CHART_VARIABLE, str(other))

    assert stand_in == chart_of(STAND_IN_CHART)
    assert _chart(tmp_path, "{}") == {**chart_of(other), "version": "0.99.0"}


def test_a_local_run_finds_the_chart_of_the_stack_file(tmp_path: Path) -> None:
    """Its path begins at the stack file, and the run is in another folder."""
    chart = _chart(tmp_path, "{archive: charts/gitlab-runner.tgz, version: 0.90.1}")

    assert chart == {"archive": f"{CHECKOUT}/charts/gitlab-runner.tgz", "version": "0.90.1"}


def test_a_chart_that_is_not_there_ends_a_local_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(CHART_VARIABLE, str(tmp_path / "gone.tgz"))

    with pytest.raises(DevError, match=r"gone\.tgz: must name a chart that can be read"):
        _chart(tmp_path, "{}")


def test_a_local_run_makes_up_the_login_of_a_cache(tmp_path: Path) -> None:
    runner = {"tags": ["a"], "cache": {"kind": "s3", "bucket": "a", "credentials": "minio"}}
    config = {"image-builds:settings": {"runners": {"main": runner}}}

    made = made_up_secrets(config, tmp_path / "secrets.json")

    keys = {key.partition(":")[2].rpartition(".")[0] for key in made}
    assert keys == {"runnerTokens", "cacheCredentials.minio"}
