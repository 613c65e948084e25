"""Each rule with what violates it and what holds, and what each strategy violates."""

import json
from typing import Any

import pytest
import tomlkit

from report.analysis.rule import is_production
from report.analysis.rules import NAMESPACE, ROLE, RULES, Resource, findings
from report.inputs.events import DAEMON, RUNNER
from report.redact import Scrubber, clean
from tests.support.changes import Change
from tests.support.configured import MISSING, STRATEGIES
from tests.support.previews import preview_change

BY_NAME = {rule.name: rule for rule in RULES}
SERVICE = {"name": "docker:29.7.2-dind", "alias": "docker"}
ENFORCE = "pod-security.kubernetes.io/enforce"
VALUES: dict[str, Any] = {
    "podSecurityContext": {"runAsUser": 100, "seccompProfile": {"type": "RuntimeDefault"}},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    },
}


def jobs(**kubernetes: Any) -> Resource:  # noqa: ANN401 - TOML
    """A runner's release whose config.toml says this of its jobs."""
    limits = {f"{prefix}memory_limit": "1Gi" for prefix in ("", "helper_", "service_")}
    right = {"image": "kaniko:v1", **limits, **kubernetes}
    flags = {"FF_USE_ADVANCED_POD_SPEC_CONFIGURATION": True}
    config = tomlkit.dumps({"runners": [{"feature_flags": flags, "kubernetes": right}]})
    return release(runners={"config": config})


def release(**values: Any) -> Resource:  # noqa: ANN401 - YAML
    """A runner's release with these values."""
    inputs = clean({"values": {**VALUES, **values}}, Scrubber())
    kind = "kubernetes:helm.sh/v3:Release"
    return Resource(kind, "builds", frozenset({RUNNER}), inputs)


def role(name: str, verb: str, resource: str, group: str = "", level: str = "") -> Resource:
    """A Role of a runner, in a namespace whose level is known or not."""
    rule = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
    annotations = {"image-builds/pod-security": level} if level else {}
    metadata = {"name": name, "namespace": "ns", "annotations": annotations}
    inputs = {"kind": "Role", "metadata": metadata, "rules": [rule]}
    return Resource(ROLE, name, frozenset({RUNNER}), inputs)


