"""Every variant on the real engine: one stack enters and leaves each of them once, in a ring."""

import base64
import dataclasses
import gzip
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from kubernetes import client

from components.access import rules
from components.config import Chart, Settings
from components.strategies import plan_for
from components.strategies.plan import BuildPlan
from tests.configured import CERTIFICATE, STRATEGIES
from tests.engine.conftest import (
    Site,
    account,
    as_manifest,
    encoded,
    fresh_site,
    grant,
    runner_config,
)
from tests.executor.job import Job
from tests.executor.keys import RUNNERS
from tests.executor.promise import promised, seen
from tools.cluster import Cluster

PASSWORDS = {
    "registryCredentials__in__password": "PlantedPullPassword",
    "registryCredentials__out__password": "PlantedPushPassword",
}
LOGINS = {"gitlab-runner-builds-token", "registry-pull", "registry-push"}
# What the shared daemon is made of, the Secret that jobs know it by included.
DAEMON = [
    "BuildNamespace",
    "ConfigMap",
    "Daemon",
    "Deployment",
    "Namespace",
    "NetworkPolicy",
    "RegistryFiles",
    "Secret",
    "Secret",
    "Secret",
    "Service",
    "ServiceAccount",
]
RULES = as_manifest(rules(pod_disruption_budget=False))
STRICTER = {"baseline": "restricted", "privileged": "baseline"}


@dataclasses.dataclass
class Ring:
    """The stack, the variant that it is in, and the tokens that it has had."""

    site: Site
    plan: BuildPlan
    tokens: list[str]


@dataclasses.dataclass(frozen=True)
class Visit:
    """What the entry into a variant did, with a new token; ``left`` is the plan before."""

    site: Site
    plan: BuildPlan
    left: BuildPlan
    kept: tuple[set[str], set[str]]
    operations: dict[str, list[str]]
    output: str
    planted: list[str]


def _write(site: Site, variant: str) -> BuildPlan:
    registry = {"host": "registry.example.com:5000", "pull": "in", "push": "out"}
    site.write(STRATEGIES[variant], registries=[{**registry, "certificates": CERTIFICATE}])
    content = yaml.safe_load(site.stack.stack_file.read_text(encoding="utf-8"))
    settings = Settings.model_validate(content["config"]["image-builds:settings"])
    return plan_for(
        settings.runners["builds"].strategy,
        settings.cluster,
        settings.registries,
        settings.registry_mirrors,
    )


def _plant(site: Site, tokens: list[str]) -> None:
    tokens.append(f"glrt-PlantedToken{len(tokens):04}")
    site.plant(runnerTokens__builds=tokens[-1], **PASSWORDS)


@pytest.fixture(scope="module")
def ring(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ring]:
    with fresh_site(control_plane, tmp_path_factory.mktemp("ring")) as site:
        tokens: list[str] = []
        _plant(site, tokens)
        plan = _write(site, list(STRATEGIES)[-1])
        assert "failed" not in site.up().operations
        yield Ring(site, plan, tokens)


@pytest.fixture(scope="module", params=STRATEGIES)
def visit(ring: Ring, control_plane: Cluster, request: pytest.FixtureRequest) -> Visit:
    site, left = ring.site, ring.plan
    _plant(site, ring.tokens)
    before = _kept(control_plane, site.prefix)
    ring.plan = _write(site, request.param)
    preview, up = site.preview(), site.up()
    kept = (before, _kept(control_plane, site.prefix))
    output = f"{preview.output}\n{up.output}"
    planted = [*PASSWORDS.values(), *ring.tokens]
    return Visit(site, ring.plan, left, kept, up.operations, output, planted)


def _kept(control_plane: Cluster, prefix: str) -> set[str]:
    """Return the uids of namespaces, accounts and our Secrets, which jobs and people rely on."""
    with control_plane.api() as api:
        core = client.CoreV1Api(api)
        found: list[Any] = []
        for name in (prefix, f"{prefix}-builds", f"{prefix}-apps"):
            found.append(core.read_namespace(name))
            found += core.list_namespaced_service_account(name).items
            found += [
                secret
                for secret in core.list_namespaced_secret(name).items
                if secret.metadata.name in LOGINS
            ]
    return {item.metadata.uid for item in found}


def _kinds(operations: dict[str, list[str]]) -> dict[str, list[str]]:
    return {
        operation: sorted(urn.split("::")[2].rpartition(":")[2] for urn in urns)
        for operation, urns in operations.items()
    }


