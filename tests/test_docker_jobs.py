"""Which engine a job gets: the one that it names, or the one of its runner."""

import contextlib
import os
import signal
import subprocess
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from components.strategies import Strategy
from components.strategies.dind import Dind
from tests.executor.pod import Request, job_pod
from tests.support.configured import FORMS, SITE
from tests.support.runners import rendered

SOCKET = "unix:///var/run/image-builds/docker.sock"
OURS = {"dind": SOCKET, "dind-tls": "tcp://docker:2376", "dood": "unix:///var/run/docker.sock"}
HOSTS = "127.0.0.1\tlocalhost\n10.1.2.3\tpod\n127.0.0.1\tdocker\tdocker"
"""What a job finds in /etc/hosts where it has no service; names follow of what it has."""
NONE = "no client"
OF_TLS = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs/client"}


def _runner(strategy: Strategy) -> dict[str, Any]:
    (table,) = tomllib.loads(rendered(strategy.plan(SITE)))["runners"]
    return table


def _program(file: Path, line: str) -> None:
    file.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    file.chmod(0o755)


def _begin(
    folder: Path,
    name: str,
    answers: str = "",
    *,
    client: str = "",
    service: str = "",
    **variables: str,
) -> tuple[int, dict[str, str], str]:
    """Run what comes before a job's script, where the engine ``answers`` is up, if any.

    ``client`` is a line of shell in place of a client that asks it, or NONE, and ``service`` the
    name of a service that the job has. Return how it ended,
    the script's variables of Docker, and what was printed.
    """
    runner = _runner(FORMS[name])
    (folder / "run" / "image-builds").mkdir(parents=True)
    (folder / "hosts").write_text(f"{HOSTS}\t{service}\n", encoding="utf-8")
    programs = folder / "bin"
    programs.mkdir()
    _program(programs / "sleep", "exit 0")
    _program(programs / "cp", "exit 0")
    if client != NONE:
        asks = f'[ "${{DOCKER_HOST:-}}" = "{_moved(answers, folder)}" ]'
        _program(programs / "docker", client or asks)
    runners = dict(line.split("=", 1) for line in runner["environment"])
    script = f"{runner['pre_build_script']}\nexport -p"
    answer = subprocess.run(
        ["/bin/sh", "-eu", "-c", _moved(script, folder)],
        env={
            **{key: _moved(value, folder) for key, value in runners.items()},
            "PATH": f"{programs}:/bin:/usr/bin",
            "CI_JOB_ID": "1",
            "BUILDKIT_HOST": "tcp://daemon:1234",
            **{key: _moved(value, folder) for key, value in variables.items()},
        },
        check=False,
        capture_output=True,
        text=True,
    )
    lines = answer.stdout.replace(f"{folder}/run", "/var/run").splitlines()
    pairs = (line.removeprefix("export ").split("=", 1) for line in lines if "DOCKER_" in line)
    found = {key: value.strip("'\"") for key, value in pairs}
    said = answer.stderr.replace(f"{folder}/run", "/var/run")
    return answer.returncode, found, said


def _answers_at(folder: Path, attempt: int) -> str:
    return f'{{ echo >>{folder}/asked; [ "$(wc -l <{folder}/asked)" -ge {attempt} ]; }}'


def _moved(text: str, folder: Path) -> str:
    places = {"/var/run": "run", "/etc/hosts": "hosts", "/sys/class": "class", "/proc/net": "net"}
    for path, name in places.items():
        text = text.replace(path, f"{folder}/{name}")
    return text


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("host", [None, "", "unix:///var/run/docker.sock"])
def test_a_job_that_names_no_engine_gets_its_runners(
    name: str, host: str | None, tmp_path: Path
) -> None:
    """Whatever it says of TLS, which GitLab's recipes set for their own engine."""
    named = {} if host is None else {"DOCKER_HOST": host}

    status, found, said = _begin(tmp_path, name, OURS[name], **named, **OF_TLS)

    assert (status, said) == (0, "")
    assert found["DOCKER_HOST"] == OURS[name]
    assert ("DOCKER_TLS_VERIFY" in found) is ("DOCKER_CERT_PATH" in found) is (name == "dind-tls")


