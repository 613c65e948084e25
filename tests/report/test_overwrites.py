"""What a report says of amounts that jobs may ask for: how much more they may use, and no more."""

import pytest

from tests.support.risks import changes_of_jobs, lines, runner


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("", "the build container of runner main"),
        ("helper_", "the helper of runner main"),
        ("service_", "a service that a job of runner main names"),
    ],
)
def test_a_maximum_above_the_limit_is_more_memory(prefix: str, name: str) -> None:
    limit = {f"{prefix}memory_limit": "1Gi"}
    maximum = {f"{prefix}memory_limit_overwrite_max_allowed": "64Gi"}

    found = changes_of_jobs(runner(None, **limit), runner(None, **limit, **maximum))

    assert lines(found) == [f"raised: {name} may use 64Gi of memory"]
    assert [change.severity for change in found] == ["minor"]


def test_a_maximum_of_what_has_no_limit_changes_nothing() -> None:
    maximum = {"memory_limit_overwrite_max_allowed": "64Gi"}

    assert changes_of_jobs(runner(), runner(None, **maximum)) == ()


@pytest.mark.parametrize("resource", ["cpu", "ephemeral_storage"])
def test_a_bounded_request_is_no_risk(resource: str) -> None:
    own = {f"{resource}_request": "1"}
    maximum = {f"{resource}_request_overwrite_max_allowed": "2"}

    assert changes_of_jobs(runner(None, **own), runner(None, **own, **maximum)) == ()


@pytest.mark.parametrize("also", ["if-not-present", "never"])
def test_a_policy_that_jobs_may_choose_finds_images_of_others(also: str) -> None:
    always = {"pull_policy": ["always"], "allowed_pull_policies": ["always"]}

    found = changes_of_jobs(
        runner(None, **always),
        runner(None, **{**always, "allowed_pull_policies": ["always", also]}),
    )

    assert lines(found) == [
        "raised: a job of runner main may run private images that its node has, without a login"
    ]
