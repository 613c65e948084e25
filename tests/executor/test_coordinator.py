import json
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

from tests.executor.coordinator import Coordinator, coordinating

RUNNER = {"token": "glrt-PlantedToken0001"}
JOB: dict[str, Any] = {"id": 7, "token": "glcbt-Planted"}
JOB_TOKEN = {"Job-Token": JOB["token"]}


@pytest.fixture
def gitlab() -> Iterator[Coordinator]:
    with coordinating(RUNNER["token"], JOB) as coordinator:
        yield coordinator


def _ask(
    gitlab: Coordinator,
    method: str,
    path: str,
    body: Any = None,  # noqa: ANN401 - JSON, or a piece of a trace
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with urllib3.PoolManager(retries=False) as pool:
        url = f"{gitlab.url}/api/v4/{path}"
        answer = pool.request(method, url, body=content, headers=headers)
        return answer.status, answer.json() if answer.data else dict(answer.headers)


def test_one_runner_gets_the_job_once(gitlab: Coordinator) -> None:
    assert _ask(gitlab, "POST", "runners/verify", RUNNER)[0] == 200
    assert _ask(gitlab, "POST", "jobs/request", {"token": "glrt-Other"})[0] == 403
    assert _ask(gitlab, "POST", "jobs/request", RUNNER) == (201, JOB)
    assert _ask(gitlab, "POST", "jobs/request", RUNNER)[0] == 204
    assert gitlab.refused == ["POST /api/v4/jobs/request: 403"]


def test_a_trace_grows_only_at_its_end(gitlab: Coordinator) -> None:
    for start, piece, status in ((0, b"one ", 202), (9, b"lost", 416), (4, b"two", 202)):
        headers = {**JOB_TOKEN, "Content-Range": f"{start}-{start + len(piece) - 1}"}
        seen, answer = _ask(gitlab, "PATCH", "jobs/7/trace?debug_trace=false", piece, headers)
        assert (seen, answer["Range"]) == (status, f"0-{len(gitlab.trace)}")

    assert gitlab.trace == b"one two"


def test_the_first_state_but_running_ends_a_job(gitlab: Coordinator) -> None:
    for state, ended in (("running", False), ("failed", True)):
        update = {"token": JOB["token"], "state": state}
        assert _ask(gitlab, "PUT", "jobs/7", update)[0] == 200
        assert gitlab.ended.is_set() is ended

    assert [update["state"] for update in gitlab.states] == ["running", "failed"]


def test_each_answer_says_that_a_user_cancels_the_job(gitlab: Coordinator) -> None:
    headers = {**JOB_TOKEN, "Content-Range": "0-2"}
    for status in ("running", "canceling"):
        gitlab.status = status
        answer = _ask(gitlab, "PATCH", "jobs/7/trace", b"one", headers)[1]
        assert answer["Job-Status"] == status
        update = {"token": JOB["token"], "state": "running"}
        assert _ask(gitlab, "PUT", "jobs/7", update)[1]["Job-Status"] == status


def test_other_tokens_and_other_requests_are_refused(gitlab: Coordinator) -> None:
    assert _ask(gitlab, "PUT", "jobs/7", {"token": "other", "state": "failed"})[0] == 403
    assert _ask(gitlab, "PUT", "jobs/8", {"token": JOB["token"], "state": "failed"})[0] == 404
    assert _ask(gitlab, "POST", "runners", RUNNER)[0] == 404
    assert gitlab.states == []
    assert len(gitlab.refused) == 3
