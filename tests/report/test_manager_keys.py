"""What a report says where keys of managers, identities, images and proxies change."""

import pytest

from tests.support.changes import Change
from tests.support.clouds import ECR
from tests.support.previews import preview_change

ROLE = "arn:aws:iam::123456789012:role/builds"
OTHER = {"aws": "arn:aws:iam::123456789012:role/admin"}
PROXY = "http://proxy.example.com:3128"
MADE = {"kind": "userRunner", "runnerType": "instance_type"}
IDENTITY = "runners.main.identity"

RAISED: dict[str, tuple[Change, str]] = {
    "identity of jobs": (
        Change(after={IDENTITY: {"jobs": {"aws": ROLE}}}),
        f"ServiceAccount builds-main/gitlab-job-main acts in the cloud as {ROLE}",
    ),
    "another identity of jobs": (
        Change(before={IDENTITY: {"jobs": {"aws": ROLE}}}, after={IDENTITY: {"jobs": OTHER}}),
        f"ServiceAccount builds-main/gitlab-job-main acts in the cloud as {OTHER['aws']}",
    ),
    "identity of managers": (
        Change(after={IDENTITY: {"manager": {"aws": ROLE}}}),
        f"ServiceAccount builds/gitlab-runner-main acts in the cloud as {ROLE}",
    ),
    "address to clone from": (
        Change(after={"gitlab.cloneUrl": "https://other.example.com"}),
        "runner main has clone_url = https://other.example.com",
    ),
    "mirror of GitLab's images": (
        Change(after={"chart.images": {"registry": "mirror.example.com/gitlab-org"}}),
        "the helper of runner main runs the image mirror.example.com/gitlab-org/gitlab-runner/",
    ),
    "proxy": (
        Change(after={"proxy": {"https": PROXY}}),
        f"each job of runner main has the variable HTTPS_PROXY={PROXY}",
    ),
    "metrics": (
        Change(after={"runners.main.manager": {"metrics": "annotations"}}),
        "allows ingress from pods of all namespaces but builds-main on port 9252",
    ),
    "variable of managers": (
        Change(after={"runners.main.manager": {"environment": {"GODEBUG": "x"}}}),
        "the release of runner main has other values for the chart",
    ),
    "budget that goes": (
        Change(
            before={"runners.main.manager": {"replicas": 2, "disruptionBudget": True}},
            after={"runners.main.manager": {"replicas": 2}},
        ),
        "PodDisruptionBudget builds/gitlab-runner-main",
    ),
    "login by identity": (
        Change(
            before={"runners.main.strategy": "buildah", IDENTITY: {"jobs": {"aws": ROLE}}},
            after={
                "runners.main.strategy": "buildah",
                IDENTITY: {"jobs": {"aws": ROLE}},
                "registries": [{"host": ECR, "identity": "aws"}],
            },
        ),
        "each job of runner main begins with another script",
    ),
}


@pytest.mark.parametrize("name", RAISED)
def test_what_raises_a_risk_is_reported(name: str) -> None:
    change, text = RAISED[name]

    report = preview_change(change)

    raised = [item.what for item in report.risk_changes if item.direction == "raised"]
    assert [what for what in raised if text in what], raised


def test_more_managers_run_more_jobs() -> None:
    report = preview_change(Change(after={"runners.main.manager": {"replicas": 3}}))

    assert "runner main runs up to 30 jobs at a time" in {it.what for it in report.risk_changes}


def test_what_gives_managers_more_raises_nothing() -> None:
    quiet = {
        "logFormat": "json",
        "terminationGracePeriod": 7200,
        "readinessProbe": {"periodSeconds": 90},
        "probeTimeoutSeconds": 9,
        "resources": {"limits": {"memory": "256Mi"}},
    }

    report = preview_change(Change(after={"runners.main.manager": quiet}))

    assert [item.what for item in report.risk_changes if item.direction == "raised"] == []
