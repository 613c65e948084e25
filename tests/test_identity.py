"""As whom managers and jobs act in a cloud: marks of their accounts and pods."""

from typing import Any

import pytest

from components.arguments import warnings
from components.settings.load import load
from tests.support.configured import SECRETS, SETTINGS, configure, replace_values
from tests.support.managers import deployed, of_kind, values_of
from tests.support.rejections import assert_rejected, change

ACCOUNT = "kubernetes:core/v1:ServiceAccount"
ROLE = "arn:aws:iam::123456789012:role/builds"
GOOGLE = "builds@project-1.iam.gserviceaccount.com"
CLIENT = "01234567-89ab-cdef-0123-456789abcdef"
OPEN: dict[str, Any] = {"network": {"egress": {"metadata": True}}}
KEYS = {
    "aws": (ROLE, "eks.amazonaws.com/role-arn"),
    "google": (GOOGLE, "iam.gke.io/gcp-service-account"),
    "azure": (CLIENT, "azure.workload.identity/client-id"),
}


def _accounts(identity: dict[str, Any]) -> dict[str, object]:
    registered = deployed({**OPEN, "runners.main.identity": identity})
    return {
        item["metadata"]["name"]: item["metadata"].get("annotations")
        for item in of_kind(registered, ACCOUNT)
    }


@pytest.mark.parametrize("cloud", KEYS)
def test_an_account_has_the_annotation_of_its_cloud(cloud: str) -> None:
    value, annotation = KEYS[cloud]

    assert _accounts({"jobs": {cloud: value}}) == {
        "gitlab-runner-main": None,
        "gitlab-job-main": {annotation: value},
    }
    assert _accounts({"manager": {cloud: value}}) == {
        "gitlab-runner-main": {annotation: value},
        "gitlab-job-main": None,
    }


def test_an_account_of_protected_branches_says_so() -> None:
    registered = deployed(
        {
            "runners.main.identity": {"jobs": {"aws": ROLE}},
            "runners.main.registration": {
                "kind": "userRunner",
                "runnerType": "instance_type",
                "protected": True,
            },
        },
        {**SECRETS, "runnerTokens": {}},
    )

    annotations = [item["metadata"].get("annotations") for item in of_kind(registered, ACCOUNT)]
    assert annotations == [
        None,
        {"eks.amazonaws.com/role-arn": ROLE, "image-builds/protected": "true"},
    ]


def test_azure_wants_a_label_of_the_pods_too() -> None:
    identity = {"manager": {"azure": CLIENT}, "jobs": {"azure": CLIENT}}

    values = values_of({"runners.main.identity": identity})

    assert values["podLabels"] == {"azure.workload.identity/use": "true"}
    wanted = '[runners.kubernetes.pod_labels]\n"azure.workload.identity/use" = "true"'
    assert wanted in values["runners"]["config"]


def test_other_clouds_want_no_label() -> None:
    values = values_of({"runners.main.identity": {"jobs": {"aws": ROLE}, "manager": {"aws": ROLE}}})

    assert "podLabels" not in values
    assert "pod_labels" not in values["runners"]["config"]


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("{aws: 'role/builds'}", ".aws", "must be the ARN of a role"),
        ("{google: builds@example.com}", ".google", "must be a service account"),
        ("{azure: builds}", ".azure", "must be a client ID"),
        ("{}", "", "must have exactly one of aws, google and azure"),
        (f"{{aws: '{ROLE}', azure: '{CLIENT}'}}", "", "must have exactly one of"),
        (f"{{google: {GOOGLE}}}", ".google", "set network.egress.metadata: true"),
    ],
)
def test_an_identity_is_checked(text: str, key: str, advice: str) -> None:
    path = "runners.main.identity.jobs"

    assert_rejected(change(f"{path}: {text}"), f"{path}{key}", advice)


@pytest.mark.parametrize(
    ("registration", "warned"),
    [
        ("token", True),
        ({"kind": "userRunner", "runnerType": "instance_type"}, True),
        ({"kind": "userRunner", "runnerType": "instance_type", "protected": True}, False),
    ],
    ids=["of a token", "for all branches", "protected"],
)
def test_who_runs_jobs_has_their_identity(registration: object, *, warned: bool) -> None:
    changes = {
        "runners.main.identity": {"jobs": {"aws": ROLE}},
        "runners.main.registration": registration,
    }
    tokens: dict[str, str] = SECRETS["runnerTokens"] if registration == "token" else {}
    configure(replace_values(SETTINGS, changes), {**SECRETS, "runnerTokens": tokens})

    lines = [line for line in warnings(load()) if f"acts in the cloud as {ROLE}" in line]

    assert bool(lines) == warned
