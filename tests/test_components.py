import base64
import json
from typing import Any, ClassVar, cast

import pulumi
import pytest

from components.arguments import environment_args
from components.resources.access import rules
from components.resources.environment import Environment
from components.settings.load import load
from dev.local.stack_file import chart_of
from dev.paths import STAND_IN_CHART
from report.inputs.recorder import plain
from tests.support.configured import (
    CERTIFICATE,
    PULL,
    PUSH,
    SECRETS,
    SETTINGS,
    TOKEN,
    configure,
    replace_values,
)
from tests.support.harness import YEAR, RegisteredResource, deploy, is_secret, unmarked

RELEASE = "kubernetes:helm.sh/v3:Release"
SECRET = "kubernetes:core/v1:Secret"
NAMESPACE = "kubernetes:core/v1:Namespace"


def _deploy(
    changes: dict[str, Any] | None = None, secrets: dict[str, Any] = SECRETS
) -> list[RegisteredResource]:
    configure(replace_values(SETTINGS, changes or {}), secrets)
    stack = load()
    return deploy(lambda: Environment("test", environment_args(stack, YEAR)))


def _one(registered: list[RegisteredResource], kind: str, name: str) -> dict[str, Any]:
    (found,) = [item for item in registered if (item.type, item.name) == (kind, name)]
    return found.inputs


def _names(registered: list[RegisteredResource], kind: str) -> list[str]:
    return sorted(item.name for item in registered if item.type == kind)


def _docker_config(secret: dict[str, Any]) -> dict[str, Any]:
    return json.loads(plain(secret["stringData"])[".dockerconfigjson"])


class TestReviewer:
    def test_there_is_none_unless_it_is_asked_for(self) -> None:
        assert not [item for item in _deploy() if item.name.startswith("reviewer")]

    def test_it_has_a_role_only_in_the_namespaces_of_the_stack(self) -> None:
        registered = _deploy(
            {
                "previewAccount": True,
                "targetNamespaces.theirs": {"create": False},
                "runners.main.strategy": "buildkit-service",
            }
        )

        bindings = [
            item.inputs
            for item in registered
            if item.type.endswith(":RoleBinding") and item.name.startswith("reviewer.")
        ]
        account = {"kind": "ServiceAccount", "name": "reviewer", "namespace": "builds"}
        assert {item["metadata"]["namespace"] for item in bindings} == {
            "builds",
            "builds-main",
            "builds-main-buildkitd",
            "apps",
        }
        assert all(item["subjects"] == [account] for item in bindings)
        assert all(item["roleRef"]["name"] == "reviewer" for item in bindings)

    def test_it_gets_everything_but_secrets_and_does_nothing_else(self) -> None:
        registered = _deploy({"previewAccount": True})

        role = _one(registered, ROLE, "reviewer.jobs-main")
        assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get"}
        read = {resource for rule in role["rules"] for resource in rule["resources"]}
        deployed = {
            f"{item.type.rpartition(':')[2].lower()}s".replace("policys", "policies")
            for item in _deploy(
                {
                    "runners.main.strategy": "buildkit-service",
                    "runners.main.manager": {"replicas": 2, "disruptionBudget": True},
                }
            )
            if item.type.startswith("kubernetes:") and item.type != RELEASE
        }
        assert deployed - read == {"secrets"}
        assert read - deployed == set()


class TestAccountOfJobs:
    STRATEGY: ClassVar = {"kind": "buildx", "acceptPrivileged": True}
    MAKING_PODS: ClassVar = [
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create", "delete", "get"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]},
    ]
    FILES: ClassVar = {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "verbs": ["create", "delete", "update"],
    }

    def test_it_may_make_pods_where_the_strategy_has_jobs_make_them(self) -> None:
        registered = _deploy({"runners.main.strategy": self.STRATEGY})

        role = _one(registered, ROLE, "main-job")
        assert role["metadata"] == {"name": "gitlab-job-main", "namespace": "builds-main"}
        assert role["rules"] == [*self.MAKING_PODS, self.FILES]

    def test_it_may_write_files_only_if_there_are_any(self) -> None:
        registered = _deploy({"runners.main.strategy": self.STRATEGY, "registries": []})

        assert _one(registered, ROLE, "main-job")["rules"] == self.MAKING_PODS

    def test_it_has_no_rights_otherwise(self) -> None:
        assert _names(_deploy(), ROLE) == ["main-manager"]