def namespace(name: str, level: str | None, *components: str) -> Resource:
    """A namespace with its Pod Security level."""
    labels = {ENFORCE: level} if level else {}
    inputs = {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    return Resource(NAMESPACE, name, frozenset(components), inputs)


def pod(image: str) -> Resource:
    """A Deployment of a daemon."""
    spec = {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}
    inputs = {"kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
    return Resource("kubernetes:apps/v1:Deployment", "d", frozenset({DAEMON}), inputs)


def admitting(*namespaces: str) -> Resource:
    """The policy of a daemon that lets jobs in from these namespaces."""
    selected = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [*namespaces]}
    peers = [{"namespaceSelector": {"matchExpressions": [selected]}}]
    inputs = {
        "kind": "NetworkPolicy",
        "metadata": {"name": "buildkitd", "namespace": "ns-builds-buildkitd"},
        "spec": {"policyTypes": ["Ingress"], "ingress": [{"from": peers}]},
    }
    kind = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
    return Resource(kind, "builds-buildkitd", frozenset({DAEMON}), inputs)


def leaving(rules: list[dict[str, Any]]) -> Resource:
    """The policy of a namespace of jobs with these rules for egress."""
    inputs = {
        "kind": "NetworkPolicy",
        "metadata": {"name": "jobs", "namespace": "ns"},
        "spec": {"policyTypes": ["Ingress", "Egress"], "egress": rules},
    }
    return Resource(
        "kubernetes:networking.k8s.io/v1:NetworkPolicy", "jobs", frozenset({RUNNER}), inputs
    )


def account(name: str, **annotations: str) -> Resource:
    """An account of a runner that is a role in a cloud."""
    metadata = {
        "name": "x",
        "namespace": "ns",
        "annotations": {"eks.amazonaws.com/role-arn": "r", **annotations},
    }
    inputs = {"kind": "ServiceAccount", "metadata": metadata}
    return Resource("kubernetes:core/v1:ServiceAccount", name, frozenset({RUNNER}), inputs)


def patched(patch: dict[str, Any], **kubernetes: Any) -> Resource:  # noqa: ANN401 - TOML
    """A runner's release whose jobs' pods are patched."""
    return jobs(pod_spec=[{"patch": json.dumps(patch)}], **kubernetes)


SOCKET = {"name": "s", "mount_path": "/s", "host_path": "/var/run/docker.sock"}
PRIVILEGED = {"privileged": True}

# The stack, what violates the rule there, what is said of it, and what holds there.
TABLE: dict[str, list[tuple[str, Resource, str, Resource]]] = {
    "no-open-identity-in-prod": [
        (
            "prod",
            account("builds-job"),
            "ServiceAccount ns/x lets jobs of branches that are not protected act in the cloud as "
            "r (eks.amazonaws.com/role-arn)",
            account("builds-job", **{"image-builds/protected": "true"}),
        ),
        (
            "prod",
            account("more-job"),
            "ServiceAccount ns/x lets jobs of branches that are not protected act in the cloud as "
            "r (eks.amazonaws.com/role-arn)",
            account("builds-manager"),
        ),
    ],
    "no-dood-in-prod": [
        (
            "prod",
            jobs(volumes={"host_path": [SOCKET]}),
            "the job pod of runner builds mounts /var/run/docker.sock from the node",
            jobs(volumes={"empty_dir": [{"name": "e", "mount_path": "/e"}]}),
        )
    ],
    "no-dind-in-prod": [
        (
            "prod",
            jobs(service_container_security_context=PRIVILEGED),
            "each service container of runner builds is privileged",
            jobs(services=[SERVICE]),
        )
    ],
    "no-buildx-in-prod": [
        (
            "prod",
            role("builds-job", "create", "deployments", "apps"),
            "Role ns/builds-job lets jobs create deployments.apps, and so create any pod there",
            role("builds-job", "get", "deployments", "apps"),
        ),
        (
            "prod",
            role("builds-job", "patch", "pods"),
            "Role ns/builds-job lets jobs patch pods, and so create any pod there",
            role("builds-manager", "create", "pods"),
        ),
        (
            "prod",
            role("builds-job", "create", "jobs", "batch"),
            "Role ns/builds-job lets jobs create jobs.batch, and so create any pod there",
            role("builds.apps", "create", "deployments", "apps", level="baseline"),
        ),
        (
            "prod",
            role("builds.apps", "patch", "deployments", "apps"),
            "Role ns/builds.apps lets jobs patch deployments.apps, and so create any pod there",
            role("builds.apps", "patch", "services"),
        ),
        (
            "prod",
            role("builds.apps", "create", "cronjobs", "batch", level="privileged"),
            "Role ns/builds.apps lets jobs create cronjobs.batch, and so create any pod there",
            role("builds.apps", "create", "cronjobs", "batch", level="restricted"),
        ),
    ],
    "no-shared-daemon-in-prod": [
        (
            "prod",
            admitting("ns-builds", "ns-more"),
            "NetworkPolicy ns-builds-buildkitd/buildkitd lets jobs of ns-builds and ns-more build "
            "in one daemon, where they can read each other's secrets",
            admitting("ns-builds"),
        )
    ],
    "no-metadata-in-prod": [
        (
            "prod",
            leaving([{}]),
            "NetworkPolicy ns/jobs allows egress to the metadata services of clouds",
            leaving([{"ports": [{"port": 53}]}, {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]),
        ),
        (
            "prod",
            leaving([{"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}]}]),
            "NetworkPolicy ns/jobs allows egress to the metadata services of clouds",
            leaving([]),
        ),
    ],
    "no-privileged-job-container": [
        (
            "dev",
            jobs(build_container_security_context=PRIVILEGED),
            "the build container of runner builds is privileged",
            jobs(service_container_security_context=PRIVILEGED),
        ),
        (
            "dev",
            jobs(privileged=True),
            "the build container of runner builds is privileged",
            patched({"hostUsers": False}, build_container_security_context=PRIVILEGED),
        ),
        (
            "dev",
            patched({"containers": [{"name": "build", "securityContext": PRIVILEGED}]}),
            "the build container of runner builds is privileged",
            patched({"containers": [{"name": "build", "securityContext": {}}]}),
        ),
        (
            "dev",
            patched({"containers": [{"name": "helper", "securityContext": PRIVILEGED}]}),
            "the helper of runner builds is privileged",
            jobs(services=[SERVICE], service_container_security_context=PRIVILEGED),
        ),
    ],
    "no-wildcard-permissions": [
        (
            "dev",
            role("builds-manager", "*", "pods"),
            "Role ns/builds-manager may * pods",
            role("builds-manager", "create", "pods"),
        ),
        (
            "dev",
            role("builds-manager", "get", "*"),
            "Role ns/builds-manager may get *",
            role("builds-manager", "get", "pods/log"),
        ),
        (
            "dev",
            role("builds.apps", "get", "deployments", "*"),
            "Role ns/builds.apps may get deployments.*",
            role("builds.apps", "get", "deployments", "apps"),
        ),
    ],
    "no-secrets-in-values": [
        (
            "dev",
            release(runnerToken="glrt-PlantedToken0001"),
            "values.runnerToken of release builds contains a secret",
            release(runners={"secret": "gitlab-runner-builds-token"}),
        ),
        (
            "dev",
            release(extraEnv=[{"name": "CA_TOKEN", "value": "planted"}]),
            "values.extraEnv[CA_TOKEN].value of release builds contains a secret",
            release(extraEnv=[{"name": "CA_FILE", "value": "/ca"}]),
        ),
        (
            "dev",
            release(runners={"config": '[[runners]]\nenvironment = ["NPM_TOKEN=planted"]\n'}),
            "values.runners.config of release builds contains a secret",
            release(runners={"config": '[[runners]]\nenvironment = ["NPM_CONFIG=/npmrc"]\n'}),
        ),
        (
            "dev",
            release(gitlabUrl="https://planted:planted@gitlab.example.com"),
            "values.gitlabUrl of release builds contains a secret",
            # A user name that is a secret is masked wherever it is a word.
            release(runners={"config": "path = '/home/user/.[secret]/share'"}),
        ),
        (
            "dev",
            release(extraEnv=[{"name": "GREETING", "value": "[secret]"}]),
            "values.extraEnv[GREETING].value of release builds contains a secret",
            release(extraEnv=[{"name": "IMAGE", "value": "moby/[secret]:v1"}]),
        ),
    ],
    "predictable-charts": [
        (
            "prod",
            release()._replace(unseen=("lookup in templates/role.yaml",)),
            "release builds installs what no preview shows: lookup in templates/role.yaml",
            release(),
        )
    ],
    "pinned-images": [
        (
            "dev",
            jobs(image="kaniko:latest"),
            "the build container of runner builds runs kaniko:latest, which is not pinned",
            jobs(image=f"registry:5000/kaniko@sha256:{64 * '0'}"),
        ),
        (
            "dev",
            jobs(image="$CI_REGISTRY/kaniko:1"),
            "the build container of runner builds runs $CI_REGISTRY/kaniko:1, which is not pinned",
            jobs(image="registry:5000/kaniko:1"),
        ),
        (
            "dev",
            jobs(services=[{"name": "docker", "alias": "d"}]),
            "the service d of runner builds runs docker, which is not pinned",
            jobs(services=[SERVICE]),
        ),
        (
            "dev",
            pod("registry:5000/buildkit"),
            "container c of Deployment d runs registry:5000/buildkit, which is not pinned",
            pod("registry:5000/buildkit:v1"),
        ),
    ],
    "pod-security-labels": [
        (
            "dev",
            namespace("ns-builds", None, RUNNER),
            f"namespace ns-builds has no Pod Security level in its label {ENFORCE}",
            namespace("ns-builds", "privileged", RUNNER),
        ),
        (
            "dev",
            namespace("ns-buildkitd", "strict", DAEMON),
            f"namespace ns-buildkitd has no Pod Security level in its label {ENFORCE}",
            namespace("ns-buildkitd", "baseline", DAEMON),
        ),
    ],
    "restricted-managers": [
        (
            "dev",
            namespace("managers", "baseline"),
            "managers run in namespace managers, which enforces baseline",
            namespace("managers", "restricted"),
        ),
        (
            "dev",
            namespace("other", None),
            "managers run in namespace other, which enforces none",
            namespace("target-apps", "baseline"),
        ),
        (
            "dev",
            release(podSecurityContext={"runAsUser": 100}),
            "the manager of runner builds does not meet the level restricted (noProfile)",
            release(),
        ),
        (
            "dev",
            release(securityContext={**VALUES["securityContext"], "capabilities": {}}),
            "the manager of runner builds does not meet the level restricted (defaultCapabilities)",
            namespace("builds-jobs", "privileged", RUNNER),
        ),
    ],
    "job-memory-limits": [
        (
            "dev",
            jobs(memory_limit=""),
            "the build container of runner builds has no memory limit",
            jobs(memory_limit="", helper_memory_limit="", pod_memory_limit="4Gi"),
        ),
        (
            "dev",
            jobs(services=[SERVICE], service_memory_limit=""),
            "each service container of runner builds has no memory limit",
            jobs(services=[SERVICE]),
        ),
        (
            "dev",
            jobs(service_memory_limit=""),
            "each service container of runner builds has no memory limit",
            jobs(),
        ),
        (
            "dev",
            jobs(helper_memory_limit=""),
            "the helper of runner builds has no memory limit",
            jobs(),
        ),
    ],
}
ROWS = [
    pytest.param(rule, *row, id=f"{rule}-{number}")
    for rule, rows in TABLE.items()
    for number, row in enumerate(rows)
]


def _said(resource: Resource, stack: str) -> list[tuple[str, str]]:
    return [
        (rule.name, finding.text)
        for rule, finding in findings(resource, production=stack == "prod")
    ]


def test_every_rule_has_its_rows() -> None:
    assert list(TABLE) == [rule.name for rule in RULES]


@pytest.mark.parametrize(("rule", "stack", "violating", "text", "holding"), ROWS)
def test_a_rule_is_violated_by_this_and_not_by_that(
    rule: str, stack: str, violating: Resource, text: str, holding: Resource
) -> None:
    assert (rule, text) in _said(violating, stack)
    assert rule not in dict(_said(holding, stack))


NAMES = ["prod", "production", "prod-eu", "eu.prod", "acme/prod", "prod2", "prodeu", "Prod", "PROD"]


@pytest.mark.parametrize("stack", [*NAMES, "nonprod", "euprod_1"])
def test_production_is_every_stack_whose_name_contains_it(stack: str) -> None:
    assert is_production(stack, None)
    assert not is_production(stack, said=False)


@pytest.mark.parametrize("stack", ["dev", "live", "prod/dev"])
def test_another_stack_is_one_of_production_if_it_says_so(stack: str) -> None:
    assert not is_production(stack, None)
    assert is_production(stack, said=True)


def test_what_holds_in_production_only_does_not_hold_elsewhere() -> None:
    (row,) = TABLE["no-dind-in-prod"]

    assert list(BY_NAME["no-dind-in-prod"].findings(row[1], production=True))
    assert not list(BY_NAME["no-dind-in-prod"].findings(row[1], production=False))


@pytest.mark.parametrize(
    ("stack", "said", "violated"),
    [
        ("live", True, True),
        ("Prod", MISSING, True),
        ("live", MISSING, False),
        ("prod", False, False),
    ],
)
def test_a_stack_file_decides_whether_rules_for_production_hold(
    stack: str,
    said: object,
    violated: bool,  # noqa: FBT001 - a column of the table
) -> None:
    settings = {"production": said, "runners.main.strategy": STRATEGIES["dood"]}
    after = {key: value for key, value in settings.items() if value is not MISSING}

    found = preview_change(Change(after=after, environment=stack)).violations

    assert any(item.rule == "no-dood-in-prod" for item in found) is violated


def test_rules_say_what_pulumi_needs_of_them_in_sentences() -> None:
    for rule in RULES:
        assert rule.description.endswith(".")
        assert rule.remediation[0].islower()
        assert "|" not in rule.description + rule.remediation


def test_an_acceptance_covers_one_exact_risk() -> None:
    (row,) = TABLE["no-dood-in-prod"]
    (rule, finding), *_ = findings(row[1], production=True)

    assert rule.identity(finding) == (
        "no-dood-in-prod/the-job-pod-of-runner-builds//var/run/docker.sock"
    )


NODE_ROOT = {
    "dood": {"no-dood-in-prod"},
    "dind": {"no-dind-in-prod"},
    "dind-tls": {"no-dind-in-prod"},
    "dind-rootless": {"no-dind-in-prod"},
    "buildx": {"no-buildx-in-prod"},
}
PRIVILEGED_BUILDS = {
    "buildkit-privileged": {"no-privileged-job-container"},
    "buildah-privileged": {"no-privileged-job-container"},
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_violates_only_its_own_rules(strategy: str) -> None:
    after = {"runners.main.strategy": STRATEGIES[strategy]}
    violated = {
        environment: {
            item.rule
            for item in preview_change(Change(after=after, environment=environment)).violations
            if item.mandatory
        }
        for environment in ("dev", "prod")
    }

    everywhere = PRIVILEGED_BUILDS.get(strategy, set())
    assert violated["dev"] == everywhere
    assert violated["prod"] == everywhere | NODE_ROOT.get(strategy, set())
