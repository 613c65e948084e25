"""Permissions of a deployment: what may be listed, and where."""

import pytest

from components.permissions import Permission
from components.settings.load import load
from components.settings.runners.runner import RunnerSettings
from components.strategies.deploy import Deploy
from tests.support.configured import SECRETS, SETTINGS, configure, replace_values
from tests.support.rejections import assert_rejected, change

STRATEGY = "runners.main.strategy"
RULE = "{apiGroups: [apps], resources: [deployments], verbs: [get]}"


@pytest.mark.parametrize(
    ("groups", "resources", "verbs", "key", "advice"),
    [
        ("[]", "[pods]", "[get]", "apiGroups", "add at least one"),
        ("['*']", "[pods]", "[get]", "apiGroups[0]", "list each one"),
        ("[apps/v1]", "[deployments]", "[get]", "apiGroups[0]", "write the group alone"),
        ("[Apps]", "[deployments]", "[get]", "apiGroups[0]", "must be a DNS name"),
        ("[apps]", "['*']", "[get]", "resources[0]", "list each one"),
        ("['']", "[pods/*]", "[get]", "resources[0]", "list each one"),
        ("[apps]", "[Deployment]", "[get]", "resources[0]", "its plural in lowercase"),
        ("['']", "[pödé]", "[get]", "resources[0]", "a resource of the Kubernetes API"),
        ("['']", "[pods]", "['*']", "verbs[0]", "also grants what later versions add"),
        ("['']", "[pods]", "[get, escalate]", "verbs[1]", "does not list; remove it"),
        ("['']", "[pods]", "[bind]", "verbs[0]", "does not list; remove it"),
        ("['']", "[pods]", "[impersonate]", "verbs[0]", "does not list; remove it"),
        ("['']", "[pods]", "[use]", "verbs[0]", "use one of get, list"),
    ],
)
def test_a_rule_lists_what_exists(
    groups: str, resources: str, verbs: str, key: str, advice: str
) -> None:
    rule = f"{{apiGroups: {groups}, resources: {resources}, verbs: {verbs}}}"
    settings = change(f"{STRATEGY}: {{kind: deploy, permissions: {{apps: [{rule}]}}}}")

    assert_rejected(settings, f"{STRATEGY}.permissions.apps[0].{key}", advice)


@pytest.mark.parametrize(
    ("groups", "resources", "advice"),
    [
        ("['']", "[secrets]", "HELM_DRIVER: configmap"),
        ("[apps, '']", "[serviceaccounts/token]", "act as another account; remove it"),
        ("['']", "[namespaces]", "Pod Security level there; remove it"),
        ("['']", "[namespaces/finalize]", "Pod Security level there; remove it"),
        ("['']", "[pods, pods/exec]", "deploy a Job instead"),
        ("['']", "[services/proxy]", "deploy a Job instead"),
        ("[rbac.authorization.k8s.io]", "[roles]", "have the cluster's owner create roles"),
        ("[authorization.openshift.io]", "[rolebindings]", "create roles and bindings"),
    ],
)
def test_no_rule_leads_to_more_permissions(groups: str, resources: str, advice: str) -> None:
    rule = f"{{apiGroups: {groups}, resources: {resources}, verbs: [get]}}"
    settings = change(f"{STRATEGY}: {{kind: deploy, permissions: {{apps: [{rule}]}}}}")

    assert_rejected(settings, f"{STRATEGY}.permissions.apps[0]", advice)


@pytest.mark.parametrize(
    ("group", "resource", "verb", "warned"),
    [
        ("", "serviceaccounts", "patch", "which identities in the cloud"),
        ("", "endpoints", "update", "to any address"),
        ("", "nodes/proxy", "create", "reaches the kubelets"),
        ("discovery.k8s.io", "endpointslices", "create", "to any address"),
        ("networking.k8s.io", "networkpolicies", "delete", "opens what network policies close"),
        ("external-secrets.io", "externalsecrets", "create", "any secret of the stores"),
        ("argoproj.io", "applications", "create", "its own permissions"),
        ("helm.toolkit.fluxcd.io", "helmreleases", "create", "its own permissions"),
        ("tekton.dev", "taskruns", "create", "as any account of the namespace"),
        ("example.com", "things", "create", "has an operator do what is not known here"),
        ("apps", "deployments", "create", ""),
        ("gateway.networking.k8s.io", "httproutes", "create", ""),
        ("", "serviceaccounts", "get", ""),
    ],
)
def test_what_leads_further_than_it_says_is_warned_of(
    group: str, resource: str, verb: str, warned: str
) -> None:
    rule = Permission(api_groups=[group], resources=[resource], verbs=[verb])

    warnings = list(rule.warnings())

    assert len(warnings) == bool(warned)
    assert all(line.startswith(f"{verb} {resource}") and warned in line for line in warnings)


def test_a_rule_has_three_keys() -> None:
    rule = "{apiGroups: [''], resources: [pods], verb: [get]}"
    settings = change(f"{STRATEGY}: {{kind: deploy, permissions: {{apps: [{rule}]}}}}")

    assert_rejected(settings, f"{STRATEGY}.permissions.apps[0].verbs", "is required; add it")
    assert_rejected(settings, f"{STRATEGY}.permissions.apps[0].verb", "did you mean verbs?")


@pytest.mark.parametrize(
    ("target", "more", "advice"),
    [
        ("other", "", "add other there"),
        ("builds", "", "is the managers' namespace, where a job could take over"),
        ("builds-main", "", "logins of others; deploy to"),
        ("kube-system", ", targetNamespaces.kube-system: {}", "a namespace of your own"),
        (
            "builds-other-buildkitd",
            ", runners.other: {tags: [x], strategy: buildkit-service}",
            "where a job could take over",
        ),
    ],
)
def test_a_rule_holds_in_target_namespaces_only(target: str, more: str, advice: str) -> None:
    permissions = f"{{{target}: [{RULE}]}}"
    settings = change(f"{STRATEGY}: {{kind: deploy, permissions: {permissions}}}{more}")

    assert_rejected(settings, f"{STRATEGY}.permissions.{target}", advice)


def test_a_target_namespace_has_at_least_one_rule() -> None:
    settings = change(f"{STRATEGY}: {{kind: deploy, permissions: {{apps: []}}}}")

    assert_rejected(settings, f"{STRATEGY}.permissions.apps", "add at least one")


def test_a_deploy_job_is_asked_for_by_its_tag() -> None:
    registration = "{kind: userRunner, runnerType: instance_type, runUntagged: true}"
    settings = change(f"{STRATEGY}: deploy, runners.main.registration: {registration}")

    assert_rejected(settings, "runners.main.registration.runUntagged", "the deploy job")


def test_a_deploy_runner_has_no_permissions_by_default() -> None:
    by_name = RunnerSettings.model_validate({"tags": ["x"], "strategy": "deploy"})

    assert by_name.strategy == Deploy(permissions={})


def test_permissions_are_granted_as_listed() -> None:
    listed = [
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["configmaps", "pods/log"], "verbs": ["get"]},
        # Only the core group's are Kubernetes' Secrets.
        {"apiGroups": ["example.com"], "resources": ["secrets"], "verbs": ["list"]},
    ]
    strategy = {"kind": "deploy", "permissions": {"apps": listed}}
    configure(replace_values(SETTINGS, {STRATEGY: strategy}), SECRETS)

    loaded = load().settings.runners["main"].strategy

    assert isinstance(loaded, Deploy)
    assert [rule.model_dump(by_alias=True) for rule in loaded.permissions["apps"]] == listed