class TestNamespaces:
    @pytest.mark.parametrize(
        ("strategy", "level"),
        [("kaniko", "baseline"), ({"kind": "dood", "acceptNodeRoot": True}, "privileged")],
    )
    def test_jobs_are_enforced_at_exactly_the_plans_level(
        self, strategy: object, level: str
    ) -> None:
        registered = _deploy({"runners.main.strategy": strategy})

        namespace = _one(registered, "kubernetes:core/v1:Namespace", "main-jobs")

        assert namespace["metadata"] == {
            "name": "builds-main",
            "labels": {
                "app.kubernetes.io/managed-by": "pulumi",
                "pod-security.kubernetes.io/enforce": level,
                "pod-security.kubernetes.io/warn": "restricted",
                "pod-security.kubernetes.io/audit": "restricted",
            },
        }

    def test_managers_are_restricted(self) -> None:
        labels = _one(_deploy(), "kubernetes:core/v1:Namespace", "managers")["metadata"]["labels"]

        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"

    def test_a_target_that_exists_is_not_made(self) -> None:
        registered = _deploy({"targetNamespaces": {"apps": {}}})

        assert _names(registered, "kubernetes:core/v1:Namespace") == ["main-jobs", "managers"]
        pull = _one(registered, SECRET, "target-apps-pull")
        logins = {"image-builds/logins": '{"registry.example.com:5000": "in"}'}
        assert pull["metadata"] == {
            "name": "registry-pull",
            "namespace": "apps",
            "annotations": logins,
        }


class TestAccess:
    def test_no_rule_has_a_wildcard(self) -> None:
        assert "*" not in json.dumps(rules(pod_disruption_budget=True))

    def test_the_verbs_are_those_that_the_runner_uses(self) -> None:
        granted = {
            (*rule["resources"], *rule["verbs"])
            for rule in cast("list[dict[str, list[str]]]", rules(pod_disruption_budget=False))
        }

        assert granted == {
            ("pods", "create", "delete", "get", "list", "watch"),
            ("pods/attach", "create"),
            ("pods/exec", "create"),
            ("pods/log", "get"),
            ("secrets", "create", "delete", "get", "update"),
            ("events", "list"),
        }

    def test_disruption_budgets_are_granted_only_when_used(self) -> None:
        without = _one(_deploy(), "kubernetes:rbac.authorization.k8s.io/v1:Role", "main-manager")
        with_them = _one(
            _deploy({"runners.main.podDisruptionBudget": True}),
            "kubernetes:rbac.authorization.k8s.io/v1:Role",
            "main-manager",
        )

        assert "policy" not in json.dumps(without)
        assert with_them["rules"][-1] == {
            "apiGroups": ["policy"],
            "resources": ["poddisruptionbudgets"],
            "verbs": ["create", "get"],
        }

    def test_the_managers_permissions_are_in_the_job_namespace(self) -> None:
        registered = _deploy()

        role = _one(registered, "kubernetes:rbac.authorization.k8s.io/v1:Role", "main-manager")
        binding = _one(
            registered, "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding", "main-manager"
        )

        assert role["metadata"]["namespace"] == "builds-main"
        assert binding["metadata"]["namespace"] == "builds-main"
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": "gitlab-runner-main", "namespace": "builds"}
        ]

    def test_jobs_get_an_account_without_token(self) -> None:
        account = _one(_deploy(), "kubernetes:core/v1:ServiceAccount", "main-job")

        assert account["automountServiceAccountToken"] is False
        assert account["metadata"]["namespace"] == "builds-main"


