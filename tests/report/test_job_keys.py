"""What a report says where the keys of a runner about its jobs' pods change."""

from typing import Any

import pytest

from tests.support.risks import changes_of, changes_of_jobs, lines, patched, pod, runner

POD = "the job pod of runner main"
ROLE = "node-role.kubernetes.io/control-plane"


def _nodes(*expressions: dict[str, Any], preferred: bool = False) -> dict[str, Any]:
    """Return a node affinity of config.toml."""
    terms = [{"match_expressions": [expression]} for expression in expressions]
    key = "ferred" if preferred else "quired"
    rule: Any = {"node_selector_terms": terms}
    if preferred:
        rule = [{"weight": 1, "preference": term} for term in terms]
    suffix = "during_scheduling_ignored_during_execution"
    name = f"{'pre' if preferred else 're'}{key}_{suffix}"
    return {"affinity": {"node_affinity": {name: rule}}}


IN = {"key": "pool", "operator": "In", "values": ["ci", "spare"]}
OFF = {"key": ROLE, "operator": "DoesNotExist"}
ON = {"key": ROLE, "operator": "Exists"}
SPREAD = {
    "affinity": {
        "pod_anti_affinity": {
            "preferred_during_scheduling_ignored_during_execution": [
                {"weight": 100, "pod_affinity_term": {"topology_key": "kubernetes.io/hostname"}}
            ]
        }
    }
}


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (_nodes(IN), {}, f"{POD} no longer runs on nodes with pool In ci,spare alone"),
        (_nodes(OFF), {}, f"{POD} no longer runs on nodes with {ROLE} DoesNotExist alone"),
        ({}, _nodes(ON), f"{POD} may run on nodes of the control plane ({ROLE})"),
        ({}, _nodes(ON, preferred=True), f"{POD} may run on nodes of the control plane ({ROLE})"),
        (
            {},
            {"dns_config": {"searches": ["a.example"]}},
            f"{POD} resolves short names in a.example",
        ),
        (
            {},
            {"dns_policy": "none", "dns_config": {"nameservers": ["192.0.2.1"]}},
            f"{POD} resolves names by 192.0.2.1",
        ),
        ({}, {"dns_policy": "default"}, f"{POD} resolves names by the resolvers of the node"),
        (
            {},
            {"host_aliases": [{"ip": "192.0.2.7", "hostnames": ["git"]}]},
            f"{POD} resolves git as 192.0.2.7",
        ),
        (
            {"allowed_services": ["a"]},
            {"allowed_services": ["a", "b"]},
            "a service of a job of runner main may run b",
        ),
        (
            {"allowed_images": ["a"]},
            {"allowed_images": ["a", "b"]},
            "a job of runner main may run b",
        ),
        ({}, {"volumes": {"secret": [{"name": "s"}]}}, f"{POD} can read the Secret s"),
        (
            {},
            {"volumes": {"pvc": [{"name": "c"}]}},
            f"{POD} mounts persistentVolumeClaim claimName: c",
        ),
    ],
)
def test_what_jobs_gain_is_a_raised_risk(
    before: dict[str, Any], after: dict[str, Any], line: str
) -> None:
    found = changes_of_jobs(runner(**before), runner(**after))

    assert lines(found) == [f"raised: {line}"]


@pytest.mark.parametrize(
    "after", [SPREAD, {"poll_timeout": 60}, _nodes(IN, OFF), _nodes(IN, preferred=True)]
)
def test_what_gives_jobs_nothing_is_no_risk(after: dict[str, Any]) -> None:
    assert changes_of_jobs(runner(), runner(**after)) == ()