@pytest.mark.parametrize("host", ["tcp://docker:2375", "tcp://daemon:2375", "tcp://127.0.0.1:1"])
@pytest.mark.parametrize("client", ["", NONE])
def test_a_job_keeps_its_own_engine_that_answers(host: str, client: str, tmp_path: Path) -> None:
    """Without a client in its image, only the job itself can ask."""
    status, found, said = _begin(
        tmp_path,
        "dind",
        host,
        client=client,
        service="daemon",
        DOCKER_HOST=host,
        DOCKER_TLS_VERIFY="1",
    )

    assert (status, said) == (0, "")
    assert (found["DOCKER_HOST"], found["DOCKER_TLS_VERIFY"]) == (host, "1")


@pytest.mark.parametrize("service", ["", "docker"])
def test_a_job_waits_only_for_an_engine_that_it_has(service: str, tmp_path: Path) -> None:
    """Docker's image waits 16 s without TLS, and jobs without a service need not."""
    host = "tcp://docker:2375"
    client = f'[ "$DOCKER_HOST" != {host} ] || {_answers_at(tmp_path, 25)}'

    status, found, said = _begin(tmp_path, "dind", client=client, service=service, DOCKER_HOST=host)

    assert status == 0
    assert found["DOCKER_HOST"] == (host if service else SOCKET)
    assert ("no engine answers there" in said) is (not service)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("host", ["tcp://docker:2375", "tcp://localhost:2375", "unix:///x.sock"])
def test_where_nothing_answers_a_job_gets_its_runners_engine(
    name: str, host: str, tmp_path: Path
) -> None:
    """It says so, with both addresses and the page."""
    status, found, said = _begin(tmp_path, name, OURS[name], DOCKER_HOST=host, **OF_TLS)

    assert status == 0
    assert found["DOCKER_HOST"] == OURS[name]
    assert f"DOCKER_HOST={host} is set by the job" in said
    assert f"(strategy {FORMS[name].kind}), {OURS[name]}; see docs/how-to/move-a-pipeline" in said


@pytest.mark.parametrize("host", ["tcp://build.example.com:2376", "ssh://build.example.com"])
def test_an_engine_outside_of_the_pod_is_never_replaced(host: str, tmp_path: Path) -> None:
    status, found, said = _begin(tmp_path, "dind", SOCKET, DOCKER_HOST=host)

    assert (status, found["DOCKER_HOST"]) == (0, host)
    assert ("names none of its services" in said) is host.startswith("tcp")


@pytest.mark.parametrize("name", ["dind", "dind-tls"])
def test_a_job_fails_where_its_runners_engine_never_answers(name: str, tmp_path: Path) -> None:
    status, _, said = _begin(tmp_path, name)

    assert status == 1
    assert f"The Docker engine of this runner, {OURS[name]}, did not answer within 90 s" in said


WITHOUT_ENGINE = "(strategy {}) has no Docker engine, which docker build and docker run need"
OTHERS = ["kaniko", "buildkit", "buildkit-service", "buildah", "buildx", "buildkit-service-buildx"]


@pytest.mark.parametrize("name", OTHERS)
def test_a_job_for_docker_is_informed_where_there_is_none(name: str, tmp_path: Path) -> None:
    host = {"DOCKER_HOST": "tcp://docker:2375"} if name.endswith("buildx") else {}

    status, _, said = _begin(tmp_path, name, client="exit 0", **host)

    assert status == 0
    assert WITHOUT_ENGINE.format(FORMS[name].kind) in said
    assert "see docs/how-to/move-a-pipeline.md" in said


@pytest.mark.parametrize("name", OTHERS)
def test_a_job_that_does_not_need_docker_reads_nothing_of_it(name: str, tmp_path: Path) -> None:
    """With Buildx, all jobs have Docker's client."""
    client = "exit 0" if name.endswith("buildx") else NONE

    status, _, said = _begin(tmp_path, name, client=client)

    assert status == 0
    assert "no Docker engine" not in said


