import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from ssl import create_default_context

import pytest

from dev.cluster.control_plane import ControlPlane
from dev.toolchain.cache import CACHE_VARIABLE, cache_folder
from tests.support.kubernetes import core_v1


@pytest.fixture
def other(tmp_path: Path) -> ControlPlane:
    """A cluster of the test's own, beside the session's."""
    return ControlPlane(tmp_path / "other")


def test_a_cluster_comes_up_beside_another_and_leaves_nothing(
    control_plane: ControlPlane,
    other: ControlPlane,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It reads no kubeconfig of the user's; what it holds and its address outlive a stop."""
    poison = tmp_path / "poison"
    poison.write_text("not: [a kubeconfig")
    monkeypatch.setenv(CACHE_VARIABLE, str(cache_folder()))
    monkeypatch.setenv("KUBECONFIG", str(poison))
    monkeypatch.setenv("HOME", str(tmp_path))
    started = time.monotonic()
    try:
        other.up()
        took = time.monotonic() - started
        pids = [entry.pid for entry in other.status()]
        server = other.addresses.server
        assert server != control_plane.addresses.server
        with other.api() as api:
            body = {"metadata": {"name": "kept"}, "data": {"a": "b"}}
            core_v1(api).create_namespaced_config_map("default", body)
        other.up()
        assert [entry.pid for entry in other.status()] == pids
        other.down()
        assert [entry.name for entry in other.status() if entry.pid] == []
        other.up()
        with other.api() as api:
            kept = core_v1(api).read_namespaced_config_map("kept", "default")
        assert kept.data == {"a": "b"}
        assert other.addresses.server == server
    finally:
        other.down()

    # Ready in 20 s is the promise for an idle machine; a loaded one gets twice that.
    assert took < 40
    assert [entry.name for entry in other.status() if entry.pid] == []
    assert all(entry.pid for entry in control_plane.status())


def test_a_process_that_is_not_ours_is_never_signalled(other: ControlPlane, tmp_path: Path) -> None:
    other.state.mkdir()
    with subprocess.Popen(["etcd", "60"], executable="/bin/sleep", cwd=tmp_path) as namesake:
        other.down()
        alive = namesake.poll() is None
        namesake.kill()

    assert alive
    assert not other.status()[0].pid


def test_a_process_is_known_after_its_starter_was_killed(other: ControlPlane) -> None:
    other.state.mkdir()
    # What a starter does that is killed at once: nothing after the start.
    with subprocess.Popen(["etcd", "60"], executable="/bin/sleep", cwd=other.state) as started:
        assert other.status()[0].pid == started.pid
        other.down()
        assert not other.status()[0].pid


def test_nobody_without_a_certificate_is_served(control_plane: ControlPlane) -> None:
    context = create_default_context(cafile=str(control_plane.state / "pki" / "ca.crt"))

    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"{control_plane.addresses.server}/api", context=context)  # noqa: S310 - https

    assert refusal.value.code == 401
    refusal.value.close()


def test_keys_are_readable_by_their_owner_only(control_plane: ControlPlane) -> None:
    keys = list((control_plane.state / "pki").glob("*.key"))

    assert len(keys) > 5
    assert {oct(key.stat().st_mode & 0o777) for key in keys} == {"0o600"}
