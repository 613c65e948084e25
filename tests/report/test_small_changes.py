"""What a report says of changes that are small, each at its weight."""

from typing import Any

import pytest

from report.model import RiskChange
from tests.support.changes import FOUR_RUNNERS, Change
from tests.support.configured import CERTIFICATE
from tests.support.previews import preview_change
from tests.support.risks import RELEASE_KIND, changes_of, item, runner

SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "job namespace": (
        {},
        {"runners.main.jobNamespace": "elsewhere"},
        ["raised, minor: jobs of runner main move to the namespace elsewhere"],
    ),
    "namespace": (
        {},
        {"namespace": "elsewhere"},
        [
            "raised, minor: jobs of runner main move to the namespace elsewhere-main",
            "raised, minor: managers move to the namespace elsewhere",
        ],
    ),
    "option of the resolver": (
        {"runners.main.dns": {"options": {"ndots": 1}}},
        {"runners.main.dns": {"options": {"ndots": 1, "use-vc": None}}},
        ["raised, minor: the job pod of runner main has other settings"],
    ),
    "no option of the resolver": (
        {"runners.main.dns": {"options": {"ndots": 1}}},
        {},
        ["raised, minor: the job pod of runner main has other settings"],
    ),
    "tag": (
        {"runners.main.tags": ["a", "b"]},
        {"runners.main.tags": ["b", "c"]},
        [
            "raised, info: the stack file gives runner main the tag c",
            "lowered, info: the stack file no longer gives runner main the tag a",
        ],
    ),
}


def _said(found: tuple[RiskChange, ...]) -> list[str]:
    return [f"{it.direction}, {it.severity}: {it.what}" for it in found]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_change_of_settings_is_told_at_its_weight(name: str) -> None:
    before, after, lines = SETTINGS[name]

    found = _said(preview_change(Change(before=before, after=after)).risk_changes)

    assert [line.partition(" (digest")[0] for line in found] == lines


@pytest.mark.parametrize("kind", ["ConfigMap", "PersistentVolumeClaim", "Secret", "ServiceAccount"])
def test_an_object_that_does_nothing_by_itself_is_told(kind: str) -> None:
    new = item(kind, automountServiceAccountToken=False)

    assert _said(changes_of(None, new)) == [f"raised, info: {kind} ns/x is new in namespace ns"]
    assert _said(changes_of(new, new)) == []


def test_what_a_runner_brings_along_is_not_told() -> None:
    more = {"tags": ["more"], "strategy": "kaniko"}

    report = preview_change(Change(after={"runners.more": more}), FOUR_RUNNERS)

    assert _said(report.risk_changes) == []


def _polling(requests: int | None) -> dict[str, Any]:
    found = runner({"request_concurrency": requests} if requests else None)
    return {**found, "values": {**found["values"], "concurrent": 10}}


def test_a_manager_that_asks_for_more_or_fewer_jobs_is_told() -> None:
    """The stack has four requests at a time where a runner has as many jobs."""
    for requests in (1, None, 100):
        found = changes_of(_polling(4), _polling(requests), RELEASE_KIND)

        assert _said(found) == [
            "raised, minor: the polling of runner main has other settings "
            f"(it asks for {requests or 1} jobs at once)"
        ]
        assert _said(changes_of(_polling(requests), _polling(4), RELEASE_KIND)) == []


def test_other_ports_of_a_service_are_told() -> None:
    old, new = (
        item(
            "Service", spec={"selector": {"a": "b"}, "ports": [{"port": 1234, "targetPort": port}]}
        )
        for port in (1234, 9999)
    )

    (found,) = _said(changes_of(old, new))

    assert found.startswith("raised, major: Service ns/x leads to other pods or ports")


def test_certificates_that_are_no_longer_trusted_are_told() -> None:
    change = Change(before={"gitlab.caCertificates": CERTIFICATE})

    found = [it.what for it in preview_change(change).risk_changes if it.direction == "lowered"]

    assert [what for what in found if what.startswith("connections no longer trust the cert")]
