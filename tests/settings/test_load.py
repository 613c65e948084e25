"""The config as a whole: what is missing or malformed, and what is left out gets a default."""

import json

import pulumi
import pytest

from components.bounds import Amounts
from components.settings.chart import Chart
from components.settings.load import load
from components.settings.models import Settings
from components.settings.runners.runner import RunnerSettings
from components.strategies.kaniko import Kaniko
from tests.support.configured import (
    CERTIFICATE,
    SECRETS,
    SETTINGS,
    TOKEN,
    configure,
    replace_values,
)
from tests.support.rejections import assert_says, change, reject

RISKS = "image-builds:acceptedRisks"


def test_missing_settings_are_asked_for() -> None:
    configure(None, SECRETS)

    assert_says(reject(), "", "is required; add it")


@pytest.mark.parametrize("key", ["image-builds:settings", RISKS])
def test_a_value_that_is_not_json_is_rejected(key: str) -> None:
    configure(SETTINGS, SECRETS)
    pulumi.runtime.set_config(key, "a: [")

    assert_says(reject(), key, "must be a mapping")


def test_settings_that_are_a_list_are_rejected() -> None:
    configure([1], SECRETS)

    assert_says(reject(), "", "must be a mapping")


@pytest.mark.parametrize("accepted", ["a risk", ["a risk"]])
def test_accepted_risks_are_a_mapping(accepted: object) -> None:
    configure(SETTINGS, SECRETS)
    pulumi.runtime.set_config(RISKS, json.dumps(accepted))

    assert_says(reject(), RISKS, "must be a mapping")


@pytest.mark.parametrize("reason", ["", " ", None, {"reason": "x"}])
def test_a_risk_is_accepted_with_a_reason(reason: object) -> None:
    configure(SETTINGS, SECRETS)
    pulumi.runtime.set_config(RISKS, json.dumps({"a/b/c": reason}))

    assert_says(reject(), f"{RISKS}.a/b/c", "write it in words")


def test_no_key_may_be_a_template() -> None:
    configure(SETTINGS, SECRETS)
    pulumi.runtime.set_config(RISKS, json.dumps({"{{x}}": "because"}))

    assert_says(reject(), f"{RISKS}.{{{{x}}}}", "would run as a template; remove it")


def test_accepted_risks_do_not_change_the_settings() -> None:
    configure(SETTINGS, SECRETS)
    pulumi.runtime.set_config(RISKS, json.dumps({"a/b/c": "because"}))

    assert load().settings == Settings.model_validate(SETTINGS)


def test_the_cluster_must_be_named() -> None:
    configure(SETTINGS, SECRETS, context=None)

    assert_says(reject(), "kubernetes:context", "so that the wrong cluster is never changed")


def test_an_error_cannot_command_the_terminal() -> None:
    configure({**SETTINGS, "na\x1b[1Ame": 1}, SECRETS)

    text = "\n".join(reject())

    assert "image-builds:settings.na\\x1b[1Ame: is an unknown key" in text
    assert "\x1b" not in text


def test_several_errors_are_listed_together() -> None:
    settings = change("gitlab.url: x, namespace: X, runners.main.concurrent: 0")
    configure(settings, SECRETS, context=None)

    lines = reject()

    assert lines[0].startswith("4 errors")
    assert len(lines) == 5


def test_what_is_left_out_gets_its_default() -> None:
    configure(SETTINGS, SECRETS)

    stack = load()

    assert stack.settings.runners["main"].strategy == Kaniko()
    assert stack.settings.runners["main"].concurrent == 10
    assert stack.settings.chart == Chart(version="0.94.1", repository="https://charts.gitlab.io")
    assert stack.settings.job_namespace("main") == "builds-main"
    assert stack.secrets.runner_tokens["main"].get_secret_value() == TOKEN
    assert TOKEN not in repr(stack.secrets)


def test_a_strategy_is_given_by_name_or_with_options() -> None:
    by_name = RunnerSettings.model_validate({"tags": ["x"], "strategy": "kaniko"})
    with_kind = RunnerSettings.model_validate({"tags": ["x"], "strategy": {"kind": "kaniko"}})

    assert by_name == with_kind


def test_a_quantity_may_be_a_number() -> None:
    given = Amounts.model_validate({"cpu": 2, "memory": "1.5Gi"})

    assert given == Amounts(cpu="2", memory="1.5Gi")


def test_good_certificates_and_a_kubeconfig_are_taken() -> None:
    changes = {
        "gitlab.caCertificates": CERTIFICATE,
        "registries": [{"host": "r:5000", "caCertificates": CERTIFICATE}],
        "runners.main.seccompProfile": "RuntimeDefault",
        "runners.main.registration": {
            "kind": "userRunner",
            "runnerType": "project_type",
            "projectId": 7,
        },
    }
    configure(replace_values(SETTINGS, changes), {}, context=None)
    pulumi.runtime.set_config("kubernetes:kubeconfig", "a kubeconfig")

    assert load().settings.registries[0].ca_certificates == CERTIFICATE
