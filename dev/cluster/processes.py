"""The processes of one control plane, each in the background and with its own log."""

import contextlib
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from dev.background import STARTED, spawn
from dev.toolchain.ensure import ensure

ORDER = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
"""The programs in the order in which they start."""

_GRACE = 1.0
"""Seconds. A kill loses nothing: only etcd has a state, and writes a change before it answers; the
API server would wait 10 s for watches to end."""


class Processes:
    """What runs with ``state`` as its working folder."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def running(self) -> dict[str, psutil.Process]:
        """Return the live processes by program.

        They are searched for, not recorded: a record could miss one whose starter was killed.
        """
        found: dict[str, psutil.Process] = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, IndexError):
                name = Path(process.cmdline()[0]).name
                if name in ORDER and process.cwd() == str(self._state):
                    found[name] = process
        return found

    def start(self, name: str, arguments: Sequence[str]) -> None:
        """Start a program, which goes on in the background."""
        command = [str(ensure(name).file), *arguments]
        process = spawn(command, self._state, self.log(name))
        # The kernel shows a process's arguments only a moment after its start.
        while process.poll() is None and name not in self.running():
            time.sleep(0.01)

    def stop(self, name: str) -> None:
        """Stop a program: ask it first, and kill it after a second."""
        process = self.running().get(name)
        if process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + _GRACE
            while _lives(process) and time.monotonic() < deadline:
                time.sleep(0.01)
            process.kill()
            while _lives(process):
                time.sleep(0.01)
        for handle in STARTED:
            handle.poll()

    def stop_all(self) -> None:
        """Stop every program, the last one first."""
        for name in reversed(ORDER):
            self.stop(name)

    def log(self, name: str) -> Path:
        """The file to which a program writes."""
        return self._state / f"{name}.log"


def _lives(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended stays in the table until its starter asks for it."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