def test_a_switch_updates_in_place_and_only_what_is_a_strategys_own_comes_and_goes(
    visit: Visit,
) -> None:
    old, new = visit.left, visit.plan
    updated = ["Release", "Secret"]
    # A namespace whose level stays is left alone.
    updated += ["Namespace"] if new.pod_security != old.pod_security else []
    updated += ["ConfigMap"] if new.files and old.files and new.files != old.files else []

    assert _kinds(visit.operations) == {
        operation: sorted(kinds)
        for operation, kinds in (
            ("create", _comes(old, new)),
            ("update", updated),
            ("delete", _comes(new, old)),
        )
        if kinds
    }
    before, after = visit.kept
    assert len(before) > 8
    assert after == before


def _comes(old: BuildPlan, new: BuildPlan) -> list[str]:
    files = ["ConfigMap", "RegistryFiles"] if new.files and not old.files else []
    role = ["Role", "RoleBinding"] if new.account_rules and not old.account_rules else []
    return files + role + (DAEMON if new.daemon and not old.daemon else [])


def test_a_second_preview_and_up_change_nothing(visit: Visit) -> None:
    assert visit.site.preview().operations == {}
    assert visit.site.up().operations == {}


def test_the_manager_is_available_under_restricted(visit: Visit, control_plane: Cluster) -> None:
    with control_plane.api() as api:
        deployment = client.AppsV1Api(api).read_namespaced_deployment(
            "gitlab-runner-builds",
            visit.site.prefix,
        )
        namespace = client.CoreV1Api(api).read_namespace(visit.site.prefix)

    assert deployment.status.available_replicas == 1
    assert namespace.metadata.labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_manager_runs_a_job_whose_pod_is_what_the_plan_promised(
    visit: Visit,
    control_plane: Cluster,
    core: client.CoreV1Api,
) -> None:
    site = visit.site
    manager = account(control_plane, "gitlab-runner-builds", site.prefix)

    run = Job(runner_config(core, site.prefix, "builds"), RUNNERS[Chart().version], manager).run()

    assert (run.error, run.forbidden, run.phase) == ("", [], "Running")
    address = f"tcp://buildkitd.{site.prefix}-buildkitd.svc:1234"
    assert seen(run.pod) == promised(visit.plan, "builds", address)
    labels = core.read_namespace(f"{site.prefix}-builds").metadata.labels
    assert labels["pod-security.kubernetes.io/enforce"] == visit.plan.pod_security


def test_what_needs_the_level_of_its_namespace_is_refused_one_level_stricter(
    visit: Visit,
    control_plane: Cluster,
    core: client.CoreV1Api,
) -> None:
    level = STRICTER.get(visit.plan.pod_security)
    if level is None:
        # Nothing is stricter; test_deploy.py takes away what makes a pod fit.
        assert visit.plan.pod_security == "restricted"
        return
    text = runner_config(core, visit.site.prefix, "builds")
    with grant(control_plane, RULES, level, "gitlab-job-builds") as (stricter, manager):
        text = text.replace(f"{visit.site.prefix}-builds", stricter)
        run = Job(text, RUNNERS[Chart().version], manager).run()

    assert run.forbidden == []
    if visit.plan.account_rules:
        # Not this pod needs the level, but those that the job makes by these rules.
        assert (run.error, run.phase) == ("", "Running")
    else:
        assert f'violates PodSecurity "{level}:latest"' in run.error
        assert run.pod == {}


def _texts(core: client.CoreV1Api, namespaces: list[str]) -> Iterator[str]:
    """Everything readable in the cluster that should hold no secret: ConfigMaps and values."""
    for namespace in namespaces:
        for item in core.list_namespaced_config_map(namespace).items:
            yield str(item.data)
        for item in core.list_namespaced_secret(namespace).items:
            if item.type == "helm.sh/release.v1":
                packed = base64.b64decode(base64.b64decode(item.data["release"]))
                yield gzip.decompress(packed).decode()
        for item in core.list_namespaced_pod(namespace).items:
            yield str(item)
        for item in core.list_namespaced_event(namespace).items:
            yield str(item)


def test_no_secret_is_in_plain_anywhere(visit: Visit, core: client.CoreV1Api) -> None:
    site = visit.site
    places = {
        "output": visit.output,
        "state": site.state(),
        "stack file": (site.stack.work / "Pulumi.test.yaml").read_text(encoding="utf-8"),
        "cluster": "\n".join(_texts(core, [site.prefix, f"{site.prefix}-builds"])),
    }

    assert "gitlab-runner-builds-token" in places["cluster"]
    assert "registry-pull" in places["state"]
    assert [
        (place, form)
        for place, text in places.items()
        for form in encoded(visit.planted)
        if form in text
    ] == []
