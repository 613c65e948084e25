"""The changes of which reports are reviewed, on a stack with a runner of each kind of pod.

The fast tier holds the notes that people have read (tests/report/test_changes.py); the engine
tier compares real previews with its reports (tests/engine/test_report.py). ``site`` begins the
name of each namespace.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, cast

import pulumi

from commands.shared.exit_codes import ExitCode
from tests.support.configured import MISSING, SECRETS, SETTINGS, STRATEGIES, replace_values

Inputs = dict[str, Any]
Transform = Callable[[Inputs], None]


@dataclasses.dataclass(frozen=True)
class Deployed:
    """What is deployed before a change: settings and secrets, with a token for each runner."""

    settings: Mapping[str, Any]
    secrets: Mapping[str, Any]

    def secrets_for(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the secrets without the tokens of runners that these settings do not have."""
        tokens = {name: self.secrets["runnerTokens"][name] for name in settings["runners"]}
        return {**self.secrets, "runnerTokens": tokens}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """What differs from what is deployed, by dotted path: settings and secrets on both sides.

    ``transforms`` bend the inputs of a kind and name, as a transform of the program would.
    ``accepted`` are the identities of risks that the stack file accepts, and ``environment`` is
    the name of the stack. ``first`` and ``last`` leave out the side before and the one after.
    """

    before: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    after: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    secrets: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    transforms: Mapping[tuple[str, str], Transform] = dataclasses.field(
        default_factory=dict[tuple[str, str], Transform]
    )
    accepted: tuple[str, ...] = ()
    environment: str = "test"
    first: bool = False
    last: bool = False

    @property
    def starts_as_deployed(self) -> bool:
        """Whether only one deployment is needed for it and others."""
        return not (self.before or self.first or self.last)


# Without a limit, each note would advise one.
_LIMITS = {"limits": {"memory": "1Gi"}}

NO_CHANGE, CHANGES, RISK_RAISED = ExitCode.NO_CHANGE, ExitCode.CHANGES, ExitCode.RISK_RAISED
ONE_RUNNER = Deployed(replace_values(SETTINGS, {"runners.main.resources": _LIMITS}), SECRETS)

_RUNNERS: dict[str, Any] = {
    "builds": {"strategy": "kaniko"},
    "boxed": {"strategy": STRATEGIES["dind"]},
    "engine": {"strategy": STRATEGIES["dood"]},
    "shared": {"strategy": "buildkit-service"},
}
FOUR_RUNNERS = Deployed(
    replace_values(
        SETTINGS,
        {
            "namespace": "site",
            "targetNamespaces": {"site-apps": {"create": True}},
            "runners": {
                name: {"tags": [name], **runner, "resources": _LIMITS}
                for name, runner in _RUNNERS.items()
            },
            "runners.boxed.resources": {**_LIMITS, "service": _LIMITS},
        },
    ),
    replace_values(
        SECRETS,
        {"runnerTokens": {name: f"glrt-first-token-{name}" for name in (*_RUNNERS, "more")}},
    ),
)


