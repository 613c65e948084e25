"""No strategy: jobs that deploy and build nothing, with an account of their own.

They need no privilege, so their namespace is at restricted. They get no push login: what can
deploy an image need not be able to replace it.
"""

from typing import Annotated, ClassVar, Literal, final

from pydantic import Field

from components.plan import BuildPlan, Security
from components.site import Permission, Site
from components.strategies.shared import CLIENT, Forms, StrategyOptions
from components.types import DnsLabel, Image


@final
class Deploy(StrategyOptions):
    """Build nothing: run deployments, with the rights in target namespaces that are listed.

    The image has ``kubectl`` and ``helm``. Anyone who can run a job has these rights, and who may
    make pods in a namespace can mount every Secret there (kubernetes/website:
    content/en/docs/concepts/security/rbac-good-practices.md).
    """

    kind: Literal["deploy"] = "deploy"
    image: Image = (
        "alpine/k8s:1.34.1@sha256:ec714df3813b5405292860f8a1c55c5727bf8c33c88992f1e981efad8065547f"
    )
    permissions: dict[DnsLabel, Annotated[list[Permission], Field(min_length=1)]] = Field(
        default_factory=dict[str, list[Permission]],
    )

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
