"""Every variant on the real engine, and the switch from each strategy to each other.

Two stacks have a runner for each variant. Those with the variant that is called as its strategy
are in the second, and then switch: in the update of a step, each moves as many places on in their
list. The steps of every length, from one place to one less than the list has, take a runner from
each strategy to each other. tests/test_switching.py compares all pairs of variants.
"""

import base64
import contextlib
import dataclasses
import datetime as dt
import gzip
import re
from collections.abc import Generator, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.plan import BuildPlan
from components.resources.access import rules
from components.settings.models import Settings
from components.strategies import STRATEGIES as CLASSES
from dev.cluster.control_plane import ControlPlane
from dev.toolchain.gitlab_runner import pinned
from tests.executor.job import Job
from tests.executor.promise import promised, seen
from tests.support.cluster import account, as_manifest, grant, runner_config
from tests.support.configured import CERTIFICATE, STRATEGIES
from tests.support.kubernetes import Api, apps_v1, core_v1
from tests.support.stacks import Site, encodings, fresh_site

VARIANTS = list(STRATEGIES)
MOVING = [name for name in VARIANTS if name in CLASSES]
"""The variant of each strategy that is called as it is."""
PASSWORDS = {
    "registryCredentials__in__password": "PlantedPullPassword",
    "registryCredentials__out__password": "PlantedPushPassword",
}
LOGINS = re.compile("registry-(pull|push)|gitlab-runner-r[0-9]{2}-token")
DAEMONS = "-buildkitd"
"""The end of a namespace that comes and goes with a strategy."""
RULES = as_manifest(rules(pod_disruption_budget=False))
STRICTER = {"baseline": "restricted", "privileged": "baseline"}

Operations = dict[str, set[str]]


@dataclasses.dataclass
class Walk:
    """A stack with a runner for each variant, how many places on each is, and what came of it."""

    site: Site
    variants: list[str]
    places: int = 0
    made: list[tuple[str, str]] = dataclasses.field(default_factory=list[tuple[str, str]])
    tokens: list[str] = dataclasses.field(default_factory=list[str])
    output: str = ""
    plans: dict[str, BuildPlan] = dataclasses.field(default_factory=dict[str, BuildPlan])
    """Those of what was written last."""

    def runners(self) -> dict[str, str]:
        """Return the variant of each runner."""
        turned = self.places % len(self.variants)
        variants = self.variants[turned:] + self.variants[:turned]
        return {f"r{number:02}": variant for number, variant in enumerate(variants)}

    def runner(self, variant: str) -> str:
        return next(name for name, found in self.runners().items() if found == variant)

    def write(self) -> None:
        """Write the stack file, with new tokens."""
        variants = self.runners()
        tokens = {
            name: f"glrt-Planted-{self.site.prefix}-{name}-{self.places:04}" for name in variants
        }
        self.tokens += tokens.values()
        planted = {f"runnerTokens__{name}": token for name, token in tokens.items()}
        self.site.plant(**PASSWORDS, **planted)
        registry = {"host": "registry.example.com:5000", "pull": "in", "push": "out"}
        runners = {
            name: {"tags": [name], "strategy": STRATEGIES[variant]}
            for name, variant in variants.items()
        }
        registries = [{**registry, "caCertificates": CERTIFICATE}]
        self.site.write(None, registries=registries, runners=runners)
        text = self.site.stack.stack_file.read_text(encoding="utf-8")
        content = yaml.load(text, yaml.CSafeLoader)["config"]["image-builds:settings"]
        self.plans = dict(Settings.model_validate(content).plans())


@dataclasses.dataclass(frozen=True)
class Step:
    """What one update did to the runners, with their plans before and after it."""

    plans: dict[str, tuple[BuildPlan, BuildPlan]]
    kept: tuple[set[str], set[str]]
    operations: dict[str, list[str]]
    output: str


@contextlib.contextmanager
def _deployed(
    control_plane: ControlPlane, folder: Path, variants: list[str], *, previewed: bool = False
) -> Generator[Walk]:
    with fresh_site(control_plane, folder) as site:
        found = Walk(site, variants)
        found.write()
        found.output = site.preview().output if previewed else ""
        up = site.up()
        assert "failed" not in up.operations, up.output
        found.output += up.output
        yield found


