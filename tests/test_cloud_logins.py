"""Jobs get logins to registries of clouds by their identity, in the shells that images have."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.bounds import Resources
from components.gitlab_runner import before_job, cloud_logins
from tests.support.clouds import ACR, CLIENT, ECR, ROLE, TENANT, TOKEN, clouds
from tests.support.configured import FORMS, SITE
from tests.support.managers import values_of
from tests.support.pipelines import against_shell
from tests.support.rejections import assert_rejected, change
from tests.support.runners import NAMES

TOOLS = ("base64", "cat", "chmod", "cut", "date", "mkdir", "od", "sed", "sha256sum", "tr")
SHELLS = {"dash with curl": "curl", "bash with wget": "wget", "busybox": "busybox"}
GAR = "europe-docker.pkg.dev"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with clouds() as found:
        yield found


@pytest.fixture(params=SHELLS)
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder of programs, as an image has them."""
    kind = SHELLS[request.param]
    folder = tmp_path / "bin"
    folder.mkdir()
    shell = {"curl": "/bin/dash", "wget": "/bin/bash", "busybox": "/bin/busybox"}[kind]
    for name in ("sh", *TOOLS):
        own = shell if name == "sh" or kind == "busybox" else shutil.which(name)
        folder.joinpath(name).symlink_to(str(own))
    own = shell if kind == "busybox" else shutil.which(kind)
    folder.joinpath("curl" if kind == "curl" else "wget").symlink_to(str(own))
    return folder


def _environment(folder: Path, address: str, token: str = TOKEN) -> dict[str, str]:
    file = folder / "token"
    file.write_text(token)
    return {
        "PATH": str(folder),
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(file),
        "AWS_ENDPOINT_URL_STS": f"http://{address}",
        "AWS_ENDPOINT_URL_ECR": f"http://{address}",
        "AZURE_AUTHORITY_HOST": f"http://{address}/",
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_FEDERATED_TOKEN_FILE": str(file),
        "AZURE_TENANT_ID": TENANT,
        "GCE_METADATA_HOST": address,
    }


