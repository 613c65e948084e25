"""The engine's networks have packets of the size that reaches its pod."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.configured import FORMS, SITE
from tests.support.harness import eventually
from tests.support.pipelines import against_shell

ENGINES = [name for name in FORMS if FORMS[name].kind == "dind"]
OWN = "--default-network-opt=bridge=com.docker.network.driver.mtu=1400"
SIZE = "/sys/class/net/eth0/mtu"


def _started(folder: Path, name: str, help_text: str, size: str) -> list[str]:
    """Begin as the container of an engine does, and return the flags that it gets."""
    (engine,) = FORMS[name].plan(SITE).services
    flags = folder / "flags"
    for program, line in {
        "dockerd": f"echo '{help_text}'",
        "dockerd-entrypoint.sh": (
            f'printf "%s\\n" "$@" >{flags}.new; mv {flags}.new {flags}; sleep 60'
        ),
    }.items():
        (folder / program).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        (folder / program).chmod(0o755)
    if size:
        (folder / "mtu").write_text(f"{size}\n", encoding="utf-8")
    (folder / "hosts").touch()
    moved = {SIZE: "mtu", "/etc/hosts": "hosts", "/var/run/image-builds": "run"}
    shell, flag, text, *rest = engine.entrypoint
    for path, here in moved.items():
        text = text.replace(path, str(folder / here))
    process = subprocess.Popen(
        [shell, flag, text, *rest, *engine.command],
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        start_new_session=True,
    )
    try:
        eventually(flags.exists)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    found = flags.read_text(encoding="utf-8").splitlines()
    assert set(engine.command) <= set(found)
    return [item for item in found if "mtu" in item]


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_takes_the_size_of_its_pod(name: str, tmp_path: Path) -> None:
    """For its own network, and for those that jobs make."""
    known = "  --default-network-opt mapmap  Default network options"

    assert _started(tmp_path, name, known, "1400") == ["--mtu=1400", OWN]


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_before_24_gets_no_flag_it_does_not_know(name: str, tmp_path: Path) -> None:
    assert _started(tmp_path, name, "  --mtu int", "1400") == ["--mtu=1400"]


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_starts_where_the_size_is_not_known(name: str, tmp_path: Path) -> None:
    assert _started(tmp_path, name, "", "") == []


@pytest.mark.parametrize("name", ENGINES)
def test_what_begins_an_engine_is_clean_shell(name: str) -> None:
    (engine,) = FORMS[name].plan(SITE).services

    assert against_shell(engine.entrypoint[2]) == ""
