"""A whole job on a real node, as GitLab Runner's Kubernetes executor runs it.

No package registry carries the runner's binary. This makes the same pod from the same config.toml
with the manager's own credentials, sends what GitLab would send, and streams the trace. Commands
reach the containers by POST, as the runner's do (gitlab-runner:executors/kubernetes/exec.go).
"""

import dataclasses
import functools
import io
import json
import os
import secrets
import shlex
import subprocess
import tarfile
import threading
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from dev.toolchain.ensure import ensure
from tests.executor.job import Account
from tests.executor.pod import JOB, NAME, PROJECT, Request, job_pod
from tests.support.kubernetes import core_v1

PATIENCE = 180.0
"""The runner's default ``poll_timeout``."""
_SCRIPT = 480.0
_LINES = 30
_ABORT = """\
for it in /proc/[0-9]*; do
  if [ "$(tr '\\0' ' ' <$it/cmdline)" = 'sh script ' ]; then kill $(cat $it/task/*/children); fi
done 2>/dev/null
"""
"""What the runner does to a job that is cancelled: it ends what the script has started, so the
script ends by itself (gitlab-runner:executors/kubernetes/kubernetes.go, stageCancellationScript).
"""


@dataclasses.dataclass(frozen=True)
class Result:
    """How a job ended: ``success``, ``failed``, ``canceled``, or ``system failure`` before it."""

    status: str
    trace: str
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pipeline:
    """What a project brings: the job's script, image, services and variables, and its files.

    Services are as GitLab sends them: their variables are a list.
    """

    script: Sequence[str]
    files: Mapping[str, str | bytes]
    image: str = ""
    services: Sequence[Mapping[str, Any]] = ()
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    commit: str = "0a1b2c3d"
    number: int = dataclasses.field(default_factory=functools.partial(secrets.randbelow, 10**9))
    """The ID of the job, after which buildx names its pods."""


@dataclasses.dataclass
class Control:
    """What other threads learn of a job, and how they control it."""

    pod: str = ""
    began: threading.Event = dataclasses.field(default_factory=threading.Event)
    """Its script is about to run, in ``pod``."""
    cancel: threading.Event = dataclasses.field(default_factory=threading.Event)
    """Somebody pressed the button in GitLab."""