def with_transforms(program: Callable[[], object], change: Change) -> Callable[[], None]:
    """Let a program bend the inputs of resources, as a user's own transform would."""

    def bend(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        transform = change.transforms.get((args.type_.rpartition(":")[2], args.name))
        if transform is None:
            return None
        transform(cast("Inputs", args.props))
        return pulumi.ResourceTransformationResult(args.props, args.opts)

    def bent_program() -> None:
        pulumi.runtime.register_stack_transformation(bend)
        program()

    return bent_program


def _every_verb(role: Inputs) -> None:
    role["rules"] = [*role["rules"], {"api_groups": ["*"], "resources": ["*"], "verbs": ["*"]}]


def _another_account(binding: Inputs) -> None:
    binding["subjects"] = [*binding["subjects"], {"kind": "User", "name": "somebody"}]


def _unpinned(deployment: Inputs) -> None:
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "moby/buildkit"


def _open(policy: Inputs) -> None:
    policy["spec"]["ingress"] = [*policy["spec"]["ingress"], {}]


def _baseline(namespace: Inputs) -> None:
    namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "baseline"


def _manager_as_root(release: Inputs) -> None:
    runners = release["values"]["runners"]
    # An output in place of a text, as transforms may put in.
    runners["config"] = pulumi.Output.from_input(runners["config"]).apply(
        lambda config: config.replace("privileged = false", "privileged = true")
    )


def _strategy(runner: str, strategy: object) -> Change:
    return Change(after={f"runners.{runner}.strategy": strategy})


def _builds_with(strategy: str) -> Change:
    return _strategy("builds", STRATEGIES[strategy])


def _builds(**settings: object) -> Change:
    return Change(after={f"runners.builds.{key}": value for key, value in settings.items()})


_ONLY_BUILDS = {f"runners.{name}": MISSING for name in _RUNNERS if name != "builds"}
_DOOD_ALONE = {**_ONLY_BUILDS, "runners.builds.strategy": STRATEGIES["dood"]}
_PERMISSIONS = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"]}]
_SHARED = {"kind": "buildkit-service", "daemonOf": "shared", "acceptSharedBuilds": True}
_CLOSED = {"private": False, "allow": [{"cidr": "10.1.2.0/24", "ports": [443]}]}
_MORE = {"tags": ["more"], "strategy": "kaniko", "resources": _LIMITS}

NEWER_CHART = {"archive": "charts/newer", "version": "0.99.0", "digest": "9" * 64}
"""Stands for an archive of a later version, whose manager has another image."""

CHANGES_AND_CODES: dict[str, tuple[Change, int]] = {
    "nothing": (Change(), NO_CHANGE),
    "first-deployment": (Change(after=_ONLY_BUILDS, first=True), CHANGES),
    "destroyed": (Change(before=_ONLY_BUILDS, last=True), CHANGES),
    "kaniko-to-dood": (_builds_with("dood"), CHANGES),
    "dood-to-kaniko": (_strategy("engine", "kaniko"), CHANGES),
    "dood-to-dind": (_strategy("engine", STRATEGIES["dind"]), CHANGES),
    "dind-to-kaniko": (_strategy("boxed", "kaniko"), CHANGES),
    "kaniko-to-buildkit": (_builds_with("buildkit"), RISK_RAISED),
    "kaniko-to-buildkit-profiles": (_builds_with("buildkit-profiles"), CHANGES),
    "kaniko-to-buildkit-service": (_builds_with("buildkit-service"), RISK_RAISED),
    "kaniko-to-buildkit-service-buildx": (_builds_with("buildkit-service-buildx"), RISK_RAISED),
    "kaniko-to-a-shared-daemon": (_strategy("builds", _SHARED), RISK_RAISED),
    "kaniko-to-buildx": (_builds_with("buildx"), RISK_RAISED),
    "kaniko-to-deploy": (
        _strategy("builds", {"kind": "deploy", "permissions": {"site-apps": _PERMISSIONS}}),
        RISK_RAISED,
    ),
    "buildkit-service-to-kaniko": (_strategy("shared", "kaniko"), RISK_RAISED),
    "kaniko-to-buildah-root": (_builds_with("buildah-root"), RISK_RAISED),
    "kaniko-to-buildah-privileged": (_builds_with("buildah-privileged"), RISK_RAISED),
    "accepted-in-writing": (
        Change(
            after={"runners.builds.strategy": "buildkit"},
            accepted=(
                "podSecurity/Namespace-site-builds/privileged",
                "unconfined/the-build-container-of-runner-builds/AppArmor-Unconfined",
                "unconfined/the-build-container-of-runner-builds/seccomp-Unconfined",
            ),
        ),
        CHANGES,
    ),
    "tag": (_builds(tags=["other"]), NO_CHANGE),
    "chart-version": (Change(after={"chart": NEWER_CHART}), RISK_RAISED),
    "resources": (_builds(resources={"limits": {"memory": "2Gi"}}), CHANGES),
    "environment": (_builds(environment={"GREETING": "hello"}), CHANGES),
    "concurrent": (_builds(concurrent=3), CHANGES),
    "image-moved": (
        _strategy("builds", {"kind": "kaniko", "image": "other.example.com/kaniko:v2"}),
        RISK_RAISED,
    ),
    "registry-added": (
        Change(
            after={
                "registries": [
                    *SETTINGS["registries"],
                    {"host": "second.example.com", "insecure": True, "pull": "in", "push": "out"},
                ]
            }
        ),
        RISK_RAISED,
    ),
    "token-rotated": (Change(secrets={"runnerTokens.builds": "glrt-second-token-002"}), CHANGES),
    "password-rotated": (
        Change(secrets={"registryCredentials.out.password": "AnotherPassword"}),
        CHANGES,
    ),
    "runner-added": (Change(after={"runners.more": _MORE}), CHANGES),
    # On nodes that are trusted and have an engine, auto is dood.
    "runner-added-by-auto": (
        Change(after={"runners.more": {"tags": ["more"], "resources": _LIMITS}}),
        RISK_RAISED,
    ),
    "runner-removed": (Change(after={"runners.boxed": MISSING}), CHANGES),
    "namespace-renamed": (Change(after={"namespace": "site-other"}), RISK_RAISED),
    "job-namespace-renamed": (_builds(jobNamespace="site-jobs"), CHANGES),
    "target-namespace-added": (
        Change(after={"targetNamespaces.site-more": {"create": True}}),
        CHANGES,
    ),
    "target-namespace-removed": (Change(after={"targetNamespaces": {}}), CHANGES),
    "metadata-opened": (Change(after={"network.egress": {"metadata": True}}), RISK_RAISED),
    "private-addresses-closed": (Change(after={"network.egress": _CLOSED}), CHANGES),
    "private-addresses-opened": (Change(before={"network.egress": _CLOSED}), RISK_RAISED),
    "gitlab-moved": (Change(after={"gitlab.url": "https://git.example.com"}), RISK_RAISED),
    "seccomp-profile": (Change(after={"runners.builds.seccompProfile": "RuntimeDefault"}), CHANGES),
    "disruption-budget": (Change(after={"runners.builds.podDisruptionBudget": True}), RISK_RAISED),
    "every-verb-by-a-transform": (
        Change(transforms={("Role", "builds-manager"): _every_verb}),
        RISK_RAISED,
    ),
    "another-reader-by-a-transform": (
        Change(transforms={("RoleBinding", "builds-manager"): _another_account}),
        RISK_RAISED,
    ),
    "image-unpinned-by-a-transform": (
        Change(transforms={("Deployment", "shared-buildkitd"): _unpinned}),
        RISK_RAISED,
    ),
    "policy-opened-by-a-transform": (
        Change(transforms={("NetworkPolicy", "shared-buildkitd-ingress"): _open}),
        RISK_RAISED,
    ),
    "managers-at-baseline-by-a-transform": (
        Change(transforms={("Namespace", "managers"): _baseline}),
        RISK_RAISED,
    ),
    "privileged-jobs-by-a-transform": (
        Change(transforms={("Release", "builds"): _manager_as_root}),
        RISK_RAISED,
    ),
    "shared-daemon-in-prod": (
        Change(
            before={
                "runners.builds.strategy": _SHARED,
                "runners.boxed": MISSING,
                "runners.engine": MISSING,
            },
            after={
                "runners.builds.strategy": _SHARED,
                "runners.boxed": MISSING,
                "runners.engine": MISSING,
            },
            environment="prod",
        ),
        RISK_RAISED,
    ),
    "dood-in-prod": (
        Change(before=_ONLY_BUILDS, after=_DOOD_ALONE, environment="prod"),
        RISK_RAISED,
    ),
    "dood-in-prod-accepted": (
        Change(
            before=_ONLY_BUILDS,
            after=_DOOD_ALONE,
            environment="prod",
            accepted=(
                "no-dood-in-prod/the-job-pod-of-runner-builds//var/run/docker.sock",
                "predictable-charts/release-builds/all-objects,-which-cannot-be-rendered",
            ),
        ),
        CHANGES,
    ),
    "dood-in-prod-since-long": (
        Change(before=_DOOD_ALONE, after=_DOOD_ALONE, environment="prod"),
        RISK_RAISED,
    ),
}