def test_a_job_asks_for_the_engine_that_it_gets(tmp_path: Path) -> None:
    """Its after_script, which has none of the variables, finds the engine as well."""
    _begin(tmp_path, "dind", SOCKET)

    assert (tmp_path / "run" / "image-builds" / "asked").exists()
    link = tmp_path / "run" / "docker.sock"
    assert link.readlink() == tmp_path / "run" / "image-builds" / "docker.sock"


def test_a_job_with_its_own_engine_asks_for_no_other(tmp_path: Path) -> None:
    _begin(tmp_path, "dind", "tcp://docker:2375", DOCKER_HOST="tcp://docker:2375")

    assert list((tmp_path / "run").rglob("*")) == [tmp_path / "run" / "image-builds"]


_SLEEP = "echo up >>{}/started; while :; do sleep 0.1; done"


def _start(
    folder: Path, *, line: str = "", service: str = "", sleep: str = "", **variables: str
) -> subprocess.Popen[bytes]:
    """Start the service of the runner's engine, with an engine that notes its arguments."""
    (folder / "run" / "image-builds").mkdir(parents=True)
    (folder / "hosts").write_text(f"{HOSTS}\t{service}\n", encoding="utf-8")
    (engine,) = _runner(FORMS["dind"])["kubernetes"]["services"]
    programs = folder / "bin"
    programs.mkdir()
    if sleep:
        _program(programs / "sleep", sleep)
    _program(
        programs / "dockerd-entrypoint.sh", line or f'echo "$@" >{folder}/started; exec sleep 600'
    )
    command = [_moved(word, folder) for word in (*engine["entrypoint"], *engine["command"])]
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", **variables}
    return subprocess.Popen(command, env=environment, start_new_session=True)


def _started(folder: Path, seconds: float) -> str:
    file, deadline = folder / "started", time.monotonic() + seconds
    while time.monotonic() < deadline and not (file.exists() and file.read_text("utf-8")):
        time.sleep(0.05)
    return file.read_text("utf-8") if file.exists() else ""


def test_the_engine_starts_at_once_and_lets_every_user_in(tmp_path: Path) -> None:
    socket = tmp_path / "run" / "image-builds" / "docker.sock"
    process = _start(tmp_path)
    try:
        assert f"dockerd --host=unix://{socket}" in _started(tmp_path, 20)
        _listen(socket)
        deadline = time.monotonic() + 20
        while socket.stat().st_mode & 0o666 != 0o666:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End all that it has begun: outside of a container, that outlives it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _listen(socket: Path) -> None:
    code = f"import os, socket; os.umask(0o117); socket.socket(1).bind({str(socket)!r})"
    subprocess.run(["python3", "-c", code], check=True)


def test_the_engine_of_a_job_with_its_own_waits_to_be_asked(tmp_path: Path) -> None:
    process = _start(tmp_path, DOCKER_HOST="tcp://docker:2375")
    try:
        assert _started(tmp_path, 1) == ""
        (tmp_path / "run" / "image-builds" / "asked").touch()
        assert "dockerd" in _started(tmp_path, 20)
    finally:
        _end(process)


def test_the_engine_lets_a_service_of_the_job_start_before(tmp_path: Path) -> None:
    """Until its bridge is up, and not only there."""
    flags = tmp_path / "class" / "net" / "docker0" / "flags"
    flags.parent.mkdir(parents=True)
    flags.write_text("0x1002\n", encoding="utf-8")
    process = _start(tmp_path, service="docker")
    try:
        assert _started(tmp_path, 1) == ""
        flags.write_text("0x1003\n", encoding="utf-8")
        assert "dockerd" in _started(tmp_path, 20)
    finally:
        _end(process)


