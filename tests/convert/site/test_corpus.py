"""Public deployments, written out with neutral values and imported."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from components.settings.models import Settings
from convert.site.importer import Imported
from convert.site.model import KeyFinding
from convert.site.rules import GLOBAL, RUNNER, VALUES
from tests.support.sites import DEPLOYMENTS, Deployment, imported, write

KEPT = {"taken", "asks", "product", "extra"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Imported]:
    """What becomes of each deployment; none of its files has an error."""
    folder = tmp_path_factory.mktemp("sites")
    found: dict[str, Imported] = {}
    for deployment in DEPLOYMENTS:
        sources, result = imported(write(deployment, folder / deployment.id))
        assert not [problem for problem in sources.problems if problem.fatal]
        found[deployment.id] = result
    return found


def _about(key: str, findings: Sequence[KeyFinding]) -> list[KeyFinding]:
    """Return the findings for a key of the file, or for what it is a part of."""
    place, _, path = key.replace("[]", "").partition(": ")
    path = re.sub(r"[./]\*$", "", path)
    in_config = place != "values"

    def fits(finding: KeyFinding) -> bool:
        if in_config != (finding.file.endswith((".toml", "runners.config"))):
            return False
        own = finding.path.partition("[")[0]
        return own == path or own.startswith(f"{path}.") or path.startswith(f"{own}.")

    return list(filter(fits, findings))


def lost(deployment: Deployment, found: Imported) -> dict[str, str]:
    """Return the keys that a deployment set and loses, with their class.

    A key that is off says nothing; one that the product does itself (S) has no need of it.
    """
    result: dict[str, str] = {}
    for key, kind in deployment.classes.items():
        findings = _about(key, found.findings)
        kept = any(finding.outcome in KEPT for finding in findings)
        off = not findings and deployment.examples[key].lower() in {"false", "0"}
        # Another key that says the same counts.
        kept |= any(finding.outcome == "unknown" and finding.keys for finding in findings)
        if not (kept or off or kind in {"R", "S"}):
            result[key] = kind
    return result


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment.id)
def test_what_is_written_passes_the_programs_own_checks(
    deployment: Deployment, results: Mapping[str, Imported]
) -> None:
    assert results[deployment.id].errors == []


def test_97_of_100_deployments_can_move(results: Mapping[str, Imported]) -> None:
    blocked = {
        deployment.id
        for deployment in DEPLOYMENTS
        if "M1" in lost(deployment, results[deployment.id]).values()
    }

    assert len(blocked) <= 0.03 * len(DEPLOYMENTS)


def test_95_of_100_deployments_lose_nothing(results: Mapping[str, Imported]) -> None:
    losing = {
        deployment.id: found
        for deployment in DEPLOYMENTS
        if (found := lost(deployment, results[deployment.id]))
    }

    assert len(losing) <= 0.05 * len(DEPLOYMENTS), losing


SCHEMA = Settings.model_json_schema()


def known(key: str) -> bool:
    """Whether the stack file has a key, such as ``runners.*.cache.bucket``."""
    places: list[Mapping[str, Any]] = [SCHEMA]
    for part in key.removesuffix("[]").split("."):
        name = part.removesuffix("[]")
        below = [
            place.get("properties", {}).get(name) or place.get("additionalProperties")
            for place in _expanded(places)
        ]
        places = [place for place in below if isinstance(place, dict)]
        if part.endswith("[]"):
            lists = [place.get("items") for place in _expanded(places)]
            places = [place for place in lists if isinstance(place, dict)]
    return bool(places)


def _expanded(places: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for place in places:
        if "$ref" in place:
            yield from _expanded([SCHEMA["$defs"][place["$ref"].rpartition("/")[2]]])
        elif chosen := place.get("oneOf") or place.get("anyOf"):
            yield from _expanded(chosen)
        else:
            yield place


RULES = [rule for rules in (VALUES, GLOBAL, RUNNER) for rule in rules.values()]
SECRETS = {"runnerTokens", "cacheCredentials", "registryCredentials"}
"""The keys beside the settings."""


@pytest.mark.parametrize("key", sorted({key for rule in RULES for key in rule.keys}))
def test_what_a_rule_promises_is_a_key_of_the_stack_file(key: str) -> None:
    assert known(key) or key.split(".", maxsplit=1)[0] in SECRETS


def test_a_rule_says_what_becomes_of_a_key() -> None:
    assert [rule.path for rule in RULES if not (rule.keys or rule.says)] == []
