"""CAs that the tools of jobs trust: where they come from, and which tools read them."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from components.arguments import environment_args
from components.gitlab_runner import authorities
from components.resources.environment import Environment
from components.settings.load import load
from tests.executor.rendered import config_toml
from tests.support.configured import CERTIFICATE, SECRETS, SETTINGS, configure, replace_values
from tests.support.harness import YEAR, deploy
from tests.support.pipelines import against_shell
from tests.support.rejections import assert_rejected

TRUSTS = {"runners.main.caCertificates": CERTIFICATE}
SHELLS = {"sh": ["/bin/sh"], "bash": ["/bin/bash"], "busybox": ["/bin/busybox", "sh"]}
ASK = 'echo "$SSL_CERT_FILE $GIT_SSL_CAINFO"; cat "$SSL_CERT_FILE"; cat "$NODE_EXTRA_CA_CERTS"'


def _run(shell: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run what comes before a job, with the mount in ``folder``, and show what it trusts."""
    (folder / "mount").mkdir()
    (folder / "mount" / "ca.crt").write_text("OF-THE-SITE\n", encoding="utf-8")
    script = authorities.SHELL.replace(authorities.FOLDER, str(folder / "mount"))
    return subprocess.run(
        [*SHELLS[shell], "-eu", "-c", script + ASK],
        env={"PATH": os.environ["PATH"], "CI_PROJECT_DIR": str(folder / "app"), **variables},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("shell", [name for name in SHELLS if shutil.which(SHELLS[name][0])])
def test_tools_trust_the_bundle_of_their_image_and_the_sites_cas(
    shell: str, tmp_path: Path
) -> None:
    own = tmp_path / "own.pem"
    own.write_text("OF-THE-IMAGE", encoding="utf-8")

    answer = _run(shell, tmp_path, SSL_CERT_FILE=str(own))

    bundle = tmp_path / "app.tmp" / "ca-bundle.crt"
    assert answer.stdout.splitlines() == [
        f"{bundle} {bundle}",
        "OF-THE-IMAGE",
        "OF-THE-SITE",
        "OF-THE-SITE",
    ]
    assert answer.stderr == ""


def test_a_job_that_cannot_write_goes_on_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    answer = _run("sh", tmp_path, CI_PROJECT_DIR=str(tmp_path / "file" / "x"), SSL_CERT_FILE="")

    assert "The job's tools do not trust caCertificates" in answer.stderr


def test_the_shell_is_clean() -> None:
    assert against_shell(authorities.SHELL) == ""


def test_jobs_mount_the_cas_and_name_them_to_their_tools() -> None:
    (entry,) = tomllib.loads(config_toml("kaniko", TRUSTS))["runners"]

    assert entry["pre_build_script"].startswith(authorities.SHELL)
    assert {
        "name": "ca-certificates",
        "mount_path": "/etc/image-builds/ca",
        "read_only": True,
    } in entry["kubernetes"]["volumes"]["config_map"]
    # GitLab's helper reads it, before any script.
    assert f"SSL_CERT_DIR={authorities.FOLDERS}" in entry["environment"]
    assert "ca-bundle.crt" not in config_toml("kaniko", {})
    assert "SSL_CERT_DIR" not in config_toml("kaniko", {})


def test_the_cas_are_in_the_namespace_of_jobs() -> None:
    configure(replace_values(SETTINGS, TRUSTS), SECRETS)
    stack = load()

    registered = deploy(lambda: Environment("test", environment_args(stack, YEAR)))

    (config_map,) = [
        item.inputs
        for item in registered
        if item.name == "main-authorities" and item.type.endswith(":ConfigMap")
    ]
    assert config_map["metadata"] == {"name": "ca-certificates", "namespace": "builds-main"}
    assert config_map["data"] == {"ca.crt": CERTIFICATE}


@pytest.mark.parametrize("variable", [*authorities.VARIABLES, authorities.ADDS])
def test_a_variable_that_the_cas_need_is_rejected(variable: str) -> None:
    settings = replace_values(SETTINGS, {**TRUSTS, "runners.main.environment": {variable: "/a"}})

    key = f"runners.main.environment.{variable}"
    assert_rejected(settings, key, "by caCertificates; remove one of both")