class Runner:
    """A runner of a stack: its config.toml, and its manager's account."""

    def __init__(
        self, config_toml: str, account: Account, folder: Path, registry: Mapping[str, str]
    ) -> None:
        """Read the config.

        ``folder`` is for a kubeconfig of the account, ``registry`` what GitLab itself sends.
        """
        self.table: dict[str, Any] = tomllib.loads(config_toml)["runners"][0]
        self._registry = registry
        self.namespace: str = self.table["kubernetes"]["namespace"]
        configuration = client.Configuration()
        configuration.host = account.server
        configuration.ssl_ca_cert = account.certificates
        configuration.api_key = {"authorization": f"Bearer {account.token}"}
        self._core = core_v1(client.ApiClient(configuration))
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
                        }
                    ],
                    "users": [{"name": "manager", "user": {"token": account.token}}],
                    "contexts": [{"name": "n", "context": {"cluster": "node", "user": "manager"}}],
                    "current-context": "n",
                }
            ),
            encoding="utf-8",
        )

    def patch(self, pod: Mapping[str, Any]) -> None:
        """Change the pods of its jobs, as ``pod_spec`` of config.toml does."""
        self.table["feature_flags"]["FF_USE_ADVANCED_POD_SPEC_CONFIGURATION"] = True
        self.table["kubernetes"].setdefault("pod_spec", []).append({"patch": json.dumps(pod)})

    def run(
        self, pipeline: Pipeline, control: Control | None = None, patience: float = PATIENCE
    ) -> Result:
        """Run one job to its end and remove its pod; ``patience`` is for its start, in seconds."""
        started = time.monotonic()
        control = control or Control()
        pod = control.pod = f"{NAME}-{secrets.token_hex(4)}"
        trace: list[str] = []
        grace: int | None = 0
        status = ""
        try:
            self._create(pod, pipeline)
            self._wait(pod, patience)
            status = self._run(pod, pipeline, control, trace)
        except CanceledError:
            status, grace = "canceled", None
            trace.append("ERROR: Job failed: canceled\n")
        except (ApiException, PreparationError) as failure:
            refused = isinstance(failure, ApiException)
            body = str(cast("Any", failure).body) if refused else ""
            reason = json.loads(body)["message"] if refused else str(failure)
            status = "system failure"
            trace.append(f"ERROR: Job failed (system failure): prepare environment: {reason}\n")
            trace += self._warnings(pod)
        finally:
            said = [] if status == "success" else self._said(pod)
            self._remove(pod, grace)
        # Shown by pytest where the test fails.
        print("".join([*trace, *said]))
        return Result(status, "".join(trace), time.monotonic() - started)

    def folder(self) -> str:
        """Return where a job finds its project."""
        return f"{self.table.get('builds_dir', '/builds')}/group/app"

    def _create(self, pod: str, pipeline: Pipeline) -> None:
        """Make the job's pod, and the Secret of its logins, which goes with it."""
        kubernetes = self.table["kubernetes"]
        table = {
            **self.table,
            "kubernetes": {
                **kubernetes,
                **({"image": pipeline.image} if pipeline.image else {}),
                "services": [*kubernetes.get("services", []), *pipeline.services],
            },
        }
        secret = f"{pod}-credentials"
        try:
            manifest = job_pod(table, Request(variables=self._variables(pipeline)), secret)
        except ValueError as refused:
            raise PreparationError(str(refused)) from refused
        manifest["metadata"]["name"] = pod
        made = self._core.create_namespaced_pod(self.namespace, manifest)
        owner = {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": made.metadata.uid}
        self._core.create_namespaced_secret(
            self.namespace,
            {
                "metadata": {"name": secret, "ownerReferences": [owner]},
                "type": "kubernetes.io/dockercfg",
                "stringData": {".dockercfg": "{}"},
            },
        )

    def _run(self, pod: str, pipeline: Pipeline, control: Control, trace: list[str]) -> str:
        script = _script(
            self.table.get("pre_build_script", ""),
            self._variables(pipeline),
            self.folder(),
            pipeline.script,
        )
        base = self.table["kubernetes"].get("scripts_base_dir", "")
        file = f"{base}/scripts-{PROJECT}-{JOB}/script"
        self.bring(pod, pipeline.files, {file: script})
        control.began.set()
        status, text = self._script(pod, file, control.cancel)
        trace.append(text)
        if status:
            trace += self._warnings(pod)
            trace.append(f"ERROR: Job failed: {self._why(pod) or _exited(status)}\n")
            return "failed"
        return "success"

    def _script(self, pod: str, file: str, cancel: threading.Event) -> tuple[int, str]:
        """Run the script once and return its exit status and what it printed.

        As with the runner, output and status go through files that the helper reads: a stream
        that breaks looks like an end (gitlab-runner:executors/kubernetes/log_processor.go).
        """
        folder = str(Path(file).parent)
        run = f"cd {folder} && mkdir begun 2>&- && {{ sh script >log 2>&1; echo $? >status; }}"
        stream = subprocess.Popen(
            self._command(pod, "build", run),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_KUBECTL,
        )
        deadline = time.monotonic() + _SCRIPT
        ended: tuple[int, str] | None = None
        try:
            while stream.poll() is None or not (ended := self._ended(pod, folder)):
                if cancel.wait(0.2):
                    self._kubectl(pod, "build", _ABORT)
                    raise CanceledError
                if time.monotonic() > deadline:
                    message = f"the script has not ended after {_SCRIPT:.0f} s; it said:\n"
                    raise PreparationError(message + self._log(pod, folder))
                if stream.poll() is not None and self._why(pod):
                    return ended or (137, self._log(pod, folder))
        finally:
            stream.kill()
            stream.wait()
        return ended

    def _log(self, pod: str, folder: str) -> str:
        """Return what the script has printed so far."""
        return self._kubectl(pod, "helper", f"cat {folder}/log").stdout.decode(errors="replace")

    def _ended(self, pod: str, folder: str) -> tuple[int, str] | None:
        """Return the exit status of the script and its log, None where a stream broke before."""
        command = f"cd {folder} && cat status && wc -c <log && cat log"
        status, _, rest = self._kubectl(pod, "helper", command).stdout.partition(b"\n")
        size, _, log = rest.partition(b"\n")
        if not (status.isdigit() and size.isdigit() and len(log) == int(size)):
            return None
        return int(status), log.decode(errors="replace")

    def _warnings(self, pod: str) -> list[str]:
        """Return the pod's events as log lines, as the runner does of a job that failed."""
        selector = f"involvedObject.name={pod},type=Warning"
        found = self._core.list_namespaced_event(self.namespace, field_selector=selector)
        return [
            f"WARNING: Event retrieved from the cluster: {event.message}\n" for event in found.items
        ]

    def _said(self, pod: str) -> list[str]:
        """Return what services said last, as the runner does with CI_DEBUG_SERVICES."""
        try:
            containers = self._core.read_namespaced_pod(pod, self.namespace).spec.containers
            return [
                f"[service:{name}]\n"
                + self._core.read_namespaced_pod_log(
                    pod, self.namespace, container=name, tail_lines=_LINES
                )
                for item in containers
                if (name := str(item.name)) not in {"build", "helper"}
            ]
        except ApiException as failure:
            return [f"its services cannot be asked: {failure}\n"]

    def _why(self, pod: str) -> str:
        """Say which container ended; services may (podContainerStatusChecker)."""
        found = self._core.read_namespaced_pod(pod, self.namespace)
        statuses: list[Any] = found.status.container_statuses or []
        for status in statuses:
            if status.name in ("build", "helper") and (ended := status.state.terminated):
                return (
                    f"Error in container {status.name}: "
                    f"exit code: {ended.exit_code}, reason: '{ended.reason}'"
                )
        return ""

    def _wait(self, pod: str, patience: float) -> None:
        """Wait until the pod runs (waitForPodRunning); services that ended do not matter."""
        deadline = time.monotonic() + patience
        while True:
            found = self._core.read_namespaced_pod(pod, self.namespace)
            if found.status.phase == "Running":
                return
            states: list[Any] = [
                *(found.status.init_container_statuses or []),
                *(found.status.container_statuses or []),
            ]
            reasons = [
                f"{state.name}: {state.state.waiting.reason}: {state.state.waiting.message}"
                for state in states
                if state.state.waiting and "Err" in str(state.state.waiting.reason)
            ]
            if reasons or found.status.phase in ("Failed", "Succeeded"):
                reported: list[Any] = found.status.conditions or []
                conditions = [
                    f"{item.reason}: {item.message}"
                    for item in reported
                    if item.status != "True" and item.message
                ]
                message = [*reasons, *conditions, str(found.status.message or "")]
                raise PreparationError("; ".join(message))
            if time.monotonic() > deadline:
                message = "timed out waiting for pod to start"
                raise PreparationError(message)
            time.sleep(0.2)

    def bring(
        self, pod: str, files: Mapping[str, str | bytes], beside: Mapping[str, str] | None = None
    ) -> None:
        """Put a project into its folder, as a clone does, and files ``beside`` it by their paths.

        Again where the stream broke: an empty script would seem to succeed.

        Raises:
            PreparationError: they do not arrive.
        """
        folder = self.folder()
        inside = {f"{folder}/{name}": content for name, content in files.items()}
        text = _archive({**inside, **(beside or {})})
        # The helper's umask lets a job of another user write (gitlab-runner:shells/abstract.go).
        command = f"mkdir -p {folder} && tar -x -C / && chmod -R a+rwX {folder} && echo whole"
        said = b""
        for _ in range(5):
            said = self._kubectl(pod, "helper", command, text).stdout
            if said.endswith(b"whole\n"):
                return
        message = f"the project does not arrive: {said.decode(errors='replace')}"
        raise PreparationError(message)

    def execute(self, pod: str, container: str, command: str) -> None:
        """Run a command in a job's container.

        Raises:
            PreparationError: it failed.
        """
        answer = self._kubectl(pod, container, command)
        if answer.returncode:
            message = f"{command}: {answer.stdout.decode(errors='replace')}"
            raise PreparationError(message)

    def _kubectl(
        self, pod: str, container: str, command: str, text: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self._command(pod, container, command, *(["--stdin"] if text else [])),
            check=False,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SCRIPT,
            env=_KUBECTL,
        )

    def _command(self, pod: str, container: str, command: str, *flags: str) -> list[str]:
        return [
            str(ensure("kubectl").file),
            f"--kubeconfig={self._kubeconfig}",
            *("--namespace", self.namespace, "exec", pod, "--container", container),
            *(*flags, "--", "sh", "-c", command),
        ]

    def _remove(self, pod: str, grace: int | None) -> None:
        """Delete the pod: at once, or, as the runner does, in the time that the pod grants."""
        at_once = {} if grace is None else {"grace_period_seconds": grace}
        try:
            self._core.delete_namespaced_pod(pod, self.namespace, **at_once)
        except ApiException as failure:
            if cast("Any", failure).status != 404:
                raise

    def predefined_variables(self, pipeline: Pipeline) -> dict[str, str]:
        """Return the variables that GitLab adds to a job's own."""
        return {
            "CI": "true",
            "CI_COMMIT_REF_NAME": "main",
            "CI_COMMIT_SHORT_SHA": pipeline.commit,
            "CI_JOB_ID": str(pipeline.number),
            "CI_PROJECT_ID": str(PROJECT),
            "CI_PROJECT_PATH": "group/app",
            "GITLAB_CI": "true",
            **self._registry,
        }

    def _variables(self, pipeline: Pipeline) -> dict[str, str]:
        """Return what a job gets, with references in its own variables expanded."""
        variables = {**self.predefined_variables(pipeline), "CI_PROJECT_DIR": self.folder()}
        for name, value in pipeline.variables.items():
            expanded = value
            for known in sorted(variables, key=len, reverse=True):
                expanded = expanded.replace(f"${{{known}}}", variables[known])
                expanded = expanded.replace(f"${known}", variables[known])
            variables[name] = expanded
        return variables


class PreparationError(Exception):
    """The job's pod did not come up."""


class CanceledError(Exception):
    """Somebody cancelled the job."""


_KUBECTL = {**os.environ, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false"}


def _exited(status: int) -> str:
    return f"command terminated with exit code {status}"


def _script(before: str, variables: Mapping[str, str], folder: str, lines: Sequence[str]) -> str:
    """Write the job's script as the runner's shell does (gitlab-runner:shells/bash.go)."""
    return "\n".join(
        [
            "if set -o | grep pipefail > /dev/null; then set -o pipefail; fi; set -o errexit",
            *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
            f"cd {folder}",
            before,
            *(f"echo {shlex.quote('$ ' + line)}\n{line}" for line in lines),
            "",
        ]
    )


def _archive(files: Mapping[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name.lstrip("/"))
            member.size, member.mode = len(data), 0o644
            # As of a clone: a daemon takes a file of the same size and time for the same file.
            member.mtime = int(time.time())
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
