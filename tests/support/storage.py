"""Small storage that speaks S3, and checks who signed each address."""

import contextlib
import dataclasses
import hashlib
import hmac
import http.server
import ssl
import threading
import urllib.parse
from collections.abc import Generator
from pathlib import Path

from dev.certificates import Authority

HOST = "storage.test"
BUCKET, REGION = "caches", "eu-central-1"
KEY, SECRET = "AKIAPLANTEDEXAMPLE", "PlantedSecretKeyOfTheCacheBucket"


@dataclasses.dataclass
class Storage:
    """Its name and port, the CA that vouches for it, and what is in its bucket, by key."""

    address: str
    certificate: str
    objects: dict[str, bytes] = dataclasses.field(default_factory=dict[str, bytes])


class _Answers(http.server.BaseHTTPRequestHandler):
    storage: Storage

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Print nothing."""

    def do_GET(self) -> None:
        """Return an object."""
        self._answer()

    def do_HEAD(self) -> None:
        """Say whether an object is there."""
        self._answer()

    def do_PUT(self) -> None:
        """Keep an object."""
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self._signed():
            self.storage.objects[self._key()] = content
        self._answer()

    def _key(self) -> str:
        return urllib.parse.urlsplit(self.path).path.removeprefix(f"/{BUCKET}/")

    def _answer(self) -> None:
        content = self.storage.objects.get(self._key())
        known = self._signed()
        body = content if known and content and self.command == "GET" else b""
        self.send_response(403 if not known else 404 if content is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", self.date_time_string())
        self.end_headers()
        self.wfile.write(body)

    def _signed(self) -> bool:
        """Check a signature in an address (docs.aws.amazon.com: S3, Signature Version 4)."""
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query))
        given = query.pop("X-Amz-Signature", "")
        scope = query.get("X-Amz-Credential", "").removeprefix(f"{KEY}/")
        names = query.get("X-Amz-SignedHeaders", "").split(";")
        quoted = urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote)
        lines = [
            self.command,
            address.path,
            quoted,
            *(f"{name}:{self.headers[name]}" for name in names),
            "",
            ";".join(names),
            "UNSIGNED-PAYLOAD",
        ]
        asked = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{query.get('X-Amz-Date')}\n{scope}\n{asked}"
        signature = f"AWS4{SECRET}".encode()
        for part in (*scope.split("/"), text):
            signature = hmac.new(signature, part.encode(), hashlib.sha256).digest()
        return hmac.compare_digest(given, signature.hex())


@contextlib.contextmanager
def storing(address: str, folder: Path) -> Generator[Storage]:
    """Serve a bucket over TLS of a CA in ``folder``, at a free port, until the block ends."""
    authority = Authority(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue(HOST, HOST, hosts=[HOST]))
    with http.server.ThreadingHTTPServer((address, 0), _Answers) as server:
        certificate = authority.certificate_file.read_text(encoding="ascii")
        storage = Storage(f"{HOST}:{server.server_port}", certificate)
        server.RequestHandlerClass = type("Answers", (_Answers,), {"storage": storage})
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield storage
        server.shutdown()
