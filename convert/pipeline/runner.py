"""A runner of a stack as its jobs meet it: its tags, its plan, and what its config.toml lets in."""

import dataclasses
import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from components.gitlab_runner.config_toml import render
from components.plan import BuildPlan, RunnerNames
from components.settings.explain import label
from components.settings.models import Settings
from components.settings.runners.registration import UserRunner
from components.settings.runners.runner import RunnerSettings
from components.strategies import STRATEGIES, Strategy, forms, resolve
from convert.pipeline.job import PipelineJob


@dataclasses.dataclass(frozen=True, kw_only=True)
class StackRunner:
    """A runner, or a strategy that a runner could have; then it has no ``name`` and no tags.

    ``refused`` says why the cluster or the stack file rules the strategy out.
    """

    name: str
    strategy: str
    plan: BuildPlan
    config: Mapping[str, Any]
    tags: Sequence[str] = ()
    untagged: bool = False
    job_namespace: str = ""
    one_node: bool = False
    refused: str = ""

    @property
    def kubernetes(self) -> Mapping[str, Any]:
        """The keys of its executor."""
        return self.config["kubernetes"]

    @functools.cached_property
    def environment(self) -> Mapping[str, str]:
        """The variables of every job."""
        given = cast("list[str]", self.config.get("environment", []))
        return dict(line.split("=", 1) for line in given)

    @property
    def has_engine(self) -> bool:
        """Whether jobs find a Docker engine, their own or that of the node."""
        return self.has_own_engine or self.has_node_engine

    @property
    def has_own_engine(self) -> bool:
        """Whether each job gets a Docker engine."""
        return bool(self.plan.services)

    @property
    def has_node_engine(self) -> bool:
        """Whether jobs command the node's Docker engine."""
        return bool(self.plan.host_paths)

    @property
    def has_engine_over_tls(self) -> bool:
        """Whether the engine of each job takes a port and a folder of certificates."""
        return self.environment.get("DOCKER_HOST", "").startswith("tcp:")

    @property
    def has_builder(self) -> bool:
        """Whether ``docker buildx`` finds a builder that needs no engine."""
        return "docker buildx create" in self.plan.prepare

    @property
    def is_root(self) -> bool:
        """Whether the job's container runs as root, with the rights of an ordinary container."""
        return not self.plan.build.user and not self.plan.restricted

    @property
    def has_namespaces(self) -> bool:
        """Whether the job's container may make user namespaces."""
        own = self.plan.unshares and self.plan.build.user is not None
        return own or self.plan.build.privileged

    def allows_service(self, image: str) -> bool:
        """Whether a job may name a service with this image (runner:common/allowed_images.go)."""
        allowed = self.kubernetes.get("allowed_services")
        return not allowed or any(matches(image, glob) for glob in allowed)

    def allows_pull_policy(self, policy: str) -> bool:
        """Whether a job may ask for a pull policy (runner:common/config.go)."""
        allowed = self.kubernetes.get("allowed_pull_policies")
        return policy in (allowed or self.kubernetes.get("pull_policy") or [""])

    def takes(self, job: PipelineJob) -> bool:
        """Whether GitLab gives it a job, by the job's tags."""
        wanted = {tag.text for tag in job.tags}
        return wanted <= set(self.tags) if wanted else self.untagged


def runners(settings: Settings) -> list[StackRunner]:
    """Return the runners of a stack that build images, the least privileged first."""
    site, plans = settings.site, settings.plans()
    order = list(STRATEGIES)
    found = [
        _runner(
            resolve(runner.strategy, site)[0],
            plan,
            runner,
            settings,
            name=name,
            tags=runner.tags,
            untagged=isinstance(runner.registration, UserRunner)
            and runner.registration.run_untagged,
            job_namespace=settings.job_namespace(name),
        )
        for name, runner in settings.runners.items()
        if (plan := plans[name]).builds
    ]
    return sorted(found, key=lambda runner: order.index(runner.plan.strategy))


def candidates(settings: Settings) -> list[StackRunner]:
    """Return every strategy in each of its forms, the least privileged first."""
    site = settings.site
    runner = next(iter(settings.runners.values()))
    return [
        _runner(
            strategy,
            plan,
            runner.model_copy(update={"environment": {}}),
            settings,
            name="",
            refused=next(strategy.refusals(plan, site), ""),
        )
        for _, strategy in forms()
        if (plan := strategy.plan(site)).builds
    ]


def _runner(
    strategy: Strategy,
    plan: BuildPlan,
    runner: RunnerSettings,
    settings: Settings,
    **facts: Any,  # noqa: ANN401 - the rest of StackRunner's fields
) -> StackRunner:
    pushes = any(registry.push for registry in settings.registries)
    # Names decide nothing here, but for whether there is a login.
    given = {
        "job_namespace": facts.get("job_namespace", ""),
        "push_secret": "push" if pushes else None,
    }
    names = cast("RunnerNames", {**dict.fromkeys(RunnerNames.__annotations__), **given})
    address = {plan.daemon.address: "tcp://daemon"} if plan.daemon else {}
    text = render(plan, runner, names, address, settings)
    (config,) = tomllib.loads(text)["runners"]
    return StackRunner(
        strategy=label(strategy),
        plan=plan,
        config=config,
        one_node="kubernetes.io/hostname" in {**plan.node_selector, **runner.node_selector},
        **facts,
    )


_GLOBS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def matches(text: str, glob: str) -> bool:
    """Whether a glob of GitLab Runner matches (bmatcuk/doublestar: README.md)."""
    parts = re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", glob)
    pattern = "".join(_GLOBS.get(part) or re.escape(part) for part in parts)
    return re.fullmatch(pattern, text) is not None
