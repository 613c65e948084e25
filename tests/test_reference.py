"""The reference page says of each key what it takes, with an example, and what it weakens."""

import json
import re
from collections.abc import Mapping
from typing import Any, get_args

import pytest

from components.gitlab_runner import charts
from components.gitlab_runner.archive import digest_of
from components.settings.load import load
from dev.generate.examples import CERTIFICATES, settings
from dev.paths import STAND_IN_CHART
from tests.support.configured import CERTIFICATE, configure
from tests.support.schema import keys

EXAMPLES = settings()


def _descriptions() -> Mapping[str, str]:
    return {key: value.get("description", "") for key, value in keys().items()}


LOGIN = {"username": "builds", "password": "PlantedPassword"}
CACHES = {
    "minio": {"accessKey": "id", "secretKey": "PlantedKey"},
    "gcs": {"keyFile": '{"private_key": "PlantedKey"}'},
    "azure": {"accountKey": "PlantedKey"},
}
WEAKENS = re.compile(
    r"privileged|root on|anyone|everyone|so they must not be secret|readable|stand in for|"
    r"can read|permissions",
    re.IGNORECASE,
)
"""What says that a key weakens something, or for whom."""
EXPLAINED = {"Cluster.platform", "Cluster.privilegedAllowlist"}
"""Keys of which it says what a platform rejects."""
SINCE = {
    "liveness_switch": "Manager.livenessProbe",
    "pod_disruption_budget": "RunnerSettings.podDisruptionBudget",
    "pod_resources": "Resources.pod",
    "security_profiles": "RunnerSettings.seccompProfile",
}
"""The key for each part of later charts."""


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_program_accepts_the_examples(number: int) -> None:
    text = json.dumps(EXAMPLES[number]).replace(f'"{CERTIFICATES}"', json.dumps(CERTIFICATE))
    content: dict[str, Any] = json.loads(text)
    with_token = [
        name
        for name, runner in content["runners"].items()
        if runner.get("registration", "token") == "token"
    ]
    secrets: dict[str, Any] = {
        "runnerTokens": {name: f"glrt-PlantedToken-{name}" for name in with_token}
    }
    if number == 0:
        secrets |= {"registryCredentials": dict.fromkeys(("mirror", "site"), LOGIN)}
        secrets |= {"cacheCredentials": CACHES}
    if "archive" in content.get("chart", {}):
        digest = digest_of(STAND_IN_CHART)
        content["chart"] |= {"archive": str(STAND_IN_CHART), "digest": digest}
    configure(content, secrets)

    assert set(load().settings.runners) == set(content["runners"])


def test_a_key_says_apart_what_it_weakens() -> None:
    for key, text in _descriptions().items():
        meaning, _, security = text.partition(" Security: ")
        assert meaning, key
        assert "Security:" not in meaning, key
        assert security or not WEAKENS.search(meaning) or key in EXPLAINED, key


@pytest.mark.parametrize("feature", get_args(charts.Feature))
def test_a_key_of_later_charts_names_the_first(feature: charts.Feature) -> None:
    assert f"chart {charts.since(feature)}" in _descriptions()[SINCE[feature]]
