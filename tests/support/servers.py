"""Servers that tests make up: a GitLab and registries, over plain HTTP or TLS on loopback."""

import base64
import contextlib
import datetime as dt
import http.server
import json
import ssl
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import unquote

from components.gitlab_runner.charts import DEFAULT_VERSION
from components.resources.certificates import KeyPair, Validity, authority, issue

Headers = Mapping[str, str]


class Reply(NamedTuple):
    status: int
    body: object = None
    headers: Headers = MappingProxyType({})


Answers = Callable[[str, str, Headers, bytes], Reply]
"""From a method, a path, headers and a body to a reply."""

VALIDITY = Validity(dt.datetime.now(dt.UTC) - dt.timedelta(hours=1), dt.timedelta(hours=2))
LONG = Validity(VALIDITY.since, dt.timedelta(days=60))
EXPIRED = Validity(dt.datetime.now(dt.UTC) - dt.timedelta(hours=2), dt.timedelta(hours=1))


def new_ca() -> KeyPair:
    return authority("a CA of tests", LONG)


class _Handler(http.server.BaseHTTPRequestHandler):
    answers: Answers

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reply = self.answers(self.command, self.path, dict(self.headers), body)
        text = b"" if reply.body is None else _encoded(reply.body)
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = _any  # noqa: N815 - the base's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Print nothing."""


def _encoded(body: object) -> bytes:
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64  # doctor asks for many things at once

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base's
        """Say nothing of a client that did not trust the certificate."""


@contextlib.contextmanager
def serving(
    answers: Answers, ca: KeyPair | None = None, validity: Validity = LONG
) -> Generator[str]:
    """Yield ``localhost:port`` of a server, with TLS if there is a CA."""
    handler = type("_Answers", (_Handler,), {"answers": staticmethod(answers)})
    with _Server(("127.0.0.1", 0), handler) as server, tempfile.TemporaryDirectory() as folder:
        if ca:
            pair = issue(ca, "localhost", validity, hosts=["localhost"])
            file = Path(folder) / "pair.pem"
            file.write_text(pair.certificate + pair.key, encoding="ascii")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(file)
            # The handshake is the handler's, so that a client that fails stops no other.
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class GitLabDouble:
    """A GitLab that knows runners by their tokens, and shows them to a user's token."""

    def __init__(self, *tokens: str) -> None:
        self.runners: dict[str, dict[str, Any]] = {
            token: {
                "id": number,
                "paused": False,
                "tag_list": ["build"],
                "access_level": "ref_protected",
                "token_expires_at": None,
            }
            for number, token in enumerate(tokens, start=1)
        }
        self.version = "19.5.0"
        self.charts: str | None = f"urls: [gitlab-runner-{DEFAULT_VERSION}.tgz]"
        """The index of a repository of charts beside it."""
        self.users_token = "glpat-OfTheUser0001"
        self.broken = 0
        """The status of everything, if there is one."""
        self.projects: dict[str, dict[str, Any]] = {}
        """The settings of projects, by their paths."""
        self.refusal: object = None
        """What a wall before it, or it itself, answers to all that asks for changes."""

    def __call__(self, method: str, path: str, headers: Headers, body: bytes) -> Reply:
        if path == "/charts/index.yaml":
            return Reply(HTTPStatus.OK if self.charts else HTTPStatus.NOT_FOUND, self.charts)
        if self.broken:
            return Reply(self.broken, "<html>", {"Location": "https://elsewhere/?token=x"})
        if self.refusal and method == "POST":
            return Reply(HTTPStatus.FORBIDDEN, self.refusal)
        return self._answer(method, path, headers, body)

    def _answer(self, method: str, path: str, headers: Headers, body: bytes) -> Reply:
        if (method, path) == ("POST", "/api/v4/runners/verify"):
            known = self.runners.get(json.loads(body)["token"])
            if not known:
                return Reply(HTTPStatus.FORBIDDEN, {"message": "403 Forbidden"})
            answer = {key: known[key] for key in ("id", "token_expires_at")}
            return Reply(HTTPStatus.OK, answer)
        if headers.get("PRIVATE-TOKEN") != self.users_token:
            return Reply(HTTPStatus.UNAUTHORIZED, {"message": "401 Unauthorized"})
        if path == "/api/v4/version":
            return Reply(HTTPStatus.OK, {"version": self.version})
        shown = {f"/api/v4/runners/{item['id']}": item for item in self.runners.values()}
        shown |= {f"/api/v4/projects/{name}": item for name, item in self.projects.items()}
        known = shown.get(unquote(path))
        missing = Reply(HTTPStatus.NOT_FOUND, {"message": "404 Not Found"})
        return Reply(HTTPStatus.OK, known) if known else missing


