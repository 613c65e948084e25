"""Secrets in plain text: found leaf by leaf, beside encrypted ones, wherever the config is from."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.settings import load as program
from components.settings.plain_text import SECRET_KEYS, has_login, plain_secrets
from dev.app import main
from dev.paths import CHECKOUT
from report.stack_file import StackFile
from tests.support.configured import PULL, PUSH, SECRETS, SETTINGS, TOKEN, configure
from tests.support.rejections import assert_says, change, reject

TOKENS = "image-builds:runnerTokens"
LOGINS = "image-builds:registryCredentials"
KUBECONFIG = "kubernetes:kubeconfig"
LEAK = "hunter2-in-plain"
ENCRYPTED = {"secure": "v1:q8hYtYUYPCUSqWVy:P2YxIZAUbe0Q4Xl8zrbCNHkDkg5eCWZ7"}
CLOUD = {"secure": "AAABAKo4sQsFRpUcGoT2UXgNrRKMbRMfB3LoTrxgxkIZxUzyJnbIAg=="}


def _found(config: dict[str, Any]) -> dict[str, str]:
    return dict(plain_secrets(config, "dev", "Pulumi.dev.yaml"))


@pytest.mark.parametrize(
    "config",
    [
        {},
        {TOKENS: ENCRYPTED},
        {TOKENS: {"a": ENCRYPTED, "b": CLOUD}},
        {TOKENS: {"a": None}},
        {LOGINS: {"a": {"username": "reader", "password": ENCRYPTED}}},
        {LOGINS: {"a.b": {"username": "reader", "password": ENCRYPTED}}},
        {LOGINS: {"a": {"username": ENCRYPTED, "password": ENCRYPTED}}},
        {"gitlab:token": ENCRYPTED, "gitlab:baseUrl": "https://gitlab.example.com"},
        {KUBECONFIG: "/home/me/.kube/config"},
        {KUBECONFIG: "users:\n- user: {exec: {command: aws}}\n"},
        {"image-builds:settings": {"token": LEAK}},
    ],
)
def test_what_is_encrypted_or_public_is_taken(config: dict[str, Any]) -> None:
    assert _found(config) == {}


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({TOKENS: {"a": ENCRYPTED, "b": LEAK}}, f"{TOKENS}.b"),
        ({TOKENS: {"a": ENCRYPTED, "b.c": LEAK}}, f'{TOKENS}["b.c"]'),
        ({TOKENS: {"a": ENCRYPTED, "b": {"secure": LEAK}}}, f"{TOKENS}.b"),
        ({TOKENS: {"a": [ENCRYPTED, LEAK]}}, f"{TOKENS}.a[1]"),
        ({TOKENS: json.dumps({"a": LEAK})}, f"{TOKENS}.a"),
        ({TOKENS: f"{{a: {LEAK}}}"}, TOKENS),
        ({TOKENS: LEAK}, TOKENS),
        ({f"{TOKENS}.a": LEAK}, f"{TOKENS}.a"),
        ({LOGINS: {"a": {"username": ENCRYPTED, "password": LEAK}}}, f"{LOGINS}.a.password"),
        ({LOGINS: {"username": LEAK}}, f"{LOGINS}.username"),
        ({LOGINS: {"a": {"username": "x", "password": 12345678}}}, f"{LOGINS}.a.password"),
        ({"gitlab:token": LEAK}, "gitlab:token"),
        ({KUBECONFIG: f"users:\n- user: {{token: {LEAK}}}\n"}, KUBECONFIG),
        (
            {KUBECONFIG: json.dumps({"users": [{"user": {"token": LEAK}}]})},
            f"{KUBECONFIG}.users[0].user.token",
        ),
    ],
)
def test_a_leaf_in_plain_text_gets_its_command(config: dict[str, Any], path: str) -> None:
    found = _found(config)

    assert list(found) == [path]
    message = found[path]
    command = f"--secret --path '{path.removeprefix('image-builds:')}' --stack dev"
    assert message.startswith("is in plain text in Pulumi.dev.yaml, ")
    assert message.endswith(f"run: pulumi config set {command}")
    assert LEAK not in message
    assert "12345678" not in message


@pytest.fixture
def stack_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the stack that the program has beside it; its config has every secret."""
    configure(SETTINGS, SECRETS)
    monkeypatch.setattr(program, "_PROGRAM_FOLDER", tmp_path)
    return tmp_path / f"Pulumi.{pulumi.get_stack()}.yaml"


def _write(file: Path, config: object) -> None:
    file.write_text(yaml.safe_dump({"config": config}), encoding="utf-8")


def test_the_program_refuses_a_leaf_beside_an_encrypted_one(stack_file: Path) -> None:
    login = {"username": ENCRYPTED, "password": PUSH}
    _write(stack_file, {TOKENS: {"main": ENCRYPTED, "other": TOKEN}, LOGINS: {"out": login}})

    lines = reject()

    assert_says(lines, f"{TOKENS}.other", stack_file.name)
    assert_says(lines, f"{LOGINS}.out.password", "'registryCredentials.out.password'")
    assert len(lines) == 3


