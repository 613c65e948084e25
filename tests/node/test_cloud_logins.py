"""Tools push with the login that a credential helper gets for the identity of a job."""

from collections.abc import Callable

import pytest

from components.gitlab_runner import cloud_logins
from dev.node.machine import HOST
from dev.node.node import Node
from dev.node.registry import LOGIN, OF_CLOUDS
from tests.support.clouds import CLIENT, ROLE, TENANT, TOKEN, clouds
from tests.support.node.jobs import Runner
from tests.support.node.project import FILES, TEMPLATES, pipeline, run_image

FILE = "/tmp/web-identity"  # noqa: S108 - a path in the job's own pod
# What the webhooks of EKS and AKS give a pod, whose cluster stands behind the token.
IDENTITY = f"(umask 077 && printf %s {TOKEN} >{FILE})\n"
NO_LOGIN = 'rm -f "$DOCKER_CONFIG/config.json"\n'
# A host that is not ECR's has its first part for a region.
REGION = LOGIN.host.partition(".")[0]


def _variables(address: str) -> list[str]:
    return [
        f"AWS_ROLE_ARN={ROLE}",
        f"AWS_WEB_IDENTITY_TOKEN_FILE={FILE}",
        f"AWS_ENDPOINT_URL_STS=http://{address}",
        f"AWS_ENDPOINT_URL_ECR=http://{address}",
        f"AZURE_AUTHORITY_HOST=http://{address}/",
        f"AZURE_CLIENT_ID={CLIENT}",
        f"AZURE_FEDERATED_TOKEN_FILE={FILE}",
        f"AZURE_TENANT_ID={TENANT}",
        f"GCE_METADATA_HOST={address}",
    ]


@pytest.mark.parametrize(
    ("name", "cloud"),
    [
        ("buildah", "aws"),
        ("buildkit", "aws"),
        ("buildkit-service", "aws"),
        ("dind", "aws"),
        ("buildah", "google"),
        ("buildkit", "azure"),
    ],
)
def test_a_build_pushes_with_the_login_of_its_identity(
    name: str, cloud: str, node: Node, runner: Callable[..., Runner], tag: str
) -> None:
    """The registry stands in for the cloud's, and asks for the login that the servers give.

    The job has no other: GitLab's own is left out where a helper is named.
    """
    found, password = runner(name), node.registries.password
    login = f"{OF_CLOUDS['aws']}:{password}"

    with clouds(
        HOST, login=login, region=REGION, token=password, registry=LOGIN.address
    ) as address:
        script = cloud_logins.shell({LOGIN.address: cloud})
        # The registry of these tests does not exchange tokens itself, as ACR does.
        script = script.replace("https://$registry/oauth2", f"http://{address}/oauth2")
        found.table["pre_build_script"] += f"{NO_LOGIN}{IDENTITY}{script}"
        found.table["environment"] += _variables(address)
        result = found.run(pipeline(TEMPLATES[name], name, tag, LOGIN, FILES))

    assert result.status == "success"
    assert run_image(node, f"{LOGIN.address}/{name}:{tag}", f"{name}-{cloud}-{tag}") == "hello\n"
