"""No strategy: jobs that deploy and build nothing, with an account of their own.

They need no privilege, so their namespace is at restricted. They get no push login: what can
deploy an image need not be able to replace it.
"""

from components.config import Deploy
from components.strategies.plan import CLIENT, BuildPlan, Security


def plan(options: Deploy) -> BuildPlan:
    """Return the plan; jobs call ``kubectl`` and ``helm``, which find the account's token."""
    return BuildPlan(
        strategy=options.kind,
        image=options.image,
        pod_security="restricted",
        allow_privilege_escalation=False,
        build=Security(user=1000),
        account_token=True,
        rights=options.rights,
        resources=CLIENT,
        credentials_folder="",
        environment={},
    )