@pytest.mark.parametrize(("sockets", "seconds"), [("", 30), ("/x/containerd.sock", 60)])
def test_the_engine_waits_longer_for_one_that_has_begun(
    sockets: str, seconds: int, tmp_path: Path
) -> None:
    """Whatever starts in between may stop the other one for good."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "unix").write_text(sockets, encoding="utf-8")
    process = _start(
        tmp_path,
        service="docker",
        sleep=f"echo >>{tmp_path}/naps; exec /bin/sleep 0.01",
        line=f"wc -l <{tmp_path}/naps >{tmp_path}/started; exec /bin/sleep 600",
    )
    try:
        # What waits for its socket naps too.
        assert seconds <= int(_started(tmp_path, 20)) < seconds + 10
    finally:
        _end(process)


def test_an_engine_that_fails_is_started_again(tmp_path: Path) -> None:
    """So it does where another one of the pod was in its way."""
    process = _start(tmp_path, line=f"echo x >>{tmp_path}/started; exit 1")
    try:
        deadline = time.monotonic() + 20
        while _started(tmp_path, 20).count("x") < 2:
            assert time.monotonic() < deadline
    finally:
        _end(process)


def test_an_engine_ends_with_its_pod(tmp_path: Path) -> None:
    process = _start(
        tmp_path, line=f"trap 'echo bye >>{tmp_path}/started; exit' TERM; {_SLEEP.format(tmp_path)}"
    )
    try:
        assert _started(tmp_path, 20)

        process.terminate()

        process.wait(10)
        assert "bye" in _started(tmp_path, 0)
    finally:
        _end(process)


def test_an_engine_that_nobody_asked_ends_with_its_pod(tmp_path: Path) -> None:
    """And not when the pod's time to end is over."""
    process = _start(tmp_path, DOCKER_HOST="tcp://docker:2375")
    try:
        _started(tmp_path, 0.5)

        process.terminate()

        process.wait(10)
        assert _started(tmp_path, 0) == ""
    finally:
        _end(process)


SPELLINGS = [
    "docker",
    "docker:dind",
    "docker:27-dind",
    f"docker:28.5.1-dind@sha256:{'0' * 64}",
    f"docker@sha256:{'0' * 64}",
    "docker.io/library/docker:dind",
    "registry.example.com:5000/mirror/docker:26.1-dind",
    "gitlab.example.com/group/dependency_proxy/containers/docker:27-dind",
]


@pytest.mark.parametrize("image", SPELLINGS)
def test_a_job_may_bring_an_engine_however_it_is_named(image: str) -> None:
    """It is beside the runner's, also where both are called the same."""
    service = {"name": image, "alias": "docker", "command": ["--tls=false"]}

    containers = _containers("dind", service)

    assert containers["docker"]["image"] == "docker:29.10.0-dind"
    assert containers["svc-0"]["image"] == image
    assert containers["svc-0"]["securityContext"]["privileged"] is True
    assert not any(item["name"] == "DOCKER_HOST" for item in containers["svc-0"]["env"])


@pytest.mark.parametrize("image", ["docker:1_2-dind", "r.example.com:5000/my_team/docker:1"])
def test_the_names_of_the_runners_engine_are_counted(image: str) -> None:
    """A job has a service where there are more of them in /etc/hosts."""
    strategy = Dind(accept_privileged=True, daemon_image=image)
    table = _runner(strategy)

    (names,) = job_pod(table, Request(), "credentials")["spec"]["hostAliases"]
    assert f'"$names" -le {1 + len(names["hostnames"])} ]' in table["pre_build_script"]


@pytest.mark.parametrize("image", ["postgres:18", "docker-bench:1", "docker.evil/tool:1"])
def test_a_job_may_bring_nothing_else(image: str) -> None:
    with pytest.raises(ValueError, match="not present on list of allowed services"):
        _containers("dind", {"name": image})


@pytest.mark.parametrize("name", ["dind-tls", "dind-rootless"])
def test_with_tls_a_job_may_bring_no_other_engine(name: str) -> None:
    with pytest.raises(ValueError, match="not present on list of allowed services"):
        _containers(name, {"name": "docker:27-dind"})


def _containers(name: str, service: dict[str, Any]) -> dict[str, dict[str, Any]]:
    runner = _runner(FORMS[name])
    runner["kubernetes"]["services"].append(service)
    spec = job_pod(runner, Request(), "credentials")["spec"]
    return {container["name"]: container for container in spec["containers"]}
