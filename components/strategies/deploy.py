"""No strategy: jobs that deploy and build nothing, with a separate account.

They need no privilege, so their namespace is at restricted. They get no push login: what can
deploy an image need not be able to replace it.
"""

from typing import Annotated, ClassVar, Literal, final

from pydantic import Field

from components.bounds import CLIENT
from components.permissions import Permission
from components.plan import BuildPlan, Security
from components.site import Site
from components.strategies.shared import Forms, StrategyOptions
from components.types import DnsLabel, Image


@final
class Deploy(StrategyOptions):
    """Build nothing and run deployments, with the permissions in target namespaces that are listed.

    Anyone who can run a job has these permissions, so register the runner for protected branches.
    """

    kind: Literal["deploy"] = "deploy"
    """Selects this strategy."""
    image: Image = (
        "alpine/k8s:1.36.2@sha256:44ef4942e171939b9c665a4a84beb80e2dcdb9a24330d4651cfdfd2e9deecc47"
    )
    """The image of jobs that name none, pinned by a version or a digest. The default has `kubectl`
    and `helm`."""
    permissions: dict[DnsLabel, Annotated[list[Permission], Field(min_length=1)]] = Field(
        default_factory=dict[str, list[Permission]]
    )
    """What jobs may do, by target namespace; by default nothing. Security: an account that can
    create pods in a namespace can mount every Secret there (Kubernetes: RBAC good practices)."""

    forms: ClassVar[Forms] = {"deploy": {}}
    command: ClassVar[str] = ""

    def plan(self, site: Site) -> BuildPlan:  # noqa: ARG002 - any site will do
        """Return the plan; jobs call ``kubectl`` and ``helm``, which find the account's token."""
        return BuildPlan(
            strategy=self.kind,
            image=self.image,
            pod_security="restricted",
            allow_privilege_escalation=False,
            build=Security(user=1000),
            account_token=True,
            permissions=self.permissions,
            resources=CLIENT,
            credentials_folder="",
            environment={},
        )
