"""A whole job on a real node, run by the real gitlab-runner.

The manager runs on this machine, since the node has no way to any GitLab, with the token of its
account. Everything else that it needs was deployed.
"""

import contextlib
import dataclasses
import re
import secrets
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import tomlkit

from tests.executor.binary import JOB_PAYLOAD, Managed, Manager, find, managing
from tests.executor.coordinator import Coordinator
from tests.executor.job import Account
from tests.support.node.jobs import PATIENCE, Control, Pipeline, Result, Runner

BINARY = find()
"""The real gitlab-runner, where there is one."""
_ENDS = 1500.0
_STATUS = {
    "runner_system_failure": "system failure",
    "runner_interrupted": "interrupted",
    "script_failure": "failed",
    "": "success",
}


class RealRunner(Runner):
    """A runner of a stack whose jobs the real program runs."""

    def __init__(
        self,
        binary: Path,
        manager: Manager,
        account: Account,
        folder: Path,
        registry: Mapping[str, str],
    ) -> None:
        """Remember what was deployed; ``folder`` and ``registry`` are those of its stand-in."""
        super().__init__(manager.template, account, folder, registry)
        self._binary, self._manager, self._account = binary, manager, account
        self._work = folder

    def run(
        self, pipeline: Pipeline, control: Control | None = None, patience: float = PATIENCE
    ) -> Result:
        """Run one job to its end; ``patience`` is for its start, in seconds."""
        started = time.monotonic()
        control, waiting = control or Control(), bool(pipeline.files)
        with self.manage(pipeline, patience) as managed:
            while not managed.gitlab.ended.wait(0.1):
                assert time.monotonic() < started + _ENDS, managed.log.read_text("utf-8")
                assert managed.process.poll() is None, managed.log.read_text("utf-8")
                follow(managed.gitlab, control)
                if waiting and control.began.is_set():
                    self.bring(control.pod, pipeline.files)
                    self.execute(control.pod, "helper", f"touch {self._brought()}")
                    waiting = False
        trace = trace_of(managed.gitlab)
        # Shown by pytest where the test fails.
        print(trace)
        return Result(_status(managed.gitlab), trace, time.monotonic() - started)

    @contextlib.contextmanager
    def manage(self, pipeline: Pipeline, patience: float = PATIENCE) -> Generator[Managed]:
        """Run a manager whose GitLab has one job, until the block ends."""
        folder = self._work / secrets.token_hex(4)
        folder.mkdir()
        kubernetes = {**self.table["kubernetes"], "poll_timeout": int(patience)}
        template = tomlkit.dumps({"runners": [{**self.table, "kubernetes": kubernetes}]})
        manager = dataclasses.replace(self._manager, template=template)
        job = self._job(pipeline)
        with managing(self._binary, manager, self._account, folder, job) as managed:
            yield managed

    def _brought(self) -> str:
        return f"{self.folder()}.brought"

    def _job(self, pipeline: Pipeline) -> dict[str, Any]:
        """Return what GitLab sends of the job.

        Files come as the stand-in's, since the node has no way to a GitLab that it could clone
        from; the script waits for them.
        """
        variables = {
            **self.predefined_variables(pipeline),
            "FF_TIMESTAMPS": "false",
            "GIT_STRATEGY": "none",
            **pipeline.variables,
        }
        wait = f"until test -e {self._brought()}; do sleep 1; done"
        return {
            **JOB_PAYLOAD,
            "variables": [
                {"key": key, "value": value, "public": "PASSWORD" not in key}
                for key, value in variables.items()
            ],
            **({"image": {"name": pipeline.image}} if pipeline.image else {}),
            "services": list(pipeline.services),
            "steps": [
                {
                    **JOB_PAYLOAD["steps"][0],
                    "script": [*([wait] if pipeline.files else []), *pipeline.script],
                }
            ],
        }


def trace_of(gitlab: Coordinator) -> str:
    """Return what GitLab has of the job's log."""
    return gitlab.trace.decode(errors="replace")


def follow(gitlab: Coordinator, control: Control) -> None:
    """Follow a job for other threads, and cancel it in GitLab when one of them asks."""
    trace = trace_of(gitlab)
    if found := re.search(r"Running on (\S+) via", trace):
        control.pod = found[1]
    if re.search(r"section_start:\d+:step_script", trace):
        control.began.set()
    if control.cancel.is_set():
        gitlab.status = "canceling"


def _status(gitlab: Coordinator) -> str:
    # Which is what GitLab makes of any end of such a job.
    if gitlab.status == "canceling":
        return "canceled"
    return _STATUS[gitlab.states[-1].get("failure_reason", "")]
