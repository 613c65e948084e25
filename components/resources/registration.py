"""A runner's authentication token: given, or that of a runner which the stack makes in GitLab.

The runner is made without expiry of its token. ``gitlab.UserRunner`` is authorised by the
GitLab provider's own config (``gitlab:token``, ``gitlab:baseUrl``).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

import pulumi


class UserRunnerArgs(TypedDict):
    """The arguments of ``gitlab.UserRunner``, None for what GitLab decides.

    An id is None if its type has no such owner. ``maximum_timeout`` is in seconds.
    """

    runner_type: Literal["instance_type", "group_type", "project_type"]
    group_id: int | None
    project_id: int | None
    access_level: Literal["not_protected", "ref_protected"]
    untagged: bool
    locked: bool | None
    maximum_timeout: int | None
    tag_lists: Sequence[str]


class RegistrationArgs(TypedDict):
    """Exactly one of a given token and a runner to make."""

    token: pulumi.Input[str] | None
    user_runner: UserRunnerArgs | None


class Registration(pulumi.ComponentResource):
    """The token with which the manager registers."""

    token: pulumi.Output[str]
    """The ``glrt-`` token, a secret."""

    def __init__(
        self, name: str, args: RegistrationArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("image-builds:index:Registration", name, None, opts)
        token = args["token"]
        if args["user_runner"]:
            token = self._user_runner(name, args["user_runner"])
        self.token = pulumi.Output.secret(token or "")
        self.register_outputs({"token": self.token})

    def _user_runner(self, name: str, wanted: UserRunnerArgs) -> pulumi.Output[str]:
        import pulumi_gitlab as gitlab  # noqa: PLC0415 - it takes 0.25 s, which others need not pay

        runner = gitlab.UserRunner(
            name,
            **wanted,
            description=f"{pulumi.get_project()} {pulumi.get_stack()} {name}",
            opts=pulumi.ResourceOptions(parent=self),
        )
        return runner.token


def visible_digest(token: pulumi.Output[str]) -> pulumi.Output[str]:
    """A digest that differs between tokens and reveals none; a secret would hide all values."""
    return pulumi.Output.unsecret(token.apply(digest))


def login_digest(
    token: pulumi.Output[str] | None, login: Mapping[str, pulumi.Input[str]]
) -> pulumi.Output[str]:
    """The same for a login, which can be short: a token beside it keeps people from guessing it."""
    known = pulumi.Output.all(token=token, **login)
    return visible_digest(known.apply(lambda values: json.dumps(values, sort_keys=True)))


def digest(text: str) -> str:
    """Return sixteen digits that differ between texts."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