@pytest.mark.parametrize("text", ["", "[]", "config: []", "config: [", "a: !b", "\0"])
def test_a_file_that_pulumi_cannot_use_is_left_to_it(stack_file: Path, text: str) -> None:
    stack_file.write_text(text, encoding="utf-8")

    assert program.load().secrets.runner_tokens["main"].get_secret_value() == TOKEN


@pytest.mark.parametrize(
    ("key", "path", "secret"),
    [
        ("runnerTokens", f"{TOKENS}.main", TOKEN),
        ("registryCredentials", f"{LOGINS}.in.password", PULL),
    ],
)
def test_config_from_elsewhere_is_encrypted_too(key: str, path: str, secret: str) -> None:
    configure(SETTINGS, SECRETS, plain=(key,))

    lines = reject()

    assert_says(lines, path, "is in plain text in the config")
    assert secret not in "\n".join(lines)


def test_a_report_shows_the_line_of_the_leaf() -> None:
    text = f"config:\n  {LOGINS}:\n    push:\n      username: x\n      password: {LEAK}\n"
    ((path, message),) = _found(yaml.safe_load(text)["config"]).items()

    (error,) = StackFile("Pulumi.dev.yaml", text).find_errors([f"{path}: {message}"])

    assert (error.key, error.line) == ("push.password", 5)
    assert LEAK not in error.text


def test_lint_fails_for_a_leaf_in_plain_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "Pulumi.prod.yaml"
    _write(file, {TOKENS: {"a": ENCRYPTED, "b": LEAK}})

    assert main(["check-secrets", str(CHECKOUT / "Pulumi.dev.yaml"), str(file)]) == 1

    said = capsys.readouterr().err
    assert said.startswith(f"{file}: {TOKENS}.b: is in plain text")
    assert said.endswith("'runnerTokens.b' --stack prod\n")
    assert LEAK not in said


def test_lint_passes_over_every_committed_stack() -> None:
    files = [str(file) for file in CHECKOUT.glob("Pulumi.*.yaml")]
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")

    assert len(files) > 1
    assert main(["check-secrets", *files]) == 0
    assert "check-secrets $(wildcard Pulumi.*.yaml)" in makefile


def test_every_secret_key_of_the_program_is_looked_at() -> None:
    assert {f"image-builds:{key}" for key in SECRETS} < set(SECRET_KEYS)


@pytest.mark.parametrize(
    "text",
    [
        f"http://user:{LEAK}@proxy.example.com:3128",
        f"HTTPS://{LEAK}@gitlab.example.com/group/project.git",
        f"socks5://user:{LEAK}@proxy.example.com",
        f"redis://:{LEAK}@cache.example.com",
        f"user:{LEAK}@proxy.example.com:3128",
        f"user:p@{LEAK}@proxy.example.com:3128",
        f"http://user:a/{LEAK}@proxy.example.com",
        f"--opt build-arg:http_proxy=http://user:{LEAK}@proxy.example.com",
        f"oci://user:{LEAK}@registry.example.com/charts/gitlab-runner",
    ],
)
def test_a_login_in_a_url_is_found(text: str) -> None:
    assert has_login(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://proxy.example.com:3128",
        "http://proxy.example.com:8080/@scope/package",
        "http://$USER:$PASSWORD@proxy.example.com:3128",
        "http://user:${PASSWORD}@proxy.example.com:3128",
        "https://$TOKEN@gitlab.example.com",
        "ssh://git@gitlab.example.com/group/project.git",
        "git@gitlab.example.com:group/project.git",
        f"alpine:3@sha256:{'0' * 64}",
        "somebody@example.com",
    ],
)
def test_a_url_without_a_login_is_none(text: str) -> None:
    assert not has_login(text)


URL = f"http://user:{LEAK}@proxy.example.com:3128"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"gitlab.url: '{URL}'", "gitlab.url"),
        (f"chart.repository: '{URL}'", "chart.repository"),
        (f"chart.archive: '{URL}'", "chart.archive"),
        (f"runners.main.tags: ['{URL}']", "runners.main.tags[0]"),
        (
            f"runners.main.environment: {{HTTPS_PROXY: '{URL}'}}",
            "runners.main.environment.HTTPS_PROXY",
        ),
        (
            f"runners.main.environment: {{no_proxy: 'user:{LEAK}@h:1'}}",
            "runners.main.environment.no_proxy",
        ),
    ],
)
def test_no_setting_may_hold_a_login(text: str, key: str) -> None:
    configure(change(text), SECRETS)

    lines = reject()

    assert_says(lines, key, "must not contain credentials in a URL")
    assert LEAK not in "\n".join(lines)


def test_a_reason_for_a_risk_may_not_hold_a_login() -> None:
    configure(SETTINGS, SECRETS)
    pulumi.runtime.set_config("image-builds:acceptedRisks", json.dumps({"a/b/c": f"see {URL}"}))

    assert_says(reject(), "image-builds:acceptedRisks.a/b/c", "must not contain credentials")


def test_a_password_may_look_like_a_url_with_a_login() -> None:
    login = {"username": "reader", "password": URL}
    configure(SETTINGS, {**SECRETS, "registryCredentials": {"in": login, "out": login}})

    assert program.load().secrets.registry_credentials["in"].password.get_secret_value() == URL
