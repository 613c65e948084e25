import contextlib
import os
import signal
import subprocess
from collections.abc import Generator, Iterator

import psutil
import pytest

from dev.cluster.control_plane import ControlPlane
from dev.cluster.processes import Processes
from tests.support.harness import eventually
from tests.support.kubernetes import Api
from tests.support.stacks import Site


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One for this file alone, which stops some of its programs."""
    cluster = ControlPlane(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()


def _read_until(process: subprocess.Popen[str], text: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            break
    return lines


@contextlib.contextmanager
def _running(site: Site) -> Generator[subprocess.Popen[str]]:
    with site.start() as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _plugins(site: Site) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0].startswith(str(site.stack.state))
    ]


# The key of an authority is another in each run, so the next one has another Secret to create.
@pytest.mark.parametrize("moment", ["Namespace managers", "Secret builds-buildkitd-ca"])
def test_an_up_that_was_killed_is_finished_by_the_next(site: Site, core: Api, moment: str) -> None:
    site.write("buildkit-service" if "buildkitd" in moment else "kaniko")
    with _running(site) as process:
        lines = _read_until(process, moment)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert moment in lines[-1]
    left = _plugins(site)

    assert "failed" not in site.up().operations

    assert site.preview().operations == {}
    # The provider is in another process group and survived; the next run ends it.
    assert left
    assert _plugins(site) == []
    assert core.read_namespace(f"{site.prefix}-builds").status.phase == "Active"


def _pending(core: Api, namespace: str, status: str) -> bool:
    selector = f"owner=helm,status={status}"
    return bool(core.list_namespaced_secret(namespace, label_selector=selector).items)


@pytest.mark.parametrize(
    ("status", "goes_on"),
    [
        pytest.param("pending-install", True, id="install-that-the-provider-finishes"),
        pytest.param("pending-upgrade", False, id="upgrade"),
    ],
)
def test_the_next_up_finishes_a_release_that_was_interrupted(
    site: Site,
    core: Api,
    control_plane: ControlPlane,
    status: str,
    goes_on: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """The up was killed while Helm waited for the manager."""
    site.write("kaniko")
    if status == "pending-upgrade":
        site.up()
        site.write("buildah")
    Processes(control_plane.state).stop("kwok")
    try:
        with _running(site) as process:
            eventually(lambda: _pending(core, site.prefix, status))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for plugin in [] if goes_on else _plugins(site):
            plugin.kill()
    finally:
        control_plane.up()
    if goes_on:
        eventually(lambda: not _pending(core, site.prefix, status))
    assert _pending(core, site.prefix, status) is not goes_on

    outcome = site.up()

    assert "failed" not in outcome.operations, outcome.output
    assert site.preview().operations == {}
    assert not _pending(core, site.prefix, status)


def test_a_half_written_checkpoint_does_not_stop_the_next_up(site: Site) -> None:
    site.write("kaniko")
    site.up()
    checkpoint = next((site.stack.state / "backend").glob(".pulumi/stacks/**/test.json"))
    # gocloud.dev's file store writes the attributes first, and a kill may leave them empty.
    checkpoint.with_name("test.json.attrs").write_bytes(b"")

    assert site.up().operations == {}


def test_an_up_without_an_api_server_names_the_cause(
    site: Site, control_plane: ControlPlane
) -> None:
    """The next up finishes it."""
    site.write("kaniko")
    with _running(site) as process:
        _read_until(process, "Secret builds-token")
        Processes(control_plane.state).stop("kube-apiserver")
        try:
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 1
        finally:
            control_plane.up()

    assert "cannot be reached" in output or "connection refused" in output
    assert "Traceback" not in output
    assert "failed" not in site.up().operations
    assert site.preview().operations == {}


def test_an_error_changes_nothing_and_shows_no_traceback(site: Site, core: Api) -> None:
    site.write("podman", namespace="Not_A_Label")

    with _running(site) as process:
        output, _ = process.communicate(timeout=120)

    assert process.returncode == 1
    assert "image-builds:settings.namespace: must be a DNS label" in output
    assert "image-builds:settings.runners.builds.strategy: must be a known kind" in output
    assert "Traceback" not in output
    names = [item.metadata.name for item in core.list_namespace().items]
    assert [name for name in names if name.startswith(site.prefix)] == []