class RegistryDouble:
    """A registry with logins, some of which may write; with ``realm`` it hands out tokens."""

    def __init__(self, logins: Mapping[str, str], writers: tuple[str, ...]) -> None:
        self.logins = dict(logins)
        self.writers = writers
        self.readers: tuple[str, ...] = (*logins,)
        self.realm = ""
        self.uploads: list[str] = []
        self.given_up: list[str] = []
        self.upload_status = HTTPStatus.ACCEPTED
        self.buckets: tuple[str, ...] = ("/kept",)
        """What it has beside images: storage of caches speaks HTTP too."""
        self.region = ""
        self.code = ""
        """What it says of why it refuses what it stores."""
        self.stored_status = 0
        """The status of all that it stores, if there is one."""
        self.public = self.page = False
        self.broken = 0
        """The status of everything of images, if there is one."""
        self.missing: tuple[str, ...] = ()
        """The manifests that it does not have."""
        self.leads = ""
        """Where it leads uploads, if that is elsewhere."""

    def __call__(self, method: str, path: str, headers: Headers, body: bytes) -> Reply:
        del body
        if not path.startswith(("/v2/", "/token")):
            return self._stored(path)
        if self.broken:
            return Reply(self.broken)
        if self.page:
            return Reply(HTTPStatus.OK, "<html>", {"Content-Type": "text/html"})
        return self._answer(method, path, headers.get("Authorization", ""))

    def _stored(self, path: str) -> Reply:
        if self.stored_status:
            return Reply(self.stored_status)
        if self.region:
            moved = {"x-amz-bucket-region": self.region}
            return Reply(HTTPStatus.MOVED_PERMANENTLY, headers=moved)
        if self.public:
            return Reply(HTTPStatus.OK, "<ListBucketResult>")
        refusal = f"<Error><Code>{self.code}</Code></Error>"
        there = path.partition("?")[0] in self.buckets
        return Reply(HTTPStatus.FORBIDDEN if there else HTTPStatus.NOT_FOUND, refusal)

    def _answer(self, method: str, path: str, given: str) -> Reply:
        if path.startswith("/token"):
            user = self._user(given)
            return Reply(HTTPStatus.OK if user else HTTPStatus.UNAUTHORIZED, {"token": user})
        user = given.removeprefix("Bearer ") if self.realm else self._user(given)
        if not user:
            kind = f'Bearer realm="{self.realm}",service="it"' if self.realm else 'Basic realm=""'
            return Reply(HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": kind})
        if method in {"GET", "HEAD"}:
            if path in self.missing:
                return Reply(HTTPStatus.NOT_FOUND)
            reads = path == "/v2/" or user in self.readers
            return Reply(HTTPStatus.OK if reads else HTTPStatus.FORBIDDEN, {})
        return self._written(method, path) if user in self.writers else Reply(HTTPStatus.FORBIDDEN)

    def _written(self, method: str, path: str) -> Reply:
        if method == "DELETE":
            self.given_up.append(path)
            return Reply(HTTPStatus.NO_CONTENT)
        if self.upload_status == HTTPStatus.ACCEPTED:
            self.uploads.append(f"{path}1")
        return Reply(self.upload_status, headers={"Location": f"{self.leads}{path}1"})

    def _user(self, given: str) -> str:
        kind, _, encoded = given.partition(" ")
        user, _, password = (
            base64.b64decode(encoded).decode().partition(":") if kind == "Basic" else ("", "", "")
        )
        return user if user and self.logins.get(user) == password else ""
