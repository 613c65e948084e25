"""Tools push with the login that a credential helper gets for the identity of a job."""

from collections.abc import Callable

import pytest

from components.gitlab_runner import cloud_logins
from dev.node.machine import HOST
from dev.node.node import Node
from dev.node.registry import LOGIN, USER
from tests.support.clouds import ROLE, TOKEN, clouds
from tests.support.node.jobs import Runner
from tests.support.node.project import FILES, TEMPLATES, pipeline, run_image

FILE = "/tmp/web-identity"  # noqa: S108 - a path in the job's own pod
# What the webhook of EKS gives a pod, whose cluster stands behind the token.
IDENTITY = f"(umask 077 && printf %s {TOKEN} >{FILE})\n"
NO_LOGIN = 'rm -f "$DOCKER_CONFIG/config.json"\n'


@pytest.mark.parametrize("name", ["buildah", "buildkit", "buildkit-service", "dind"])
def test_a_build_pushes_with_the_login_of_its_identity(
    name: str, node: Node, runner: Callable[..., Runner], tag: str
) -> None:
    """The registry stands in for ECR's, and asks for the login that the server gives.

    The job has no other: GitLab's own is left out where a helper is named.
    """
    found = runner(name)
    script = cloud_logins.shell({LOGIN.address: "aws"})
    found.table["pre_build_script"] += f"{NO_LOGIN}{IDENTITY}{script}"

    # A host that is not ECR's has its first part for a region.
    region = LOGIN.host.partition(".")[0]
    with clouds(HOST, f"{USER}:{node.registries.password}", region) as address:
        found.table["environment"] += [
            f"AWS_ROLE_ARN={ROLE}",
            f"AWS_WEB_IDENTITY_TOKEN_FILE={FILE}",
            f"AWS_ENDPOINT_URL_STS=http://{address}",
            f"AWS_ENDPOINT_URL_ECR=http://{address}",
        ]
        result = found.run(pipeline(TEMPLATES[name], name, tag, LOGIN, FILES))

    assert result.status == "success"
    assert run_image(node, f"{LOGIN.address}/{name}:{tag}", f"{name}-{tag}") == "hello\n"
