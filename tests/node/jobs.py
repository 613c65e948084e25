"""A whole job on a real node, as GitLab Runner's Kubernetes executor runs it.

No package registry carries the runner's binary. This makes the same pod from the same config.toml
with the manager's own credentials, sends what GitLab would send, and streams the trace. Commands
reach the containers by POST, as the runner's do (gitlab-runner:executors/kubernetes/exec.go).
"""

import dataclasses
import io
import json
import os
import secrets
import shlex
import subprocess
import tarfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.executor.job import Account
from tests.executor.pod import JOB, NAME, PROJECT, Request, job_pod
from tools import toolchain

_START = 120.0
_SCRIPT = 1200.0


@dataclasses.dataclass(frozen=True)
class Result:
    """How a job ended: ``success``, ``failed`` by its script, or ``system failure`` before it."""

    status: str
    trace: str
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pipeline:
    """What a project brings: the job's script, image, services and variables, and its files."""

    script: Sequence[str]
    files: Mapping[str, str | bytes]
    image: str = ""
    services: Sequence[Mapping[str, Any]] = ()
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])


class Runner:
    """A runner of a stack: its config.toml, and its manager's account."""

    def __init__(self, config_toml: str, account: Account, folder: Path) -> None:
        """Read the config; ``folder`` is for a kubeconfig of the account."""
        self.table: dict[str, Any] = tomllib.loads(config_toml)["runners"][0]
        self.namespace: str = self.table["kubernetes"]["namespace"]
        configuration = client.Configuration()
        configuration.host = account.server
        configuration.ssl_ca_cert = account.certificates
        configuration.api_key = {"authorization": f"Bearer {account.token}"}
        self._core = client.CoreV1Api(client.ApiClient(configuration))
        self._kubeconfig = folder / f"{secrets.token_hex(4)}.kubeconfig"
        self._kubeconfig.write_text(
            json.dumps(
                {
                    "clusters": [
                        {
                            "name": "node",
                            "cluster": {
                                "server": account.server,
                                "certificate-authority": account.certificates,
                            },
                        },
                    ],
                    "users": [{"name": "manager", "user": {"token": account.token}}],
                    "contexts": [{"name": "n", "context": {"cluster": "node", "user": "manager"}}],
                    "current-context": "n",
                },
            ),
            encoding="utf-8",
        )

    def run(self, pipeline: Pipeline) -> Result:
        """Run one job to its end and remove its pod."""
        started = time.monotonic()
        pod = f"{NAME}-{secrets.token_hex(4)}"
        trace: list[str] = []
        try:
            status = self._run(pod, pipeline, trace)
        except (ApiException, PreparationError) as failure:
            body = failure.body if isinstance(failure, ApiException) else str(failure)
            status = "system failure"
            trace.append(f"ERROR: Job failed (system failure): prepare environment: {body}")
        finally:
            self._remove(pod)
        # Shown by pytest where the test fails.
        print("".join(trace))
        return Result(status, "".join(trace), time.monotonic() - started)

    def _run(self, pod: str, pipeline: Pipeline, trace: list[str]) -> str:
        folder = f"{self.table.get('builds_dir', '/builds')}/group/app"
        variables = _variables(folder, pipeline.variables)
        table = {
            **self.table,
            "kubernetes": {
                **self.table["kubernetes"],
                **({"image": pipeline.image} if pipeline.image else {}),
                "services": [*self.table["kubernetes"].get("services", []), *pipeline.services],
            },
        }
        manifest = job_pod(table, Request(variables=variables), f"{pod}-credentials")
        manifest["metadata"]["name"] = pod
        self._core.create_namespaced_pod(self.namespace, manifest)
        self._wait(pod)
        archive = _archive(pipeline.files)
        self._exec(pod, "helper", f"mkdir -p {folder} && tar -x -C {folder}", archive)
        # The helper's umask lets a job of another user write (gitlab-runner:shells/abstract.go).
        self._exec(pod, "helper", f"chmod -R a+rwX {folder}", b"")
        script = _script(self.table.get("pre_build_script", ""), variables, folder, pipeline.script)
        base = table["kubernetes"].get("scripts_base_dir", "")
        file = f"{base}/scripts-{PROJECT}-{JOB}/script"
        self._exec(pod, "helper", f"cat > {file}", script.encode())
        status, text = self._script(pod, file)
        trace.append(text)
        if status:
            trace.append(f"ERROR: Job failed: command terminated with exit code {status}\n")
            trace.append(self._why(pod))
            return "failed"
        return "success"

    def _script(self, pod: str, file: str) -> tuple[int, str]:
        """Run the script once and return its exit status and what it printed.

        As with the runner, output and status go through files that the helper reads: a stream
        that breaks looks like an end (gitlab-runner:executors/kubernetes/log_processor.go).
        """
        folder = str(Path(file).parent)
        run = f"cd {folder} && mkdir begun 2>&- && {{ sh script >log 2>&1; echo $? >status; }}"
        deadline = time.monotonic() + _SCRIPT
        while time.monotonic() < deadline:
            self._kubectl(pod, "build", run, b"")
            status = self._kubectl(pod, "helper", f"cat {folder}/status 2>&-", b"").stdout.strip()
            if status.isdigit():
                break
            if ended := self._why(pod):
                return 137, ended
            time.sleep(1)
        else:
            message = f"the script has not ended after {_SCRIPT:.0f} s"
            raise PreparationError(message)
        size = b""
        text = b""
        while not size.isdigit() or len(text) < int(size):
            size = self._kubectl(pod, "helper", f"wc -c <{folder}/log", b"").stdout.strip()
            text = self._kubectl(pod, "helper", f"cat {folder}/log", b"").stdout
        return int(status), text.decode(errors="replace")

    def _warnings(self, pod: str) -> list[str]:
        """Tell the pod's events, as the runner does of a job that failed."""
        selector = f"involvedObject.name={pod},type=Warning"
        found = self._core.list_namespaced_event(self.namespace, field_selector=selector)
        return [f"{event.reason}: {event.message}" for event in found.items]

    def _why(self, pod: str) -> str:
        """Tell of containers that ended meanwhile, as the runner's pod watcher does."""
        found = self._core.read_namespaced_pod(pod, self.namespace)
        ended = [
            f"{state.name}: {state.state.terminated.reason}"
            for state in found.status.container_statuses or []
            if state.state.terminated
        ]
        return "".join(f"{line}\n" for line in ended)

    def _wait(self, pod: str) -> None:
        deadline = time.monotonic() + _START
        while True:
            found = self._core.read_namespaced_pod(pod, self.namespace)
            states = found.status.container_statuses or []
            if found.status.phase == "Running" and all(state.state.running for state in states):
                return
            reasons = [
                f"{state.name}: {detail.reason}: {detail.message}"
                for state in [*(found.status.init_container_statuses or []), *states]
                for detail in (state.state.waiting, state.state.terminated)
                if detail and detail.reason not in ("ContainerCreating", "PodInitializing")
                if detail.reason != "Completed"
            ]
            # A container that cannot start for the moment is tried again by the kubelet.
            final = [reason for reason in reasons if "Err" in reason or "Error" in reason]
            ended = found.status.phase in ("Failed", "Succeeded")
            if final or ended or time.monotonic() > deadline:
                conditions = [
                    f"{item.reason}: {item.message}"
                    for item in found.status.conditions or []
                    if item.status != "True" and item.message
                ]
                message = [*reasons, *conditions, str(found.status.message or "")]
                raise PreparationError("; ".join([*message, *self._warnings(pod)]))
            time.sleep(0.5)

    def _exec(self, pod: str, container: str, command: str, text: bytes) -> None:
        answer = self._kubectl(pod, container, command, text)
        if answer.returncode:
            message = f"{command}: {answer.stdout.decode(errors='replace')}"
            raise PreparationError(message)

    def _kubectl(
        self,
        pod: str,
        container: str,
        command: str,
        text: bytes,
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [
                str(toolchain.find("kubectl").file),
                f"--kubeconfig={self._kubeconfig}",
                *("--namespace", self.namespace, "exec", pod, "--container", container),
                *(["--stdin"] if text else []),
                *("--", "sh", "-c", command),
            ],
            check=False,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SCRIPT,
            env={**os.environ, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false"},
        )

    def _remove(self, pod: str) -> None:
        try:
            self._core.delete_namespaced_pod(pod, self.namespace, grace_period_seconds=0)
        except ApiException as failure:
            if failure.status != 404:
                raise


class PreparationError(Exception):
    """The job's pod did not come up."""


def _variables(folder: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return what GitLab sends, and the job's own with references expanded, as the runner does."""
    variables = {
        "CI": "true",
        "CI_COMMIT_REF_NAME": "main",
        "CI_COMMIT_SHORT_SHA": "0a1b2c3d",
        "CI_JOB_ID": str(JOB),
        "CI_PROJECT_DIR": folder,
        "CI_PROJECT_ID": str(PROJECT),
        "CI_PROJECT_PATH": "group/app",
        "GITLAB_CI": "true",
    }
    for name, value in own.items():
        expanded = value
        for known in sorted(variables, key=len, reverse=True):
            expanded = expanded.replace(f"${{{known}}}", variables[known])
            expanded = expanded.replace(f"${known}", variables[known])
        variables[name] = expanded
    return variables


def _script(
    before: str,
    variables: Mapping[str, str],
    folder: str,
    lines: Sequence[str],
) -> str:
    """Write the job's script as the runner's shell does (gitlab-runner:shells/bash.go)."""
    return "\n".join(
        [
            "if set -o | grep pipefail > /dev/null; then set -o pipefail; fi; set -o errexit",
            *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
            f"cd {folder}",
            before,
            *(f"echo {shlex.quote('$ ' + line)}\n{line}" for line in lines),
            "",
        ],
    )


def _archive(files: Mapping[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
