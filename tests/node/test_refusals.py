"""What must not work, and what the trace says of it."""

from collections.abc import Callable

import pytest
from kubernetes import client

from tests.node.jobs import Pipeline, Runner
from tests.node.test_builds import TEMPLATES, pipeline
from tools.node.node import Node
from tools.node.registry import LOGIN

NO_LOGIN = {
    "kaniko": "error checking push permissions",
    "buildkit": "401 Unauthorized",
    "buildah": "authentication required",
    "dind": "no basic auth credentials",
}
"""A strategy, and what its tool says where a login is missing."""


@pytest.mark.parametrize("name", NO_LOGIN)
def test_a_push_without_the_login_fails_and_says_so(
    name: str,
    runner: Callable[[str], Runner],
    tag: str,
) -> None:
    job = pipeline(TEMPLATES[name], name, tag, LOGIN, cache="false")
    without = Pipeline(
        script=["echo '{}' > $DOCKER_CONFIG/config.json", *job.script],
        # Nothing is pulled, so that the push is what fails.
        files={"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"},
        image=job.image,
        variables=job.variables,
    )

    result = runner(name).run(without)

    assert result.status == "failed"
    assert NO_LOGIN[name] in result.trace


@pytest.mark.parametrize(("name", "level"), [("kaniko", "restricted"), ("buildkit", "baseline")])
def test_a_stricter_namespace_refuses_the_jobs_pod(
    name: str,
    level: str,
    node: Node,
    runner: Callable[[str], Runner],
) -> None:
    found = runner(name)
    label = "pod-security.kubernetes.io/enforce"
    with node.cluster.api() as api:
        core = client.CoreV1Api(api)
        before = core.read_namespace(found.namespace).metadata.labels[label]
        core.patch_namespace(found.namespace, {"metadata": {"labels": {label: level}}})
        try:
            result = found.run(Pipeline(script=["true"], files={}))
        finally:
            core.patch_namespace(found.namespace, {"metadata": {"labels": {label: before}}})

    assert result.status == "system failure"
    assert f'violates PodSecurity \\"{level}:latest\\"' in result.trace


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        # containerd 2.0 is the first that makes user namespaces for pods.
        ("buildkit-rootful", "user namespace"),
        ("buildkit-profiles", "AppArmor"),
    ],
)
def test_what_the_node_has_not_ends_the_job_with_its_name(
    name: str,
    reason: str,
    runner: Callable[[str], Runner],
) -> None:
    result = runner(name).run(Pipeline(script=["true"], files={}))

    assert result.status == "system failure"
    assert reason in result.trace


def test_a_dood_job_on_a_node_without_an_engine_says_that_it_cannot_connect(
    node: Node,
    runner: Callable[[str], Runner],
    tag: str,
) -> None:
    node.stop_docker()
    try:
        result = runner("dood").run(pipeline("dood", "dood", tag, LOGIN))
    finally:
        node.start_docker()

    assert result.status == "failed"
    assert "Cannot connect to the Docker daemon at unix:///var/run/docker.sock" in result.trace
