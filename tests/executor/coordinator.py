"""GitLab as a runner sees it: it hands out one job and takes its trace and its state.

It answers only the requests that a runner sends for that (gitlab-runner:network/gitlab.go as of
18.9.0), over plain HTTP on loopback.
"""

import contextlib
import http.server
import json
import re
import threading
from collections.abc import Generator
from http import HTTPStatus
from typing import Any

JOB_TOKEN = "glcbt-MadeForOneJob"
_JOB = re.compile(r"/api/v4/jobs/(\d+)(/trace)?(?:\?.*)?")


class Coordinator(http.server.ThreadingHTTPServer):
    """What GitLab knows of a job: its ``trace``, its ``states`` in order, refused requests."""

    def __init__(self, token: str, job: dict[str, Any]) -> None:
        """Listen on a free port; ``job`` goes to the runner that has ``token``."""
        super().__init__(("127.0.0.1", 0), _Answers)
        self.token = token
        self.job = job
        self.waiting = [job]
        self.trace = b""
        self.states: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.ended = threading.Event()
        """Set by the first state that is not ``running``."""
        self.status = "running"
        """What each answer says of the job: ``canceling`` once a user cancels it."""

    @property
    def url(self) -> str:
        """What ``gitlabUrl`` is for this GitLab."""
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(http.server.BaseHTTPRequestHandler):
    server: Coordinator  # pyright: ignore[reportIncompatibleVariableOverride] - no other makes it

    def do_POST(self) -> None:
        """Verify the runner, or give it the job once."""
        body = self._body()
        known = {"/api/v4/runners/verify", "/api/v4/jobs/request"}
        if self.path not in known:
            self._refuse(HTTPStatus.NOT_FOUND)
        elif json.loads(body)["token"] != self.server.token:
            self._refuse(HTTPStatus.FORBIDDEN)
        elif self.path.endswith("/verify"):
            self._answer(HTTPStatus.OK, {"id": 1, "token": self.server.token})
        elif self.server.waiting:
            self._answer(HTTPStatus.CREATED, self.server.waiting.pop())
        else:
            self._answer(HTTPStatus.NO_CONTENT)

    def do_PATCH(self) -> None:
        """Append to the trace where it ends, and nowhere else."""
        body = self._body()
        if not self._is_the_job(self.headers["Job-Token"]):
            return
        start = int(self.headers["Content-Range"].partition("-")[0])
        fits = start == len(self.server.trace)
        if fits:
            self.server.trace += body
        status = HTTPStatus.ACCEPTED if fits else HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        self._answer(status, known=f"0-{len(self.server.trace)}")

    def do_PUT(self) -> None:
        """Take the job's state."""
        update = json.loads(self._body())
        if not self._is_the_job(update["token"]):
            return
        self.server.states.append(update)
        if update["state"] != "running":
            self.server.ended.set()
        self._answer(HTTPStatus.OK)

    def _is_the_job(self, token: str) -> bool:
        found = _JOB.fullmatch(self.path)
        if not found or int(found[1]) != self.server.job["id"]:
            self._refuse(HTTPStatus.NOT_FOUND)
        elif token != self.server.job["token"]:
            self._refuse(HTTPStatus.FORBIDDEN)
        else:
            return True
        return False

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _refuse(self, status: HTTPStatus) -> None:
        self.server.refused.append(f"{self.command} {self.path}: {status}")
        self._answer(status)

    def _answer(self, status: HTTPStatus, content: object = None, known: str = "") -> None:
        text = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Job-Status", self.server.status)
        if known:
            self.send_header("Range", known)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Print nothing: the tests read what is kept."""


@contextlib.contextmanager
def coordinating(token: str, job: dict[str, Any]) -> Generator[Coordinator]:
    """Serve one job to the runner that has this token."""
    with Coordinator(token, job) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