def _get(
    cloud: str, host: str, image: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    # The one server speaks plain HTTP, at one address.
    server = f"http://{environment['GCE_METADATA_HOST']}"
    text = cloud_logins.helper(cloud).replace("https://$registry", server)
    return subprocess.run(
        [image / "sh", "-c", text, "helper", "get"],
        input=host,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )


LOGINS = {
    "aws": (ECR, "AWS", "ecr-password"),
    "google": (GAR, "oauth2accesstoken", "ya29.x"),
    "azure": (ACR, "00000000-0000-0000-0000-000000000000", "ya29.x"),
}


@pytest.mark.parametrize("cloud", LOGINS)
def test_a_helper_exchanges_the_identity_for_a_login(cloud: str, image: Path, address: str) -> None:
    host, user, secret = LOGINS[cloud]

    answer = _get(cloud, host, image, _environment(image, address))

    assert answer.stderr == ""
    assert json.loads(answer.stdout) == {"ServerURL": host, "Username": user, "Secret": secret}


def test_a_helper_takes_a_url_as_tools_write_it(image: Path, address: str) -> None:
    answer = _get("google", f"https://{GAR}/v2/\n", image, _environment(image, address))

    assert json.loads(answer.stdout)["ServerURL"] == GAR


def test_no_proxy_stands_before_the_metadata_server(image: Path, address: str) -> None:
    environment = {**_environment(image, address), "http_proxy": "http://127.0.0.1:1"}

    assert _get("google", GAR, image, environment).returncode == 0


@pytest.mark.parametrize("cloud", ["aws", "azure"])
def test_a_wrong_identity_gets_no_login(cloud: str, image: Path, address: str) -> None:
    answer = _get(cloud, LOGINS[cloud][0], image, _environment(image, address, "other"))

    assert answer.returncode != 0
    assert answer.stdout == ""


def test_a_helper_stores_and_erases_nothing(image: Path) -> None:
    answer = subprocess.run(
        [image / "sh", "-c", cloud_logins.helper("aws"), "helper", "erase"],
        input="x",
        env={"PATH": str(image)},
        check=True,
        capture_output=True,
        text=True,
    )

    assert answer.stdout == ""


@pytest.mark.parametrize("cloud", LOGINS)
def test_a_helper_is_clean_shell_and_no_template(cloud: str) -> None:
    text = cloud_logins.helper(cloud)

    assert against_shell(text) == ""
    assert "{{" not in text


STACK = '{"auths": {"registry.example.com": {"auth": "eA=="}}}'


@pytest.mark.parametrize("pushes", [True, False], ids=["beside a login", "alone"])
def test_tools_find_the_helpers_in_the_jobs_folder(tmp_path: Path, *, pushes: bool) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    mount.joinpath("config.json").write_text(STACK)
    text = before_job.script(
        FORMS["buildah"].plan(SITE),
        Resources(),
        {**NAMES, "push_secret": "push" if pushes else None},
        {ECR: "aws", ACR: "azure"},
        proxied=False,
    ).replace(before_job.LOGINS, str(mount))
    environment = {"PATH": "/usr/bin:/bin", "DOCKER_CONFIG": str(tmp_path / "docker")}

    said = subprocess.run(
        ["/bin/sh", "-ec", f"{text}\ncommand -v docker-credential-image-builds-aws"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )

    config = json.loads((tmp_path / "docker/config.json").read_bytes())
    assert said.stderr == ""
    assert said.stdout == f"{tmp_path}/docker/bin/docker-credential-image-builds-aws\n"
    assert config["credHelpers"] == {ECR: "image-builds-aws", ACR: "image-builds-azure"}
    assert config["auths"] == (json.loads(STACK)["auths"] if pushes else {})
    assert against_shell(text) == ""
    assert "{{" not in text


def test_a_folder_that_cannot_be_written_does_not_end_the_job(tmp_path: Path) -> None:
    text = cloud_logins.shell({ECR: "aws"})
    tmp_path.joinpath("file").touch()

    said = subprocess.run(
        ["/bin/sh", "-ec", f"{text}\necho went on"],
        env={"PATH": "/usr/bin:/bin", "DOCKER_CONFIG": str(tmp_path / "file")},
        check=True,
        capture_output=True,
        text=True,
    )

    assert said.stdout == "went on\n"
    assert "The credential helpers could not be written" in said.stderr


CLOUD: dict[str, Any] = {
    "registries": [{"host": ECR, "identity": "aws"}],
    "runners.main.identity": {"jobs": {"aws": "arn:aws:iam::123456789012:role/builds"}},
}


@pytest.mark.parametrize(("strategy", "helped"), [("buildah", True), ("kaniko", False)])
def test_only_tools_that_need_one_get_a_helper(strategy: str, *, helped: bool) -> None:
    """Kaniko has its own (osscontainertools/kaniko:pkg/creds/creds.go)."""
    config = values_of({**CLOUD, "runners.main.strategy": strategy})["runners"]["config"]

    assert ("docker-credential-image-builds-aws" in config) == helped
    assert ("DOCKER_CONFIG=" in config) == helped


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("{host: r.example.com, identity: aws}", "registries[0]", "not like 123456789012.dkr"),
        (
            f"{{host: {ECR}, identity: aws, push: out}}",
            "registries[0]",
            "must not have both identity and a login that pushes",
        ),
        (
            f"{{host: {ECR}, identity: aws}}",
            "registries[0].identity",
            "set runners.main.identity.jobs.aws",
        ),
        ("{host: name.azurecr.io, identity: aws}", "registries[0]", "correct one"),
    ],
)
def test_a_registry_of_a_cloud_is_checked(text: str, key: str, advice: str) -> None:
    assert_rejected(change(f"registries: [{text}]"), key, advice)