S3: dict[str, Any] = {"Type": "s3", "s3": {"BucketName": "a"}}
MINIO: dict[str, Any] = {"Type": "s3", "s3": {"BucketName": "a", "ServerAddress": "minio:9000"}}


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (S3, MINIO, "raised: runner main keeps the caches of jobs in minio:9000/a"),
        (MINIO, S3, "raised: runner main keeps the caches of jobs in s3.amazonaws.com/a"),
        (
            S3,
            {"Type": "gcs", "Path": "b", "gcs": {"BucketName": "a"}},
            "raised: runner main keeps the caches of jobs in gs://a/b",
        ),
        (
            S3,
            {"Type": "azure", "azure": {"AccountName": "a", "ContainerName": "b"}},
            "raised: runner main keeps the caches of jobs in a/b in Azure",
        ),
        (S3, {"Type": "swift"}, "raised: runner main keeps the caches of jobs in swift"),
        (
            S3,
            {**S3, "Shared": True},
            "raised: runner main shares its caches with others of the same bucket",
        ),
        (
            {**S3, "Shared": True},
            S3,
            "lowered: runner main no longer shares its caches with others of the same bucket",
        ),
        (
            S3,
            {"Type": "s3", "s3": {"BucketName": "a", "RoleARN": "x"}},
            'raised: config.toml of runner main has the extra key RoleARN = "x", which may change '
            "what jobs may do in the cloud",
        ),
    ],
)
def test_where_caches_are_kept_is_a_risk(
    before: dict[str, Any], after: dict[str, Any], line: str
) -> None:
    assert lines(changes_of_jobs(runner({"cache": before}), runner({"cache": after}))) == [line]


def test_a_first_cache_is_a_risk_and_its_end_is_not() -> None:
    """Without one, nobody changes what jobs take."""
    (found,) = changes_of_jobs(runner(), runner({"cache": S3}))

    assert found.what == "runner main keeps the caches of jobs in s3.amazonaws.com/a"
    assert changes_of_jobs(runner({"cache": S3}), runner()) == ()


def test_another_log_limit_is_no_risk() -> None:
    assert changes_of_jobs(runner(), runner({"output_limit": 20480})) == ()


def test_a_pod_beside_others_is_not_known() -> None:
    """Only what draws it to nodes, and away from other pods, is."""
    beside = {"podAffinity": {"x": 1}}

    (found,) = changes_of(pod(), pod(affinity=beside))

    assert found.what == 'Pod ns/x has podAffinity = {"x": 1}, of which no rule knows'


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (
            runner(),
            runner(scheduler_name="mine"),
            'has the extra key scheduler_name = "mine", which may change which nodes jobs get',
        ),
        (
            runner(),
            runner({"feature_flags": {"FF_TIMESTAMPS": True}}),
            "has the extra key FF_TIMESTAMPS = true, which may change how jobs run, and what",
        ),
        (
            runner(),
            runner({"shell": "pwsh"}),
            'has the extra key shell = "pwsh", which may change how the scripts of jobs run',
        ),
        (
            runner(),
            runner(poll_interval=5),
            "has the extra key poll_interval = 5, which may change how long requests and pods last",
        ),
        (runner(), runner(new_key=5), "has new_key = 5, of which no rule knows"),
        (runner({"new_key": 1}), runner({"new_key": 2}), "has new_key = 2, of which no rule knows"),
    ],
)
def test_an_extra_key_is_a_risk_with_what_it_may_weaken(
    before: dict[str, Any], after: dict[str, Any], line: str
) -> None:
    (found,) = changes_of_jobs(before, after)

    assert found.what.startswith(f"config.toml of runner main {line}")


def test_an_extra_key_that_goes_lowers_the_risk() -> None:
    (found,) = changes_of_jobs(runner(poll_interval=5), runner())

    assert (found.direction, found.severity) == ("lowered", "major")


def test_a_device_of_a_node_is_a_risk() -> None:
    patch = {"containers": [{"name": "build", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}

    (found,) = changes_of_jobs(patched({"containers": [{"name": "build"}]}), patched(patch))

    assert found.what.startswith("the build container of runner main gets the device nvidia.com")
