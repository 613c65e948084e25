"""As whom managers and jobs act in a cloud, without a stored key."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from components.types import Model

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+")
_ACCOUNT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z0-9.:-]+\.iam\.gserviceaccount\.com")
_CLIENT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _role(value: str) -> str:
    return _checked(_ROLE, value, "the ARN of a role: arn:aws:iam::123456789012:role/name")


def _account(value: str) -> str:
    return _checked(_ACCOUNT, value, "a service account: name@project.iam.gserviceaccount.com")


def _client(value: str) -> str:
    return _checked(_CLIENT, value, "a client ID: a UUID in lowercase")


def _checked(pattern: re.Pattern[str], value: str, what: str) -> str:
    if not pattern.fullmatch(value):
        message = f"must be {what}; correct it"
        raise ValueError(message)
    return value


class CloudIdentity(Model):
    """An identity of one cloud, for which the cluster exchanges the token of an account.

    The cloud must trust the account of the cluster, by its namespace and name: managers are
    `gitlab-runner-<runner>` in the managers' namespace, jobs `gitlab-job-<runner>` in theirs.
    """

    aws: Annotated[str, AfterValidator(_role)] | None = None
    """The ARN of an IAM role (EKS: IAM roles for service accounts)."""
    google: Annotated[str, AfterValidator(_account)] | None = None
    """The email address of a Google service account (GKE: Workload Identity Federation). Pods get
    its tokens from the metadata server, so it needs `network.egress.metadata: true`."""
    azure: Annotated[str, AfterValidator(_client)] | None = None
    """The client ID of a managed identity or an application (AKS: Workload ID)."""

    @model_validator(mode="after")
    def _is_of_one_cloud(self) -> Self:
        if len(self.model_dump(exclude_none=True)) != 1:
            message = "must have exactly one of aws, google and azure; keep the one of the cluster"
            raise ValueError(message)
        return self

    @property
    def annotations(self) -> dict[str, str]:
        """What the cluster reads of an account."""
        pairs = {
            "eks.amazonaws.com/role-arn": self.aws,
            "iam.gke.io/gcp-service-account": self.google,
            "azure.workload.identity/client-id": self.azure,
        }
        return {key: value for key, value in pairs.items() if value}

    @property
    def labels(self) -> dict[str, str]:
        """What the cluster reads of a pod."""
        return {"azure.workload.identity/use": "true"} if self.azure else {}


class Identity(Model):
    """As whom the runner acts in a cloud."""

    manager: CloudIdentity | None = None
    """The identity of managers, for example to reach a cache. Security: jobs do not get it."""
    jobs: CloudIdentity | None = None
    """The identity of jobs, for example to push to a registry of the cloud. Security: anyone who
    can run a job has it, so let the runner take jobs of protected branches only, and give it no
    more than jobs need."""
