"""Notes, labels and issues against a fake GitLab API, which fails on demand."""

import dataclasses
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest

from report.outputs import gitlab
from report.outputs.gitlab import (
    Address,
    PublishError,
    label,
    publish_issue,
    publish_note,
    reviewed_digest,
)
from report.outputs.phrases import drift_of, marker

TEXT = f"{marker('dev')}\nfirst"
OTHER = f"{marker('dev')}\nsecond\nPlan `0123456789abcdef`."
DRIFT = f"{marker(drift_of('dev'))}\nsomething differs"
TOKEN = "glpat-PlantedNoteToken"


@dataclasses.dataclass
class Failure:
    """An answer to give in place of the right one, for as many requests as ``times`` says."""

    status: int
    times: int = 1_000
    method: str = ""
    headers: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    delay: float = 0


class FakeGitLab:
    """One project with one merge request; notes come in pages of two, the newest first."""

    def __init__(self) -> None:
        """Start with no note and no label."""
        self.notes: dict[int, dict[str, Any]] = {}
        self.labels = {"theirs"}
        self.merge_requests = [{"iid": 7, "state": "merged", "target_branch": "main"}]
        self.issues: dict[int, dict[str, Any]] = {}
        self.comments: list[tuple[int, str]] = []
        self.requests: list[str] = []
        self.failures: list[Failure] = []
        self.waits: list[float] = []
        self.before_created: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def add(self, body: str, author: int = 1) -> int:
        with self._lock:
            number = len(self.requests) + len(self.notes) + 100
            self.notes[number] = {"id": number, "body": body, "author": {"id": author}}
            return number

    def open(self, description: str, author: int = 1, labels: str = "drift: dev") -> int:
        """Open an issue."""
        with self._lock:
            number = len(self.issues) + 1
            self.issues[number] = {
                "id": 1000 + number,
                "iid": number,
                "title": "old",
                "description": description,
                "labels": labels,
                "author": {"id": author},
                "state": "opened",
            }
            return number

    def opened(self) -> list[str]:
        return [item["description"] for item in self.issues.values() if item["state"] == "opened"]

    def answer_issue(
        self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]
    ) -> tuple[int, Any, int | None]:
        """Answer what is asked of issues, which come in pages of two too."""
        found = re.search(r"/issues/(\d+)(/notes)?$", path)
        if found and found[2]:
            self.comments.append((int(found[1]), body["body"]))
            return 201, {"id": 1}, None
        if found:
            issue = self.issues[int(found[1])]
            if body.pop("state_event", None) == "close":
                issue["state"] = "closed"
            issue.update(body)
            return 200, issue, None
        if method == "POST":
            self.before_created()
            number = self.open(body["description"], labels=body["labels"])
            self.issues[number]["title"] = body["title"]
            return 201, self.issues[number], None
        asked = {key: values[0] for key, values in query.items()}
        matching = [
            item
            for item in sorted(self.issues.values(), key=lambda item: -item["iid"])
            if item["state"] == asked["state"]
            and item["labels"] == asked["labels"]
            and item["author"]["id"] == int(asked["author_id"])
        ]
        page = int(asked.get("page", "1"))
        more = page + 1 if len(matching) > page * 2 else None
        return 200, matching[page * 2 - 2 : page * 2], more

    def fail(self, method: str) -> Failure | None:
        for failure in self.failures:
            if failure.times and failure.method in {"", method}:
                failure.times -= 1
                return failure
        return None

    def answer(  # noqa: PLR0911 - one for each kind of request
        self, method: str, path: str, body: dict[str, Any]
    ) -> tuple[int, Any, int | None]:
        """Return status, content and the number of the next page."""
        parts = urlsplit(path)
        note = re.search(r"/merge_requests/7/notes/(\d+)$", parts.path)
        if parts.path.endswith("/user"):
            return 200, {"id": 1}, None
        if "/issues" in parts.path:
            return self.answer_issue(method, parts.path, parse_qs(parts.query), body)
        if parts.path.endswith("/repository/commits/abc/merge_requests"):
            return 200, self.merge_requests, None
        if note and int(note[1]) not in self.notes:
            return 404, {"message": "404 Not found"}, None
        if note and method == "DELETE":
            del self.notes[int(note[1])]
            return 204, None, None
        if note:
            self.notes[int(note[1])]["body"] = body["body"]
            return 200, self.notes[int(note[1])], None
        if parts.path.endswith("/merge_requests/7/notes") and method == "POST":
            self.before_created()
            return 201, self.notes[self.add(body["body"])], None
        if parts.path.endswith("/merge_requests/7/notes"):
            page = int(parse_qs(parts.query).get("page", ["1"])[0])
            newest = sorted(self.notes.values(), key=lambda item: -item["id"])
            more = page + 1 if len(newest) > page * 2 else None
            return 200, newest[page * 2 - 2 : page * 2], more
        assert method == "PUT"
        self.labels |= set(filter(None, [body.get("add_labels")]))
        self.labels -= set(filter(None, [body.get("remove_labels")]))
        return 200, {"iid": 7}, None


