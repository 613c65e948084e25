"""How a runner comes into GitLab: with the token of one that exists, or created by the stack."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic.alias_generators import to_camel

from components.types import DnsName, Model, named_kind


class TokenRegistration(Model):
    """Register a runner that exists in GitLab, with its token in `image-builds:runnerTokens`."""

    kind: Literal["token"] = "token"
    """Selects this registration. The token begins with `glrt-`."""


class SecretRegistration(Model):
    """Register a runner that exists in GitLab, with its token in a Secret that others keep.

    External Secrets, Sealed Secrets or Vault write it to the managers' namespace, with the keys
    `runner-token` and `runner-registration-token`, of which the second is empty. Managers wait for
    it, and a deployment for ten minutes. The stack neither reads nor changes it, so that its token
    is in no state.
    """

    kind: Literal["secret"]
    """Selects this registration."""
    name: DnsName
    """The name of the Secret. Managers read it when they start; they restart when it changes if
    the cluster has Stakater's Reloader, and otherwise by `kubectl rollout restart`."""


class UserRunner(Model):
    """Create the runner in GitLab, as a `gitlab.UserRunner` whose token the stack keeps.

    The GitLab provider needs a token that may create runners: `gitlab:token`.
    """

    kind: Literal["userRunner"]
    """Selects this registration."""
    runner_type: Literal["instance_type", "group_type", "project_type"]
    """Whose jobs the runner takes: those of the whole instance, of a group or of a project.
    Security: all who may run jobs there can use the runner."""
    group_id: int | None = Field(default=None, ge=1)
    """The number of the group, which `group_type` requires."""
    project_id: int | None = Field(default=None, ge=1)
    """The number of the project, which `project_type` requires."""
    protected: bool = False
    """Set `true` to take jobs of protected branches and tags only, as runners that deploy should,
    and those with an identity of the cloud. Security: without it, a job of any branch has what the
    runner gives to jobs."""
    locked: bool | None = None
    """With `true`, a runner of a project cannot be enabled for others; with `false` it can. It is
    for `project_type` alone. By default GitLab decides, and does not lock it. Security: unlocked,
    maintainers can enable it for projects whose jobs you do not know."""
    maximum_timeout: int | None = Field(default=None, ge=600)
    """The most seconds that a job may run, whatever its project or the job says; by default only
    they limit it."""
    run_untagged: bool = False
    """Set `true` to take jobs without tags too. By default a job must ask for the runner by a tag,
    so that no job builds here by chance."""

    @model_validator(mode="after")
    def _owner_fits_type(self) -> Self:
        owners = {"group_type": "group_id", "project_type": "project_id"}
        wanted = owners.get(self.runner_type)
        for key in ("group_id", "project_id"):
            if (getattr(self, key) is not None) != (key == wanted):
                rule = "must have" if key == wanted else "must not have"
                action = "add it" if key == wanted else "remove it"
                message = f"{rule} {to_camel(key)} with runnerType {self.runner_type}; {action}"
                raise ValueError(message)
        if self.locked is not None and self.runner_type != "project_type":
            message = (
                f"must not have locked with runnerType {self.runner_type}, since only the runner "
                "of a project can be enabled for others; remove it"
            )
            raise ValueError(message)
        return self


_Given = Annotated[TokenRegistration | SecretRegistration | UserRunner, Field(discriminator="kind")]
AnyRegistration = Annotated[
    _Given, BeforeValidator(named_kind, json_schema_input_type=_Given | Literal["token"])
]
"""A registration as a stack file says it: an object with ``kind``, or ``token`` alone."""