@pytest.fixture(scope="module")
def walk(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """Yield the stack whose runners move."""
    with _deployed(control_plane, tmp_path_factory.mktemp("walk"), MOVING) as found:
        yield found


@pytest.fixture(scope="module")
def others(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """Yield the stack with all other variants."""
    stay = [name for name in VARIANTS if name not in MOVING]
    folder = tmp_path_factory.mktemp("others")
    with _deployed(control_plane, folder, stay, previewed=True) as found:
        yield found


@pytest.fixture(params=VARIANTS)
def place(request: pytest.FixtureRequest, walk: Walk, others: Walk) -> tuple[Walk, str]:
    """Return the stack and the runner of a variant."""
    where = walk if request.param in MOVING else others
    return where, where.runner(request.param)


@pytest.fixture(scope="module", params=range(1, len(MOVING)))
def step(walk: Walk, control_plane: ControlPlane, request: pytest.FixtureRequest) -> Step:
    old, left = walk.plans, walk.runners().values()
    before = _kept(control_plane, walk.site.prefix)
    walk.places += request.param
    walk.write()
    new, entered = walk.plans, walk.runners().values()
    up = walk.site.up()
    walk.made += zip(left, entered, strict=True)
    walk.output += up.output
    kept = (before, _kept(control_plane, walk.site.prefix))
    plans = {name: (old[name], new[name]) for name in new}
    return Step(plans, kept, up.operations, up.output)


def _kept(control_plane: ControlPlane, prefix: str) -> set[str]:
    """Return the uids of namespaces, accounts and our Secrets, which jobs and people rely on."""
    with control_plane.api() as api:
        core = core_v1(api)
        items: list[Any] = [
            *core.list_namespace().items,
            *core.list_service_account_for_all_namespaces().items,
            *(
                secret
                for secret in core.list_secret_for_all_namespaces().items
                if LOGINS.fullmatch(secret.metadata.name)
            ),
        ]
    places = {item.metadata.uid: item.metadata.namespace or item.metadata.name for item in items}
    return {
        uid
        for uid, place in places.items()
        if place.startswith(prefix) and not place.endswith(DAEMONS)
    }


def _expected(name: str, old: BuildPlan, new: BuildPlan) -> Operations:
    """What a switch with a new token does: it updates in place, and a strategy's own comes."""
    updated = {f"Release {name}", f"Secret {name}-token"}
    # A namespace whose level stays is left alone.
    updated |= {f"Namespace {name}-jobs"} if new.pod_security != old.pod_security else set()
    moved = old.files and new.files and new.files != old.files
    updated |= {f"ConfigMap {name}-files"} if moved else set()
    return {"create": _comes(name, old, new), "delete": _comes(name, new, old), "update": updated}


def _comes(name: str, old: BuildPlan, new: BuildPlan) -> set[str]:
    files = {f"ConfigMap {name}-files", f"RegistryFiles {name}-files"}
    role = {f"Role {name}-job", f"RoleBinding {name}-job"}
    return {
        *(files if new.files and not old.files else ()),
        *(role if new.account_rules and not old.account_rules else ()),
        *(_daemon(name) if new.daemon and not old.daemon else ()),
    }


def _daemon(name: str) -> set[str]:
    """Return what a runner has for its own daemon."""
    unit = f"{name}-buildkitd"
    kinds = ("Namespace", "BuildNamespace", "ConfigMap", "RegistryFiles", "ServiceAccount")
    return {
        f"Daemon {name}",
        f"Secret {name}-daemon",
        *(f"Secret {unit}-{end}" for end in ("ca", dt.datetime.now(dt.UTC).year)),
        *(f"{kind} {unit}" for kind in (*kinds, "Service", "Deployment")),
        *(f"NetworkPolicy {unit}-{direction}" for direction in ("ingress", "egress")),
    }


def _named(operations: dict[str, list[str]]) -> dict[str, list[str]]:
    """Spell URNs as kind and name."""
    return {
        operation: sorted(
            f"{urn.split('::')[2].rpartition(':')[2]} {urn.split('::')[3]}" for urn in urns
        )
        for operation, urns in operations.items()
    }


def test_the_manager_is_available_under_restricted(
    place: tuple[Walk, str], control_plane: ControlPlane
) -> None:
    walk, runner = place
    with control_plane.api() as api:
        deployment = apps_v1(api).read_namespaced_deployment(
            f"gitlab-runner-{runner}", walk.site.prefix
        )
        namespace = core_v1(api).read_namespace(walk.site.prefix)

    assert deployment.status.available_replicas == 1
    assert namespace.metadata.labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_pod_of_a_job_is_what_the_plan_promised(
    place: tuple[Walk, str], control_plane: ControlPlane, core: Api
) -> None:
    """The manager's account makes it."""
    walk, runner = place
    prefix = walk.site.prefix
    plan = walk.plans[runner]
    manager = account(control_plane, f"gitlab-runner-{runner}", prefix)
    text = runner_config(core, prefix, runner)

    run = Job(text, pinned(), manager).run()

    assert (run.error, run.forbidden, run.phase) == ("", [], "Running")
    assert seen(run.pod) == promised(
        plan, runner, f"tcp://buildkitd.{prefix}-{runner}{DAEMONS}.svc:1234"
    )
    labels = core.read_namespace(f"{prefix}-{runner}").metadata.labels
    assert labels["pod-security.kubernetes.io/enforce"] == plan.pod_security


def test_a_pod_is_refused_one_level_stricter(
    place: tuple[Walk, str], control_plane: ControlPlane, core: Api
) -> None:
    """So no namespace admits more than its runner needs."""
    walk, runner = place
    prefix = walk.site.prefix
    plan = walk.plans[runner]
    level = STRICTER.get(plan.pod_security)
    if level is None:
        # Nothing is stricter; test_deploy.py takes away what makes a pod fit.
        assert plan.pod_security == "restricted"
        return
    text = runner_config(core, prefix, runner)
    with grant(control_plane, RULES, level, f"gitlab-job-{runner}") as (stricter, manager):
        text = text.replace(f"{prefix}-{runner}", stricter)
        run = Job(text, pinned(), manager).run()

    assert run.forbidden == []
    if plan.account_rules:
        # Not this pod needs the level, but those that the job makes by these rules.
        assert (run.error, run.phase) == ("", "Running")
    else:
        assert f'violates PodSecurity "{level}:latest"' in run.error
        assert run.pod == {}


def test_a_switch_updates_in_place(step: Step) -> None:
    """Only a strategy's own resources come and go."""
    assert "failed" not in step.operations, step.output
    expected = [_expected(name, *plans) for name, plans in step.plans.items()]

    assert _named(step.operations) == {
        operation: sorted(name for table in expected for name in table.get(operation, ()))
        for operation in ("create", "delete", "update")
    }
    before, after = step.kept
    assert len(before) > 5 * len(MOVING)
    assert after == before


def test_each_strategy_was_entered_from_each_other(walk: Walk) -> None:
    assert len(MOVING) == 7
    assert sorted(walk.made) == sorted(permutations(MOVING, 2))


def test_a_second_preview_and_up_change_nothing(walk: Walk, others: Walk) -> None:
    assert walk.site.preview().operations == {}
    assert [found.site.up().operations for found in (walk, others)] == [{}, {}]


def _texts(core: Api, prefix: str) -> Iterator[str]:
    """Everything readable in the stack's namespaces that should hold no secret."""
    for item in core.list_config_map_for_all_namespaces().items:
        if item.metadata.namespace.startswith(prefix):
            yield str(item.data)
    for item in core.list_namespaced_secret(prefix).items:
        if item.type == "helm.sh/release.v1":
            packed = base64.b64decode(base64.b64decode(item.data["release"]))
            yield gzip.decompress(packed).decode()
    for listed in (core.list_pod_for_all_namespaces, core.list_event_for_all_namespaces):
        yield from (str(i) for i in listed().items if i.metadata.namespace.startswith(prefix))


def test_no_secret_is_in_plain_anywhere(walk: Walk, others: Walk, core: Api) -> None:
    both = (walk, others)
    places = {
        "output": "".join(found.output for found in both),
        "state": "".join(found.site.state() for found in both),
        "stack file": "".join(
            (found.site.stack.work / "Pulumi.test.yaml").read_text(encoding="utf-8")
            for found in both
        ),
        "cluster": "\n".join(text for found in both for text in _texts(core, found.site.prefix)),
    }
    tokens = [*walk.tokens, *others.tokens]
    planted = [*PASSWORDS.values(), *tokens]

    assert len(tokens) == len(set(tokens)) == len(VARIANTS) + len(walk.made)
    assert places["cluster"].count("gitlab-runner-r00-token") >= len(both)
    assert "registry-pull" in places["state"]
    assert [
        (place, form)
        for place, text in places.items()
        for form in encodings(planted)
        if form in text
    ] == []
