"""The check of a state: an exported one, or that of the local run, without a cluster."""

import json
from pathlib import Path
from typing import Any

import pytest

from commands.app import main
from commands.shared import checkout as where
from dev.app import main as local
from dev.paths import STATE_VARIABLE

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
TOML = """\
[[runners]]
[runners.kubernetes]
image = "docker:29.7.2-cli"
memory_limit = "1Gi"
helper_memory_limit = "1Gi"
service_memory_limit = "1Gi"
[[runners.kubernetes.volumes.host_path]]
name = "docker-socket"
mount_path = "/var/run/docker.sock"
host_path = "/var/run/docker.sock"
"""


def resources(stack: str, config: str, **values: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON
    """A state's resources: a stack, a runner and its release."""
    prefix = f"urn:pulumi:{stack}::image-builds::"
    root = f"{prefix}pulumi:pulumi:Stack::image-builds-{stack}"
    runner = f"{prefix}image-builds:index:Runner::builds"
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod = {"runAsUser": 100, "seccompProfile": {"type": "RuntimeDefault"}}
    return [
        {"urn": root, "type": "pulumi:pulumi:Stack"},
        {"urn": runner, "type": "image-builds:index:Runner", "parent": root},
        {
            "urn": f"{prefix}image-builds:index:Runner$kubernetes:helm.sh/v3:Release::builds",
            "type": "kubernetes:helm.sh/v3:Release",
            "parent": runner,
            "inputs": {
                "values": {
                    "runners": {"config": config},
                    "securityContext": restricted,
                    "podSecurityContext": pod,
                    **values,
                }
            },
        },
    ]


def exported(folder: Path, found: list[dict[str, Any]]) -> list[str]:
    """Write an export, and return the arguments that have it checked."""
    file = folder / "state.json"
    file.write_text(json.dumps({"version": 3, "deployment": {"resources": found}}), "utf-8")
    return ["policies", "--state", str(file)]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that holds the stack files."""
    monkeypatch.setattr(where, "CHECKOUT", tmp_path)
    return tmp_path


def test_a_state_that_violates_nothing_is_one_line(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(exported(checkout, resources("dev", TOML))) == 0
    assert capsys.readouterr().out == "dev: 14 rules, 0 mandatory violations\n"


def test_a_violation_says_what_to_do_and_how_to_accept_it(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(exported(checkout, resources("prod", TOML))) == 3

    printed = " ".join(capsys.readouterr().out.split())
    assert "no-dood-in-prod, mandatory" in printed
    assert "To accept this, add the reasons to Pulumi.prod.yaml:" in printed
    identity = "no-dood-in-prod/the-job-pod-of-runner-builds//var/run/docker.sock"
    assert f'"{identity}": why it is acceptable' in printed


@pytest.mark.parametrize(
    ("stack", "said", "code"),
    [
        ("Prod", None, 3),
        ("prod2", None, 3),
        ("live", None, 0),
        ("live", True, 3),
        ("prod", False, 0),
    ],
)
def test_the_state_says_whether_it_is_one_of_production(
    stack: str,
    said: bool | None,  # noqa: FBT001 - a column of the table
    code: int,
    checkout: Path,
) -> None:
    found = resources(stack, TOML)
    found[0]["outputs"] = {"namespace": "ns"} if said is None else {"production": said}

    assert main(exported(checkout, found)) == code


def test_what_is_accepted_in_writing_is_shown_and_does_not_fail(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identity = "no-dood-in-prod/the-job-pod-of-runner-builds//var/run/docker.sock"
    text = f'config:\n  image-builds:acceptedRisks:\n    "{identity}": an isolated site\n'
    (checkout / "Pulumi.prod.yaml").write_text(text, encoding="utf-8")

    assert main(exported(checkout, resources("prod", TOML))) == 0
    assert "accepted" in capsys.readouterr().out


def test_a_value_encrypted_in_the_state_counts_as_a_secret(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a secret in plain values, which the policy forbids."""
    encrypted = {**SECRET, "ciphertext": "v1:planted"}
    found = resources("dev", TOML, runnerToken=encrypted)

    assert main(exported(checkout, found)) == 3
    printed = capsys.readouterr().out
    assert "no-secrets-in-values" in printed
    assert "planted" not in printed


def test_a_value_that_an_export_holds_in_plain_is_not_shown(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = {**SECRET, "plaintext": json.dumps("planted-image")}
    found = resources("dev", TOML.replace("docker:29.7.2-cli", "planted-image"), other=plain)

    assert main(exported(checkout, found)) == 3
    assert "planted" not in capsys.readouterr().out


def test_what_a_killed_update_has_left_to_delete_does_not_count(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = resources("prod", TOML)
    found[-1]["delete"] = True

    assert main(exported(checkout, found)) == 0
    assert "0 mandatory violations" in capsys.readouterr().out


def test_the_local_run_s_state_is_read_as_its_backend_keeps_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(checkout))
    file = checkout / "backend/.pulumi/stacks/image-builds/prod.json"
    file.parent.mkdir(parents=True)
    found = resources("prod", TOML)
    file.write_text(json.dumps({"checkpoint": {"latest": {"resources": found}}}), "utf-8")

    assert local(["policies", "--stack", "prod"]) == 3
    assert "prod: 14 rules, 1 mandatory violation\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be JSON; write it with: pulumi stack export --file state.json"),
        ("{}", "must be a stack's state; write one with: pulumi stack export --file state.json"),
        ("[]", "must be a stack's state; write one with: pulumi stack export --file state.json"),
        (None, "cannot be read (No such file or directory); --state must be an exported state"),
    ],
)
def test_a_file_that_is_not_a_state_is_one_line(
    text: str | None, message: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = checkout / "state.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")

    assert main(["policies", "--state", str(file)]) == 1
    assert f"{file}: {message}" in capsys.readouterr().err


def test_a_stack_that_is_not_up_says_what_to_run(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(checkout))

    assert local(["policies", "--stack", "prod"]) == 1
    assert "run make up STACK=prod first" in capsys.readouterr().err


def test_a_state_without_resources_is_said_to_be_one(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = checkout / "state.json"
    file.write_text('{"deployment": {"manifest": {}}}', encoding="utf-8")

    assert main(["policies", "--state", str(file)]) == 0
    assert "has no resources" in capsys.readouterr().out