@pytest.fixture
def fake() -> FakeGitLab:
    return FakeGitLab()


@pytest.fixture
def address(fake: FakeGitLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    monkeypatch.setattr("gitlab.utils.time.sleep", fake.waits.append)

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or "{}")
            fake.requests.append(f"{self.command} {self.path}")
            assert self.headers["PRIVATE-TOKEN"] == TOKEN
            if failure := fake.fail(self.command):
                threading.Event().wait(failure.delay)
                self._send(failure.status, {"message": TOKEN}, failure.headers)
                return
            status, content, page = fake.answer(self.command, self.path, body)
            host = self.headers["Host"]
            parts = urlsplit(self.path)
            query = {**dict(parse_qsl(parts.query)), "page": page}
            link = f'<http://{host}{parts.path}?{urlencode(query)}>; rel="next"'
            self._send(status, content, {"Link": link} if page else {})

        do_GET = do_POST = do_PUT = do_DELETE = _do  # noqa: N815 - the server's names

        def _send(self, status: int, content: object, headers: dict[str, str]) -> None:
            text = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the server's name
            """Keep the test's output quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Keep quiet of a client that gave up, which is what a test is about."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    # It looks this often, in seconds, whether it shall end.
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield Address(url=f"http://127.0.0.1:{server.server_port}", project="5", token=TOKEN)
    server.shutdown()
    server.server_close()


def _bodies(fake: FakeGitLab) -> list[str]:
    return [fake.notes[number]["body"] for number in sorted(fake.notes)]


def test_a_first_note_is_made_and_later_ones_edit_it(fake: FakeGitLab, address: Address) -> None:
    publish_note(address, "7", "dev", TEXT)
    publish_note(address, "7", "dev", OTHER)

    assert _bodies(fake) == [OTHER]


def test_a_note_that_says_the_same_is_left_alone(fake: FakeGitLab, address: Address) -> None:
    publish_note(address, "7", "dev", TEXT)
    publish_note(address, "7", "dev", TEXT)

    assert not [request for request in fake.requests if request.startswith("PUT")]


def test_our_note_is_found_on_a_later_page(fake: FakeGitLab, address: Address) -> None:
    fake.add(TEXT)
    for number in range(6):
        fake.add(f"talk {number}")

    publish_note(address, "7", "dev", OTHER)

    assert _bodies(fake)[0] == OTHER
    assert len(fake.notes) == 7


def test_notes_of_other_environments_and_of_other_people_stay(
    fake: FakeGitLab, address: Address
) -> None:
    others = [fake.add(f"{marker('prod')}\nx"), fake.add(TEXT, author=2), fake.add(f"> {TEXT}")]
    before = [fake.notes[number]["body"] for number in others]

    publish_note(address, "7", "dev", OTHER)

    assert [fake.notes[number]["body"] for number in others] == before
    assert len(fake.notes) == 4


def test_two_pipelines_at_once_leave_the_note_of_the_later(
    fake: FakeGitLab, address: Address
) -> None:
    def other_pipeline() -> None:
        fake.before_created = lambda: None
        fake.add(TEXT)

    fake.before_created = other_pipeline

    publish_note(address, "7", "dev", OTHER)

    assert _bodies(fake) == [OTHER]


def test_many_pipelines_at_once_leave_one_note(fake: FakeGitLab, address: Address) -> None:
    together = threading.Barrier(4)

    def one() -> None:
        together.wait()
        publish_note(address, "7", "dev", TEXT)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert _bodies(fake) == [TEXT]


def test_a_duplicate_that_is_already_deleted_is_fine(fake: FakeGitLab, address: Address) -> None:
    fake.add(TEXT)
    fake.add(TEXT)
    fake.failures = [Failure(404, times=1, method="DELETE")]

    publish_note(address, "7", "dev", TEXT)


def test_a_duplicate_that_may_not_be_deleted_is_an_error(
    fake: FakeGitLab, address: Address
) -> None:
    fake.add(TEXT)
    fake.add(TEXT)
    fake.failures = [Failure(403, method="DELETE")]

    with pytest.raises(PublishError, match="GitLab answers 403"):
        publish_note(address, "7", "dev", TEXT)


def test_a_label_is_added_and_removed_and_others_stay(fake: FakeGitLab, address: Address) -> None:
    label(address, "7", "risk raised: dev", wanted=True)
    assert fake.labels == {"theirs", "risk raised: dev"}

    label(address, "7", "risk raised: dev", wanted=False)
    assert fake.labels == {"theirs"}


def test_the_reviewed_plan_is_that_of_the_note(fake: FakeGitLab, address: Address) -> None:
    assert reviewed_digest(address, "abc", "dev", "main") is None

    fake.add(OTHER)

    assert reviewed_digest(address, "abc", "dev", "main") == "0123456789abcdef"


@pytest.mark.parametrize(
    ("state", "branch"),
    [("opened", "main"), ("closed", "main"), ("locked", "main"), ("merged", "feature")],
)
def test_another_merge_request_of_the_commit_does_not_count(
    state: str, branch: str, fake: FakeGitLab, address: Address
) -> None:
    """Anyone can open one, whose pipeline writes the note that its author wants."""
    fake.merge_requests[0] |= {"state": state, "target_branch": branch}
    fake.add(OTHER)

    assert reviewed_digest(address, "abc", "dev", "main") is None

    fake.merge_requests.append({"iid": 7, "state": "merged", "target_branch": "main"})

    assert reviewed_digest(address, "abc", "dev", "main") == "0123456789abcdef"


def test_drift_opens_one_issue_which_later_runs_edit(fake: FakeGitLab, address: Address) -> None:
    publish_issue(address, "dev", "dev: 1 changed", DRIFT)
    publish_issue(address, "dev", "dev: 2 changed", f"{DRIFT} more")

    (issue,) = fake.issues.values()
    assert (issue["title"], issue["description"]) == ("dev: 2 changed", f"{DRIFT} more")
    assert (issue["labels"], issue["state"]) == ("drift: dev", "opened")


def test_an_issue_that_says_the_same_is_left_alone(fake: FakeGitLab, address: Address) -> None:
    publish_issue(address, "dev", "dev: 1 changed", DRIFT)
    publish_issue(address, "dev", "dev: 1 changed", DRIFT)

    assert not [request for request in fake.requests if request.startswith("PUT")]


def test_new_drift_after_a_closed_issue_opens_another(fake: FakeGitLab, address: Address) -> None:
    publish_issue(address, "dev", "dev: 1 changed", DRIFT)
    publish_issue(address, "dev", "dev: nothing", None)
    publish_issue(address, "dev", "dev: nothing", None)

    assert fake.opened() == []
    assert fake.comments == [(1, "The cluster matches what was deployed again.")]

    publish_issue(address, "dev", "dev: 1 changed", DRIFT)

    assert [item["state"] for item in fake.issues.values()] == ["closed", "opened"]


def test_our_issue_is_found_on_a_later_page(fake: FakeGitLab, address: Address) -> None:
    fake.open(DRIFT)
    for number in range(5):
        fake.open(f"talk {number}")

    publish_issue(address, "dev", "dev: 2 changed", f"{DRIFT} more")

    assert fake.opened()[0] == f"{DRIFT} more"
    assert len(fake.issues) == 6


def test_issues_of_other_environments_and_of_other_people_stay(
    fake: FakeGitLab, address: Address
) -> None:
    fake.open(f"{marker(drift_of('prod'))}\nx", labels="drift: prod")
    fake.open(DRIFT, author=2)
    fake.open(f"> {DRIFT}")

    publish_issue(address, "dev", "dev: nothing", None)

    assert len(fake.opened()) == 3


def test_two_comparisons_at_once_leave_one_issue_open(fake: FakeGitLab, address: Address) -> None:
    def other_pipeline() -> None:
        fake.before_created = lambda: None
        fake.open(DRIFT)

    fake.before_created = other_pipeline

    publish_issue(address, "dev", "dev: 2 changed", f"{DRIFT} more")

    assert fake.opened() == [f"{DRIFT} more"]
    assert fake.comments == [(2, "Duplicate of #1.")]


def test_many_comparisons_at_once_leave_one_issue_open(fake: FakeGitLab, address: Address) -> None:
    together = threading.Barrier(4)

    def one() -> None:
        together.wait()
        publish_issue(address, "dev", "dev: 1 changed", DRIFT)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert fake.opened() == [DRIFT]


CALLS: list[Callable[[Address], object]] = [
    lambda address: publish_note(address, "7", "dev", TEXT),
    lambda address: label(address, "7", "risk", wanted=True),
    lambda address: reviewed_digest(address, "abc", "dev", "main"),
    lambda address: publish_issue(address, "dev", "dev: 1 changed", DRIFT),
]


@pytest.mark.parametrize("call", CALLS, ids=["publish", "label", "reviewed", "issue"])
@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "store it as the masked variable IMAGE_BUILDS_NOTE_TOKEN"),
        (403, "Reporter or higher"),
        (404, "the token sees no such project"),
        (409, "run the job again"),
        (429, "limits the rate"),
        (500, "status page"),
        (503, "status page"),
    ],
)
def test_a_refusal_is_one_line_with_what_to_do(
    fake: FakeGitLab, address: Address, call: Callable[[Address], object], status: int, advice: str
) -> None:
    fake.failures = [Failure(status)]

    with pytest.raises(PublishError) as failure:
        call(address)

    text = str(failure.value)
    assert f"GitLab answers {status}: " in text
    assert advice in text
    assert "\n" not in text
    assert TOKEN not in text
    assert len(fake.requests) <= 5


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_passes_is_tried_again(fake: FakeGitLab, address: Address, status: int) -> None:
    fake.failures = [Failure(status, times=3)]

    publish_note(address, "7", "dev", TEXT)
    fake.failures = [Failure(status, times=3)]
    publish_issue(address, "dev", "dev: 1 changed", DRIFT)

    assert _bodies(fake) == [TEXT]
    assert fake.opened() == [DRIFT]


@pytest.mark.parametrize(
    ("asked", "waited"), [("3", 3), ("86400", 30), ("Tue, 24 Nov 2026 21:00:00 GMT", 30)]
)
def test_a_wait_that_the_server_asks_for_is_kept_but_bounded(
    fake: FakeGitLab, address: Address, asked: str, waited: int
) -> None:
    fake.failures = [Failure(429, times=1, headers={"Retry-After": asked})]

    publish_note(address, "7", "dev", TEXT)

    assert fake.waits == [waited]


def test_a_server_that_does_not_answer_is_given_up(
    fake: FakeGitLab, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gitlab, "_TIMEOUT", 0.05)
    fake.failures = [Failure(200, delay=1)]
    started = time.monotonic()

    for call in (CALLS[1], CALLS[3]):
        with pytest.raises(PublishError, match="does not answer"):
            call(address)

    assert time.monotonic() - started < 10


def test_a_server_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("gitlab.utils.time.sleep", waits.append)
    nowhere = Address(url="http://127.0.0.1:1", project="5", token=TOKEN)

    with pytest.raises(PublishError, match="check CI_SERVER_URL"):
        publish_note(nowhere, "7", "dev", TEXT)


def test_a_token_is_not_in_what_python_prints_of_an_address() -> None:
    assert TOKEN not in repr(Address(url="u", project="5", token=TOKEN))
