"""Small servers of clouds, which give logins to registries for an identity, and check who asks."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
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

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Print nothing."""

    def do_GET(self) -> None:
        """Serve Google's metadata."""
        path = "/computeMetadata/v1/instance/service-accounts/default/token"
        known = self.path == path and self.headers["Metadata-Flavor"] == "Google"
        self._answer(json.dumps({"access_token": "ya29.x", "expires_in": 3599}) if known else "")

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
                "service": ACR,
                "tenant": TENANT,
                "access_token": "entra",
            }
            self._answer('{"refresh_token":"acr-refresh"}' if form == wanted else "")

    def _ecr(self, body: str) -> str:
        """Check the signature as AWS does, by the request's own headers."""
        names = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
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
        return json.dumps({"authorizationData": [{"authorizationToken": token}]})

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
  </Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>
"""


@contextlib.contextmanager
def clouds(
    host: str = "127.0.0.1", login: str = _Clouds.login, region: str = REGION
) -> Generator[str]:
    """Serve all of them at one address, ECR of one region with a login, until the block ends."""
    handler = type("Clouds", (_Clouds,), {"login": login, "region": region})
    with http.server.ThreadingHTTPServer((host, 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"{host}:{server.server_port}"
        server.shutdown()