ROLE = "kubernetes:rbac.authorization.k8s.io/v1:Role"
BINDING = "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"
RIGHT = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"]}
DEPLOYS: dict[str, Any] = {
    "targetNamespaces": {"apps": {"create": True}, "there": {}},
    "runners.deploy": {
        "tags": ["deploy"],
        "strategy": {"kind": "deploy", "permissions": {"apps": [RIGHT], "there": [RIGHT, RIGHT]}},
    },
}
BOTH_TOKENS = replace_values(SECRETS, {"runnerTokens.deploy": "glrt-PlantedToken0002"})


class TestDeployments:
    def test_the_jobs_permissions_are_those_listed_for_each_target(self) -> None:
        registered = _deploy(DEPLOYS, BOTH_TOKENS)

        for target, rules_there in {"apps": [RIGHT], "there": [RIGHT, RIGHT]}.items():
            role = _one(registered, ROLE, f"deploy.{target}")
            binding = _one(registered, BINDING, f"deploy.{target}")
            place = {"name": "gitlab-job-deploy", "namespace": target}
            assert place.items() <= role["metadata"].items()
            assert role["rules"] == rules_there
            assert binding["metadata"] == place
            assert binding["roleRef"]["name"] == "gitlab-job-deploy"
            assert binding["subjects"] == [
                {
                    "kind": "ServiceAccount",
                    "name": "gitlab-job-deploy",
                    "namespace": "builds-deploy",
                }
            ]

    def test_a_role_says_which_level_the_stack_sets_there(self) -> None:
        registered = _deploy(DEPLOYS, BOTH_TOKENS)

        made, there = (
            _one(registered, ROLE, f"deploy.{target}")["metadata"] for target in ("apps", "there")
        )
        assert made["annotations"] == {"image-builds/pod-security": "baseline"}
        assert "annotations" not in there

    def test_a_build_runner_has_no_rights_in_a_target(self) -> None:
        registered = _deploy(DEPLOYS, BOTH_TOKENS)

        bound = {
            item.inputs["metadata"]["namespace"]
            for item in registered
            if item.type == BINDING and "main" in json.dumps(item.inputs["subjects"])
        }
        assert bound == {"builds-main"}

    def test_unless_they_are_listed_a_deployment_has_no_rights(self) -> None:
        registered = _deploy({"runners.main.strategy": "deploy"})

        assert _names(registered, ROLE) == ["main-manager"]

    def test_its_namespace_is_restricted_and_holds_no_push_login(self) -> None:
        registered = _deploy(DEPLOYS, BOTH_TOKENS)

        labels = _one(registered, NAMESPACE, "deploy-jobs")["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        assert "deploy-pull" in _names(registered, SECRET)
        assert "deploy-push" not in _names(registered, SECRET)

    def test_the_account_mounts_no_token_by_itself(self) -> None:
        registered = _deploy(DEPLOYS, BOTH_TOKENS)

        account = _one(registered, "kubernetes:core/v1:ServiceAccount", "deploy-job")
        text = _one(registered, RELEASE, "deploy")["values"]["runners"]["config"]

        assert account["automountServiceAccountToken"] is False
        assert "automount_service_account_token = true" in text

    def test_permissions_wait_for_the_namespace(self) -> None:
        """The manager waits for the permissions."""
        registered = _deploy(DEPLOYS, BOTH_TOKENS)

        (role,) = [item for item in registered if (item.type, item.name) == (ROLE, "deploy.apps")]
        (release,) = [item for item in registered if (item.type, item.name) == (RELEASE, "deploy")]
        assert "Namespace target-apps" in {_short(urn) for urn in role.dependencies}
        assert {_short(urn) for urn in release.dependencies} >= {
            "RoleBinding deploy.apps",
            "RoleBinding deploy.there",
        }


class TestRegistries:
    def test_pull_goes_to_jobs_and_targets_and_push_to_jobs_only(self) -> None:
        registered = _deploy()

        places = {
            item.name: item.inputs["metadata"]["namespace"]
            for item in registered
            if item.type == SECRET and item.name != "main-token"
        }

        assert places == {
            "main-pull": "builds-main",
            "main-push": "builds-main",
            "target-apps-pull": "apps",
        }

    def test_each_secret_holds_its_own_login_only(self) -> None:
        registered = _deploy()

        push = _docker_config(_one(registered, SECRET, "main-push"))

        auth = base64.b64encode(f"writer:{PUSH}".encode()).decode()
        assert push == {
            "auths": {
                "registry.example.com:5000": {"username": "writer", "password": PUSH, "auth": auth}
            }
        }
        assert PUSH not in json.dumps(_docker_config(_one(registered, SECRET, "main-pull")))

    def test_docker_hub_goes_by_its_old_address(self) -> None:
        registered = _deploy({"registries": [{"host": "docker.io", "pull": "in"}]})

        config_json = _docker_config(_one(registered, SECRET, "main-pull"))

        assert list(config_json["auths"]) == ["https://index.docker.io/v1/"]

    def test_adoption_takes_the_fields_of_a_secret_that_is_there(self) -> None:
        registered = _deploy({"targetNamespaces": {"apps": {"adoptPullSecret": True}}})

        metadata = _one(registered, SECRET, "target-apps-pull")["metadata"]

        assert metadata["annotations"]["pulumi.com/patchForce"] == "true"

    def test_without_logins_there_is_no_secret(self) -> None:
        registered = _deploy({"registries": []})

        assert _names(registered, SECRET) == ["main-token"]

    def test_certificates_are_a_config_map_of_the_jobs(self) -> None:
        registered = _deploy({"registries": [{"host": "r:5000", "caCertificates": CERTIFICATE}]})

        config_map = _one(registered, "kubernetes:core/v1:ConfigMap", "main-files")

        assert config_map["data"] == {"r_5000.crt": CERTIFICATE}
        assert "registry-files" in _one(registered, RELEASE, "main")["values"]["runners"]["config"]


class TestRunner:
    def test_values_are_readable_and_hold_no_token(self) -> None:
        values = _one(_deploy(), RELEASE, "main")["values"]

        assert not is_secret(values)
        assert TOKEN not in json.dumps(values)
        assert values["runners"]["secret"] == "gitlab-runner-main-token"
        assert values["rbac"] == {"create": False}

    def test_the_token_secret_has_both_keys_that_the_chart_mounts(self) -> None:
        secret = _one(_deploy(), SECRET, "main-token")["stringData"]

        assert is_secret(secret) or is_secret(secret["runner-token"])
        assert plain(secret) == {"runner-token": TOKEN, "runner-registration-token": ""}

    def test_another_token_is_another_digest(self) -> None:
        first = _one(_deploy(), RELEASE, "main")["values"]["podAnnotations"]
        other = replace_values(SECRETS, {"runnerTokens.main": "glrt-AnotherToken01"})
        second = _one(_deploy(None, other), RELEASE, "main")["values"]["podAnnotations"]

        assert first != second
        assert len(first["image-builds/token-digest"]) == 16

    def test_gitlabs_certificates_are_named_by_its_host(self) -> None:
        registered = _deploy({"gitlab.caCertificates": CERTIFICATE})

        secret = _one(registered, SECRET, "main-gitlab-certificates")
        values = _one(registered, RELEASE, "main")["values"]

        assert plain(secret["stringData"]) == {"gitlab.example.com.crt": CERTIFICATE}
        assert values["certsSecretName"] == "gitlab-runner-main-gitlab-certificates"

    def test_the_chart_has_the_pinned_version_and_its_repository(self) -> None:
        release = _one(_deploy(), RELEASE, "main")

        assert release["chart"] == "gitlab-runner"
        assert release["version"] == "0.94.1"
        assert release["repositoryOpts"] == {"repo": "https://charts.gitlab.io"}

    def test_an_archive_takes_the_repositorys_place(self) -> None:
        release = _one(_deploy({"chart": chart_of(STAND_IN_CHART)}), RELEASE, "main")

        assert release["chart"] == str(STAND_IN_CHART)
        assert release["repositoryOpts"] == {}

    def test_the_digest_of_the_chart_is_part_of_the_release(self) -> None:
        """So another chart is another plan. Of the Deployment alone, so no pod restarts for it."""
        held = _one(_deploy({"chart": {"digest": "1" * 64}}), RELEASE, "main")["values"]
        open_ = _one(_deploy(), RELEASE, "main")["values"]

        assert held["deploymentAnnotations"] == {"image-builds/chart-digest": "1" * 64}
        assert held["podAnnotations"] == open_["podAnnotations"]
        assert "deploymentAnnotations" not in open_

    def test_a_manager_outlives_an_outage_of_gitlab(self) -> None:
        """The chart's probe asks GitLab; older charts cannot leave it out."""
        values = _one(_deploy(), RELEASE, "main")["values"]
        older = _one(_deploy({"chart": {"version": "0.93.0"}}), RELEASE, "main")["values"]

        assert values["livenessProbe"] == {"enabled": False}
        assert "livenessProbe" not in older

    def test_resources_and_environment_reach_the_jobs(self) -> None:
        registered = _deploy(
            {
                "runners.main.resources": {"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}},
                "runners.main.environment": {"A": "b"},
            }
        )

        text = _one(registered, RELEASE, "main")["values"]["runners"]["config"]

        assert 'cpu_request = "1"' in text
        assert 'memory_limit = "1Gi"' in text
        assert '"A=b"' in text


class TestRegistration:
    def test_a_runner_made_in_gitlab_brings_its_token(self) -> None:
        changes = {
            "runners.main.registration": {
                "kind": "userRunner",
                "runnerType": "group_type",
                "groupId": 7,
            }
        }
        registered = _deploy(changes, replace_values(SECRETS, {"runnerTokens": {}}))

        runner = _one(registered, "gitlab:index/userRunner:UserRunner", "main")
        secret = _one(registered, SECRET, "main-token")["stringData"]

        assert runner["runnerType"] == "group_type"
        assert runner["groupId"] == 7
        assert runner["tagLists"] == ["build"]
        assert plain(secret)["runner-token"] == "glrt-made-by-gitlab"
        assert is_secret(secret) or is_secret(secret["runner-token"])


def test_no_secret_is_outside_what_is_marked_secret() -> None:
    registered = _deploy()

    text = "\n".join(unmarked(item.inputs) for item in registered)

    assert [secret for secret in (TOKEN, PULL, PUSH) if secret in text] == []
    assert "gitlab-runner-main-token" in text


def test_a_callers_parent_does_not_take_the_children_away() -> None:
    configure(SETTINGS, SECRETS)
    stack = load()

    def program() -> None:
        outer = pulumi.ComponentResource("test:index:Outer", "outer")
        options = pulumi.ResourceOptions(parent=outer)
        Environment("test", environment_args(stack, YEAR), options)

    runner = next(item for item in deploy(program) if item.name == "main-jobs")

    assert "image-builds:index:Runner$" in runner.urn


EVERYTHING: dict[str, Any] = {
    "gitlab.caCertificates": CERTIFICATE,
    "registries": [
        {"host": "ca.example.com:5000", "caCertificates": CERTIFICATE, "pull": "in", "push": "out"}
    ],
    "runners.main.registration": {
        "kind": "userRunner",
        "runnerType": "project_type",
        "projectId": 8,
        "protected": True,
        "runUntagged": True,
        "locked": True,
        "maximumTimeout": 7200,
    },
}
NO_TOKENS = replace_values(SECRETS, {"runnerTokens": {}})


def _short(urn: str) -> str:
    kind, _, name = urn.rpartition("::")
    return f"{kind.rpartition(':')[2]} {name}"


class TestTree:
    PARENTS: ClassVar = {
        "Environment test": "Stack image-builds-test",
        "BuildNamespace managers": "Environment test",
        "Namespace managers": "BuildNamespace managers",
        "NetworkPolicy managers-ingress": "Environment test",
        "NetworkPolicy managers-egress": "Environment test",
        "BuildNamespace target-apps": "Environment test",
        "Namespace target-apps": "BuildNamespace target-apps",
        "RegistryLogin target-apps-pull": "Environment test",
        "Secret target-apps-pull": "RegistryLogin target-apps-pull",
        "Runner main": "Environment test",
        "BuildNamespace main-jobs": "Runner main",
        "Namespace main-jobs": "BuildNamespace main-jobs",
        "NetworkPolicy main-jobs-ingress": "Runner main",
        "NetworkPolicy main-jobs-egress": "Runner main",
        "Access main": "Runner main",
        "ServiceAccount main-manager": "Access main",
        "ServiceAccount main-job": "Access main",
        "Role main-manager": "Access main",
        "RoleBinding main-manager": "Access main",
        "RegistryLogin main-pull": "Runner main",
        "Secret main-pull": "RegistryLogin main-pull",
        "RegistryLogin main-push": "Runner main",
        "Secret main-push": "RegistryLogin main-push",
        "RegistryFiles main-files": "Runner main",
        "ConfigMap main-files": "RegistryFiles main-files",
        "Registration main": "Runner main",
        "UserRunner main": "Registration main",
        "Secret main-token": "Runner main",
        "Secret main-gitlab-certificates": "Runner main",
        "Release main": "Runner main",
    }

    def test_every_child_sits_under_its_component(self) -> None:
        registered = _deploy(EVERYTHING, NO_TOKENS)

        parents = {_short(item.urn): _short(item.parent) for item in registered if item.parent}

        assert parents == self.PARENTS

    def test_a_callers_parent_moves_the_environment_and_nothing_else(self) -> None:
        configure(replace_values(SETTINGS, EVERYTHING), NO_TOKENS)
        stack = load()

        def program() -> None:
            outer = pulumi.ComponentResource("test:index:Outer", "outer")
            options = pulumi.ResourceOptions(parent=outer)
            Environment("test", environment_args(stack, YEAR), options)

        parents = {_short(item.urn): _short(item.parent) for item in deploy(program) if item.parent}

        assert parents == {
            **self.PARENTS,
            "Outer outer": "Stack image-builds-test",
            "Environment test": "Outer outer",
        }

    def test_the_manager_starts_after_all_that_it_and_its_jobs_need(self) -> None:
        registered = _deploy(EVERYTHING, NO_TOKENS)

        (release,) = [item for item in registered if item.type == RELEASE]

        assert {_short(urn) for urn in release.dependencies} >= {
            "RoleBinding main-manager",
            "ServiceAccount main-job",
            "NetworkPolicy main-jobs-ingress",
            "NetworkPolicy main-jobs-egress",
            "Secret main-pull",
            "Secret main-push",
            "ConfigMap main-files",
            "Secret main-token",
            "Secret main-gitlab-certificates",
        }


class TestWhatIsLeftOut:
    def test_without_certificates_there_is_no_config_map(self) -> None:
        registered = _deploy()

        assert _names(registered, "kubernetes:core/v1:ConfigMap") == []
        assert "config_map" not in _one(registered, RELEASE, "main")["values"]["runners"]["config"]

    def test_no_secret_is_made_without_certificates_of_gitlab(self) -> None:
        registered = _deploy()

        assert "main-gitlab-certificates" not in _names(registered, SECRET)
        assert "certsSecretName" not in _one(registered, RELEASE, "main")["values"]

    def test_with_a_token_no_runner_is_made_in_gitlab(self) -> None:
        assert _names(_deploy(), "gitlab:index/userRunner:UserRunner") == []

    def test_what_the_stack_makes_itself_is_never_adopted(self) -> None:
        registered = _deploy({"targetNamespaces": {"apps": {"adoptPullSecret": True}, "more": {}}})

        adopted = [item.name for item in registered if "patchForce" in json.dumps(item.inputs)]

        assert adopted == ["target-apps-pull"]

    def test_a_target_without_logins_is_only_a_namespace(self) -> None:
        registered = _deploy({"registries": []})

        labels = _one(registered, NAMESPACE, "target-apps")["metadata"]["labels"]

        assert labels["pod-security.kubernetes.io/enforce"] == "baseline"
        assert [item.name for item in registered if "target" in item.name] == [
            "target-apps",
            "target-apps",
        ]


class TestManager:
    def test_it_runs_as_restricted_demands(self) -> None:
        values = _one(_deploy(), RELEASE, "main")["values"]

        assert values["podSecurityContext"] == {
            "runAsUser": 100,
            "fsGroup": 65533,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert values["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": False,
            "runAsNonRoot": True,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
        }

    def test_it_uses_the_account_that_the_stack_gave_rights(self) -> None:
        registered = _deploy()

        account = _one(registered, "kubernetes:core/v1:ServiceAccount", "main-manager")
        values = _one(registered, RELEASE, "main")["values"]

        assert account["metadata"] == {"name": "gitlab-runner-main", "namespace": "builds"}
        assert values["serviceAccount"] == {"create": False, "name": "gitlab-runner-main"}

    def test_the_digest_is_of_the_token_and_does_not_show_it(self) -> None:
        annotations = _one(_deploy(), RELEASE, "main")["values"]["podAnnotations"]

        assert annotations == {"image-builds/token-digest": "1b1ee2a3a6780565"}


class TestRunnerMadeInGitLab:
    def test_it_is_made_with_what_the_stack_file_says(self) -> None:
        runner = _one(_deploy(EVERYTHING, NO_TOKENS), "gitlab:index/userRunner:UserRunner", "main")

        assert runner == {
            "runnerType": "project_type",
            "projectId": 8,
            "accessLevel": "ref_protected",
            "untagged": True,
            "locked": True,
            "maximumTimeout": 7200,
            "tagLists": ["build"],
            "description": "image-builds test main",
        }

    def test_its_token_is_in_the_token_secret_only(self) -> None:
        registered = _deploy(EVERYTHING, NO_TOKENS)

        text = "\n".join(unmarked([item.inputs, item.outputs]) for item in registered)

        assert "glrt-made-by-gitlab" not in text
        assert plain(_one(registered, SECRET, "main-token")["stringData"])["runner-token"] == (
            "glrt-made-by-gitlab"
        )

    def test_a_preview_is_readable_before_its_token_is_known(self) -> None:
        configure(replace_values(SETTINGS, EVERYTHING), NO_TOKENS)
        stack = load()

        values = _one(
            deploy(lambda: Environment("test", environment_args(stack, YEAR)), preview=True),
            RELEASE,
            "main",
        )["values"]

        assert not is_secret(values)
        assert values["gitlabUrl"] == "https://gitlab.example.com"
        assert 'namespace = "builds-main"' in values["runners"]["config"]
        assert values["podAnnotations"]["image-builds/token-digest"] == pulumi.runtime.rpc.UNKNOWN


def test_a_login_in_any_spelling_is_marked_secret() -> None:
    registered = _deploy()

    text = "\n".join(unmarked([item.inputs, item.outputs]) for item in registered)

    spelled = [
        spelling
        for secret in (TOKEN, PULL, PUSH, f"reader:{PULL}", f"writer:{PUSH}")
        for spelling in (secret, base64.b64encode(secret.encode()).decode())
    ]
    assert [spelling for spelling in spelled if spelling in text] == []
