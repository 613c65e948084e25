"""Small servers of clouds, which give logins to registries for an identity, and check who asks."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import re
import threading
import urllib.parse
from collections.abc import Generator

TOKEN = "eyJhbGciOi.account_token-1.c2lnbmF0dXJl"
ROLE = "arn:aws:iam::123456789012:role/team+builds@x"
REGION = "eu-central-1"
KEY, SESSION = "ASIAEXAMPLE", "IQoJb3/+session=="
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TENANT, CLIENT = "tenant-1", "client-1"
ECR = f"123456789012.dkr.ecr.{REGION}.amazonaws.com"
ACR = "name.azurecr.io"
_SERVICE = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"


class _Clouds(http.server.BaseHTTPRequestHandler):
    login = "AWS:ecr-password"
    """What ECR gives, as user and password."""
    region = REGION
    token = "ya29.x"
    """What Google's metadata server and ACR give."""
    registry = ACR

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Print nothing."""

    def do_GET(self) -> None:
        """Serve Google's metadata, whose clients may ask for a scope."""
        path = "/computeMetadata/v1/instance/service-accounts/default/token"
        known = self.path.partition("?")[0] == path and self.headers["Metadata-Flavor"] == "Google"
        answer = {"access_token": self.token, "expires_in": 3599, "token_type": "Bearer"}
        self._answer(json.dumps(answer) if known else "")

    def do_POST(self) -> None:
        """Serve STS and ECR, and Entra and ACR."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(urllib.parse.parse_qsl(body))
        if self.headers["X-Amz-Target"] == _SERVICE:
            self._answer(self._ecr(body))
        elif self.path == "/":
            self._answer(_sts(form))
        elif self.path == f"/{TENANT}/oauth2/v2.0/token":
            known = (form["client_assertion"], form["client_id"]) == (TOKEN, CLIENT)
            scoped = form["scope"] == "https://containerregistry.azure.net/.default"
            self._answer(
                '{"token_type":"Bearer","access_token":"entra"}' if known and scoped else ""
            )
        else:
            wanted = {
                "grant_type": "access_token",
                "service": self.registry,
                "tenant": TENANT,
                "access_token": "entra",
            }
            self._answer(json.dumps({"refresh_token": self.token}) if form == wanted else "")

    def _ecr(self, body: str) -> str:
        """Check the signature as AWS does, by the request's own headers."""
        found = re.search(r"SignedHeaders=([a-z0-9;-]+)", self.headers["Authorization"])
        names = found[1] if found else ""
        headers = [f"{name}:{self.headers[name]}" for name in names.split(";")]
        lines = ["POST", "/", "", *headers, "", names, hashlib.sha256(body.encode()).hexdigest()]
        now = str(self.headers["X-Amz-Date"])
        scope = f"{now[:8]}/{self.region}/ecr/aws4_request"
        asked = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        key = f"AWS4{SECRET}".encode()
        for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{asked}"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        credential = f"Credential={KEY}/{scope}, SignedHeaders={names}"
        wanted = f"AWS4-HMAC-SHA256 {credential}, Signature={key.hex()}"
        if (self.headers["Authorization"], self.headers["X-Amz-Security-Token"]) != (
            wanted,
            SESSION,
        ):
            return ""
        token = base64.b64encode(self.login.encode()).decode()
        data = {"authorizationToken": token, "expiresAt": 4e9, "proxyEndpoint": f"https://{ECR}"}
        return json.dumps({"authorizationData": [data]})

    def _answer(self, text: str) -> None:
        self.send_response(200 if text else 403)
        self.end_headers()
        self.wfile.write(text.encode())


def _sts(form: dict[str, str]) -> str:
    if (form["RoleArn"], form["WebIdentityToken"]) != (ROLE, TOKEN):
        return ""
    return f"""\
<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>
  <Credentials>
    <AccessKeyId>{KEY}</AccessKeyId>
    <SecretAccessKey>{SECRET}</SecretAccessKey>
    <SessionToken>{SESSION}</SessionToken>
    <Expiration>2096-10-02T07:06:40Z</Expiration>
  </Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>
"""


@contextlib.contextmanager
def clouds(host: str = "127.0.0.1", **given: str) -> Generator[str]:
    """Serve all of them at one address until the block ends.

    ``given`` changes what they give and to whom: ``login``, ``region``, ``token``, ``registry``.
    """
    handler = type("Clouds", (_Clouds,), given)
    with http.server.ThreadingHTTPServer((host, 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"{host}:{server.server_port}"
        server.shutdown()
