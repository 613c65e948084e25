import json
from typing import Any

import pulumi
import pytest

from components.settings.load import load
from components.settings.models import Chart, RunnerSettings, Settings
from components.site import Amounts
from components.strategies.deploy import Deploy
from components.strategies.kaniko import Kaniko
from tests.support.configured import (
    CERTIFICATE,
    MISSING,
    PULL,
    PUSH,
    SECRETS,
    SETTINGS,
    TOKEN,
    bent,
    configure,
)

RUNNER = "image-builds:settings.runners.main"
NODES = "cluster.nodes"
KEY = "-----BEGIN " + "PRIVATE KEY-----\nAAAA\n-----END " + "PRIVATE KEY-----\n"

RIGHT = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"]}
RIGHTS = f"{RUNNER}.strategy.permissions.apps[0]"


def _deploys(rights: object) -> dict[str, Any]:
    return {"runners.main.strategy": {"kind": "deploy", "permissions": rights}}


def _grants(right: object) -> dict[str, Any]:
    return _deploys({"apps": [right]})


# id: (changes to the settings, the key that the line begins with, a part of the advice)
MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown-key": ({"gitlub": 1}, "image-builds:settings.gitlub", "did you mean gitlab?"),
    "unknown-key-unlike-any": ({"zzz": 1}, "image-builds:settings.zzz", "remove it"),
    "renamed-gitlab-ca": ({"gitlab.certificates": CERTIFICATE}, "image-builds:settings.gitlab.certificates", "was renamed to caCertificates"),
    "renamed-registry-ca": ({"registries.0.certificates": CERTIFICATE}, "image-builds:settings.registries[0].certificates", "was renamed to caCertificates"),
    "renamed-preview-account": ({"reviewer": True}, "image-builds:settings.reviewer", "was renamed to previewAccount"),
    "renamed-kind": ({"runners.main.strategy": {"kind": "none", "rights": {}}}, f"{RUNNER}.strategy", "is none, which was renamed to deploy"),
    "renamed-kind-by-name": ({"runners.main.strategy": "none"}, f"{RUNNER}.strategy", "is none, which was renamed to deploy"),
    "renamed-permissions": ({"runners.main.strategy": {"kind": "deploy", "rights": {"apps": [RIGHT]}}}, f"{RUNNER}.strategy.rights", "was renamed to permissions"),
    "unknown-gitlab-key": ({"gitlab.uri": "x"}, "image-builds:settings.gitlab.uri", "url?"),
    "unknown-nodes-key": ({f"{NODES}.sockets": 1}, "image-builds:settings.cluster.nodes.sockets", "remove it"),
    "unknown-registry-key": ({"registries.0.insecur": True}, "image-builds:settings.registries[0].insecur", "insecure?"),
    "unknown-runner-key": ({"runners.main.tag": "x"}, f"{RUNNER}.tag", "tags?"),
    "unknown-resource": ({"runners.main.resources": {"limits": {"gpu": "1"}}}, f"{RUNNER}.resources.limits.gpu", "cpu?"),
    "unknown-target-key": ({"targetNamespaces.apps.make": True}, "image-builds:settings.targetNamespaces.apps.make", "remove it"),
    "no-gitlab": ({"gitlab": MISSING}, "image-builds:settings.gitlab", "add it"),
    "no-url": ({"gitlab": {}}, "image-builds:settings.gitlab.url", "add it"),
    "no-cluster": ({"cluster": MISSING}, "image-builds:settings.cluster", "add it"),
    "no-cluster-kind": ({"cluster.kind": MISSING}, "image-builds:settings.cluster.kind", "add it"),
    "no-namespace": ({"namespace": MISSING}, "image-builds:settings.namespace", "add it"),
    "no-runners": ({"runners": MISSING}, "image-builds:settings.runners", "add it"),
    "empty-runners": ({"runners": {}}, "image-builds:settings.runners", "add at least one"),
    "no-tags": ({"runners.main.tags": MISSING}, f"{RUNNER}.tags", "add it"),
    "empty-tags": ({"runners.main.tags": []}, f"{RUNNER}.tags", "add at least one"),
    "no-registry-host": ({"registries.0.host": MISSING}, "image-builds:settings.registries[0].host", "add it"),
    "gitlab-is-text": ({"gitlab": "https://x"}, "image-builds:settings.gitlab", "key: value"),
    "runners-is-list": ({"runners": []}, "image-builds:settings.runners", "key: value"),
    "registries-is-mapping": ({"registries": {}}, "image-builds:settings.registries", "- "),
    "tags-is-text": ({"runners.main.tags": "build"}, f"{RUNNER}.tags", "- "),
    "url-is-number": ({"gitlab.url": 5}, "image-builds:settings.gitlab.url", "quotes"),
    "insecure-is-text": ({"registries.0.insecure": "yes"}, "image-builds:settings.registries[0].insecure", "true nor false"),
    "trusted-is-text": ({f"{NODES}.trusted": "true"}, "image-builds:settings.cluster.nodes.trusted", "without quotes"),
    "concurrent-is-text": ({"runners.main.concurrent": "5"}, f"{RUNNER}.concurrent", "without quotes"),
    "concurrent-zero": ({"runners.main.concurrent": 0}, f"{RUNNER}.concurrent", "1 or more"),
    "cluster-kind": ({"cluster.kind": "cloud"}, "image-builds:settings.cluster.kind", "'managed' or 'onPrem'"),
    "nodes-os": ({f"{NODES}.os": "windows"}, "image-builds:settings.cluster.nodes.os", "'ubuntu' or 'other'"),
    "unknown-strategy": ({"runners.main.strategy": "podman"}, f"{RUNNER}.strategy", "'kaniko'"),
    "strategy-without-kind": ({"runners.main.strategy": {}}, f"{RUNNER}.strategy", "add 'kind"),
    "strategy-is-list": ({"runners.main.strategy": []}, f"{RUNNER}.strategy", "key: value"),
    "dood-by-name": ({"runners.main.strategy": "dood"}, f"{RUNNER}.strategy.acceptNodeRoot", "must be true to confirm that anyone who can run a job becomes root on the node; write 'strategy: {kind: dood, acceptNodeRoot: true}', or use kaniko"),
    "dood-not-accepted": ({"runners.main.strategy": {"kind": "dood", "acceptNodeRoot": False}}, f"{RUNNER}.strategy.acceptNodeRoot", "must be true to confirm"),
    "dood-on-managed": ({"runners.main.strategy": {"kind": "dood", "acceptNodeRoot": True}, "cluster": {"kind": "managed"}}, f"{RUNNER}.strategy", "use kaniko"),
    "dood-without-socket": ({"runners.main.strategy": {"kind": "dood", "acceptNodeRoot": True}, f"{NODES}.dockerSocket": False}, f"{RUNNER}.strategy", "dockerSocket: true"),
    "dood-untrusted": ({"runners.main.strategy": {"kind": "dood", "acceptNodeRoot": True}, f"{NODES}.trusted": False}, f"{RUNNER}.strategy", "trusted: true"),
    "dind-untrusted": ({"runners.main.strategy": {"kind": "dind", "acceptPrivileged": True}, f"{NODES}.trusted": False}, f"{RUNNER}.strategy", "trusted: true"),
    "dind-image-of-another-variant": ({"runners.main.strategy": {"kind": "dind", "acceptPrivileged": True, "variant": "rootless", "daemonImage": "docker:29.7.2-dind"}}, f"{RUNNER}.strategy", "-dind-rootless"),
    "dind-by-name-alone": ({"runners.main.strategy": "dind"}, f"{RUNNER}.strategy.acceptPrivileged", "write 'strategy: {kind: dind, acceptPrivileged: true}'"),
    "buildkit-rootless-without-host-users": ({"runners.main.strategy": {"kind": "buildkit", "hostUsers": False}, f"{NODES}.userNamespaces": True}, f"{RUNNER}.strategy", "newuidmap fails; use variant: rootful"),
    "buildkit-without-user-namespaces": ({"runners.main.strategy": {"kind": "buildkit", "variant": "rootful", "hostUsers": False}, f"{NODES}.userNamespaces": False}, f"{RUNNER}.strategy", "userNamespaces: true"),
    "buildkit-rootful-on-the-node": ({"runners.main.strategy": {"kind": "buildkit", "variant": "rootful"}}, f"{RUNNER}.strategy", "add hostUsers: false"),
    "buildkit-privileged-unsaid": ({"runners.main.strategy": {"kind": "buildkit", "variant": "privileged"}}, f"{RUNNER}.strategy", "add acceptPrivileged: true"),
    "buildkit-privileged-untrusted": ({"runners.main.strategy": {"kind": "buildkit", "variant": "privileged", "acceptPrivileged": True}, f"{NODES}.trusted": False}, f"{RUNNER}.strategy", "trusted: true"),
    "buildkit-privileged-without-host-users": ({"runners.main.strategy": {"kind": "buildkit", "variant": "privileged", "acceptPrivileged": True, "hostUsers": False}, f"{NODES}.userNamespaces": True}, f"{RUNNER}.strategy", "which is variant: rootful"),
    "buildkit-rootful-with-profiles": ({"runners.main.strategy": {"kind": "buildkit", "variant": "rootful", "hostUsers": False, "nodeProfiles": {"seccomp": "a.json", "appArmor": "a"}}, f"{NODES}.userNamespaces": True}, f"{RUNNER}.strategy", "remove nodeProfiles"),
    "buildkit-rootless-with-rootful-image": ({"runners.main.strategy": {"kind": "buildkit", "image": "moby/buildkit:v0.34.2"}}, f"{RUNNER}.strategy", "ends in -rootless"),
    "buildkit-privileged-with-rootless-image": ({"runners.main.strategy": {"kind": "buildkit", "variant": "privileged", "acceptPrivileged": True, "image": "moby/buildkit:v0.34.2-rootless"}}, f"{RUNNER}.strategy", "one without -rootless"),
    "buildkit-accepts-for-nothing": ({"runners.main.strategy": {"kind": "buildkit", "acceptPrivileged": True}}, f"{RUNNER}.strategy", "remove acceptPrivileged"),
    "buildkit-accepts-false": ({"runners.main.strategy": {"kind": "buildkit", "acceptPrivileged": False}}, f"{RUNNER}.strategy.acceptPrivileged", "{kind: buildkit, acceptPrivileged: true}"),
    "buildkit-unknown-variant": ({"runners.main.strategy": {"kind": "buildkit", "variant": "daemonless"}}, f"{RUNNER}.strategy.variant", "'rootless', 'rootful' or 'privileged'"),
    "buildkit-half-a-profile": ({"runners.main.strategy": {"kind": "buildkit", "nodeProfiles": {"seccomp": "a.json"}}}, f"{RUNNER}.strategy.nodeProfiles.appArmor", "is required"),
    "buildkit-at-baseline": ({"runners.main.strategy": "buildkit", "cluster.podSecurityLimit": "baseline"}, f"{RUNNER}.strategy", "nodeProfiles if"),
    "buildkit-on-autopilot": ({"runners.main.strategy": "buildkit", "cluster.platform": "gkeAutopilot"}, f"{RUNNER}.strategy", "GKE Standard"),
    "buildkit-on-eks-auto": ({"runners.main.strategy": "buildkit", "cluster.platform": "eksAuto"}, f"{RUNNER}.strategy", "node group of your own"),
    "buildkit-rootful-on-eks-auto": ({"runners.main.strategy": {"kind": "buildkit", "variant": "rootful", "hostUsers": False}, "cluster.platform": "eksAuto", f"{NODES}.userNamespaces": True}, f"{RUNNER}.strategy", "do not allow user namespaces"),
    "buildkit-on-fargate": ({"runners.main.strategy": "buildkit", "cluster.platform": "eksFargate"}, f"{RUNNER}.strategy", "max_user_namespaces=0"),
    "buildkit-privileged-on-fargate": ({"runners.main.strategy": {"kind": "buildkit", "variant": "privileged", "acceptPrivileged": True}, "cluster.platform": "eksFargate"}, f"{RUNNER}.strategy", "jobs on EC2 nodes"),
    "service-at-baseline": ({"runners.main.strategy": "buildkit-service", "cluster.podSecurityLimit": "baseline"}, f"{RUNNER}.strategy", "in the namespace of buildkitd"),
    "service-on-autopilot": ({"runners.main.strategy": "buildkit-service", "cluster.platform": "gkeAutopilot"}, f"{RUNNER}.strategy", "GKE Standard"),
    "service-on-fargate": ({"runners.main.strategy": "buildkit-service", "cluster.platform": "eksFargate"}, f"{RUNNER}.strategy", "max_user_namespaces=0"),
    "service-with-rootful-image": ({"runners.main.strategy": {"kind": "buildkit-service", "daemonImage": "moby/buildkit:v0.34.2"}}, f"{RUNNER}.strategy", "ends in -rootless"),
    "service-unknown-client": ({"runners.main.strategy": {"kind": "buildkit-service", "client": "docker"}}, f"{RUNNER}.strategy.client", "'buildctl' or 'buildx'"),
    "service-cache-unit": ({"runners.main.strategy": {"kind": "buildkit-service", "cacheSize": "20GB"}}, f"{RUNNER}.strategy.cacheSize", "must be a Kubernetes quantity"),
    "service-elsewhere": ({"runners.main": {"tags": ["build"], "strategy": "buildkit-service", "environment": {"BUILDKIT_HOST": "tcp://other:1234"}}}, f"{RUNNER}.environment.BUILDKIT_HOST", "which the stack sets; remove it"),
    "insecure-in-the-job": ({"runners.main": {"tags": ["build"], "strategy": "buildkit-service", "environment": {"BUILDKITD_FLAGS": "--config=/x.toml"}}}, f"{RUNNER}.environment.BUILDKITD_FLAGS", "which reach the daemon"),
    "two-services": ({"runners.main.strategy": "buildkit-service", "runners.other": {"tags": ["x"], "strategy": {"kind": "buildkit-service", "cacheSize": "1Gi"}}}, "image-builds:settings.runners.other.strategy", "use two stacks"),
    "jobs-beside-the-service": ({"runners.main.strategy": "buildkit-service", "runners.main.jobNamespace": "builds-buildkitd"}, f"{RUNNER}.jobNamespace", "give each its own"),
    "target-is-the-services": ({"runners.main.strategy": "buildkit-service", "targetNamespaces": {"builds-buildkitd": {}}}, "image-builds:settings.targetNamespaces.builds-buildkitd", "use another one"),
    "buildx-by-name-alone": ({"runners.main.strategy": "buildx"}, f"{RUNNER}.strategy.acceptPrivileged", "write 'strategy: {kind: buildx, acceptPrivileged: true}'"),
    "buildx-untrusted": ({"runners.main.strategy": {"kind": "buildx", "acceptPrivileged": True}, f"{NODES}.trusted": False}, f"{RUNNER}.strategy", "with client: buildx"),
    "buildx-with-rootful-image": ({"runners.main.strategy": {"kind": "buildx", "acceptPrivileged": True, "daemonImage": "moby/buildkit:v0.34.2"}}, f"{RUNNER}.strategy", "ends in -rootless"),
    "buildx-at-baseline": ({"runners.main.strategy": {"kind": "buildx", "acceptPrivileged": True}, "cluster.podSecurityLimit": "baseline"}, f"{RUNNER}.strategy", "use kaniko, or have"),
    "buildx-on-fargate": ({"runners.main.strategy": {"kind": "buildx", "acceptPrivileged": True}, "cluster.platform": "eksFargate"}, f"{RUNNER}.strategy", "max_user_namespaces=0"),
    "buildah-root-on-fargate": ({"runners.main.strategy": {"kind": "buildah", "variant": "root"}, "cluster.platform": "eksFargate"}, f"{RUNNER}.strategy", "added capabilities"),
    "buildah-on-eks-auto": ({"runners.main.strategy": "buildah", "cluster.platform": "eksAuto"}, f"{RUNNER}.strategy", "use kaniko"),
    "buildah-on-autopilot": ({"runners.main.strategy": "buildah", "cluster.platform": "gkeAutopilot"}, f"{RUNNER}.strategy", "its seccomp profile RuntimeDefault"),
    "buildah-at-baseline": ({"runners.main.strategy": "buildah", "cluster.podSecurityLimit": "baseline"}, f"{RUNNER}.strategy", "needs the Pod Security level privileged"),
    "buildah-privileged-unsaid": ({"runners.main.strategy": {"kind": "buildah", "variant": "privileged"}}, f"{RUNNER}.strategy", "variant chroot"),
    "buildah-privileged-untrusted": ({"runners.main.strategy": {"kind": "buildah", "variant": "privileged", "acceptPrivileged": True}, f"{NODES}.trusted": False}, f"{RUNNER}.strategy", "trusted: true"),
    "buildah-privileged-with-profiles": ({"runners.main.strategy": {"kind": "buildah", "variant": "privileged", "acceptPrivileged": True, "nodeProfiles": {"seccomp": "a.json", "appArmor": "a"}}}, f"{RUNNER}.strategy", "remove nodeProfiles"),
    "buildah-unknown-driver": ({"runners.main.strategy": {"kind": "buildah", "storageDriver": "devicemapper"}}, f"{RUNNER}.strategy.storageDriver", "'vfs' or 'overlay'"),
    "kaniko-at-restricted": ({"runners.main.strategy": "kaniko", "cluster.podSecurityLimit": "restricted"}, f"{RUNNER}.strategy", "raise the limit"),
    "auto-at-restricted": ({"runners.main.strategy": "auto", "cluster.podSecurityLimit": "restricted"}, f"{RUNNER}.strategy", "raise the limit"),
    "dind-at-baseline": ({"runners.main.strategy": {"kind": "dind", "acceptPrivileged": True}, "cluster.podSecurityLimit": "baseline"}, f"{RUNNER}.strategy", "use kaniko, or have"),
    "dind-on-autopilot": ({"runners.main.strategy": {"kind": "dind", "acceptPrivileged": True}, "cluster.platform": "gkeAutopilot"}, f"{RUNNER}.strategy", "autogke-disallow-privilege"),
    "dind-on-fargate": ({"runners.main.strategy": {"kind": "dind", "acceptPrivileged": True}, "cluster.platform": "eksFargate"}, f"{RUNNER}.strategy", "EKS Fargate"),
    "dood-on-rke2": ({"runners.main.strategy": {"kind": "dood", "acceptNodeRoot": True}, "cluster.platform": "rke2"}, f"{RUNNER}.strategy", "RKE2's containerd has none"),
    "dood-on-openshift": ({"runners.main.strategy": {"kind": "dood", "acceptNodeRoot": True}, "cluster.platform": "openShift"}, f"{RUNNER}.strategy", "CRI-O has none"),
    "dood-on-fargate": ({"runners.main.strategy": {"kind": "dood", "acceptNodeRoot": True}, "cluster.platform": "eksFargate"}, f"{RUNNER}.strategy", "host paths"),
    "same-tags-another-strategy": ({"runners.other": {"tags": ["build"], "strategy": "buildkit"}}, "image-builds:settings.runners.other.tags", "use different tags"),
    "rights-of-a-build-runner": ({"runners.main.strategy": {"kind": "kaniko", "permissions": {"apps": [RIGHT]}}}, f"{RUNNER}.strategy.permissions", "remove it"),
    "rights-outside-the-targets": (_deploys({"other": [RIGHT]}), f"{RUNNER}.strategy.permissions.other", "add other there"),
    "rights-with-the-managers": (_deploys({"builds": [RIGHT]}), f"{RUNNER}.strategy.permissions.builds", "is the managers' namespace, where a job could take over"),
    "rights-with-the-daemon": ({**_deploys({"builds-buildkitd": [RIGHT]}), "runners.other": {"tags": ["x"], "strategy": "buildkit-service"}}, f"{RUNNER}.strategy.permissions.builds-buildkitd", "rely on; deploy to"),
    "rights-in-the-own-job-namespace": (_deploys({"builds-main": [RIGHT]}), f"{RUNNER}.strategy.permissions.builds-main", "logins of others; deploy to"),
    "rights-in-kube-system": ({**_deploys({"kube-system": [RIGHT]}), "targetNamespaces.kube-system": {}}, f"{RUNNER}.strategy.permissions.kube-system", "a namespace of your own"),
    "rights-without-a-rule": (_deploys({"apps": []}), f"{RUNNER}.strategy.permissions.apps", "add at least one"),
    "right-without-verbs": (_grants({"apiGroups": [""], "resources": ["pods"]}), f"{RIGHTS}.verbs", "add it"),
    "right-with-empty-groups": (_grants({**RIGHT, "apiGroups": []}), f"{RIGHTS}.apiGroups", "add at least one"),
    "right-with-unknown-key": (_grants({**RIGHT, "verb": ["get"]}), f"{RIGHTS}.verb", "did you mean verbs?"),
    "right-to-every-verb": (_grants({**RIGHT, "verbs": ["*"]}), f"{RIGHTS}.verbs[0]", "what later versions add; list each"),
    "right-to-every-resource": (_grants({**RIGHT, "resources": ["*"]}), f"{RIGHTS}.resources[0]", "list each one"),
    "right-to-every-subresource": (_grants({**RIGHT, "resources": ["pods/*"]}), f"{RIGHTS}.resources[0]", "list each one"),
    "right-in-every-group": (_grants({**RIGHT, "apiGroups": ["*"]}), f"{RIGHTS}.apiGroups[0]", "list each one"),
    "right-to-escalate": (_grants({**RIGHT, "verbs": ["get", "escalate"]}), f"{RIGHTS}.verbs[1]", "does not list; remove it"),
    "right-to-bind": (_grants({**RIGHT, "verbs": ["bind"]}), f"{RIGHTS}.verbs[0]", "does not list; remove it"),
    "right-to-impersonate": (_grants({**RIGHT, "verbs": ["impersonate"]}), f"{RIGHTS}.verbs[0]", "does not list; remove it"),
    "right-to-use": (_grants({**RIGHT, "verbs": ["use"]}), f"{RIGHTS}.verbs[0]", "use one of get, list"),
    "right-by-kind": (_grants({**RIGHT, "resources": ["Deployment"]}), f"{RIGHTS}.resources[0]", "plural in lowercase"),
    "right-by-version": (_grants({**RIGHT, "apiGroups": ["apps/v1"]}), f"{RIGHTS}.apiGroups[0]", "the group alone"),
    "right-in-no-group": (_grants({**RIGHT, "apiGroups": ["Apps"]}), f"{RIGHTS}.apiGroups[0]", "lowercase"),
    "right-to-read-secrets": (_grants({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}), RIGHTS, "HELM_DRIVER: configmap"),
    "right-to-tokens": (_grants({"apiGroups": ["apps", ""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}), RIGHTS, "act as another account; remove it"),
    "right-to-the-level": (_grants({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["patch"]}), RIGHTS, "Pod Security level there; remove it"),
    "right-to-finalize": (_grants({"apiGroups": [""], "resources": ["namespaces/finalize"], "verbs": ["update"]}), RIGHTS, "remove it"),
    "right-to-exec": (_grants({"apiGroups": [""], "resources": ["pods", "pods/exec"], "verbs": ["create"]}), RIGHTS, "deploy a Job instead"),
    "right-to-roles": (_grants({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"]}), RIGHTS, "have the cluster's owner create roles"),
    "right-to-bindings": (_grants({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["rolebindings"], "verbs": ["get"]}), RIGHTS, "have the cluster's owner create roles"),
    "deploys-untagged-jobs": ({"runners.main.strategy": "deploy", "runners.main.registration": {"kind": "userRunner", "runnerType": "instance_type", "untagged": True}}, f"{RUNNER}.registration.untagged", "give the deploy job the runner's tag"),
    "selector-against-the-strategy": ({"runners.main.strategy": {"kind": "dind", "acceptPrivileged": True}, "runners.main.nodeSelector": {"image-builds/docker-socket": "false"}}, f"{RUNNER}.nodeSelector", "so no node fits; remove one"),
    "selector-of-a-runner": ({"runners.main.nodeSelector": {"pool": "a b"}}, f"{RUNNER}.nodeSelector.pool", "63 letters"),
    "runtime-class-with-the-nodes-socket": ({"runners.main.strategy": {"kind": "dood", "acceptNodeRoot": True}, "runners.main.runtimeClassName": "gvisor"}, f"{RUNNER}.runtimeClassName", "remove it, or use kaniko"),
    "runtime-class-name": ({"runners.main.runtimeClassName": "gVisor"}, f"{RUNNER}.runtimeClassName", "lowercase"),
    "priority-class-name": ({"runners.main.priorityClassName": "-high"}, f"{RUNNER}.priorityClassName", "lowercase"),
    "toleration-without-key": ({"runners.main.tolerations": [{"effect": "NoSchedule"}]}, f"{RUNNER}.tolerations[0].key", "add it"),
    "toleration-with-operator": ({"runners.main.tolerations": [{"key": "a", "operator": "Exists"}]}, f"{RUNNER}.tolerations[0].operator", "remove it"),
    "toleration-effect": ({"runners.main.tolerations": [{"key": "a", "effect": "NoRun"}]}, f"{RUNNER}.tolerations[0].effect", "'NoSchedule'"),
    "toleration-twice": ({"runners.main.tolerations": [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoExecute"}]}, f"{RUNNER}.tolerations", "remove effect"),
    "service-request-above-limit": ({"runners.main.resources": {"service": {"requests": {"cpu": 2}, "limits": {"cpu": 1}}}}, f"{RUNNER}.resources.service", "lower the request"),
    "unknown-platform": ({"cluster.platform": "minikube"}, "image-builds:settings.cluster.platform", "'eksAuto', 'eksFargate'"),
    "unknown-runtime": ({f"{NODES}.runtime": "podman"}, f"image-builds:settings.{NODES}.runtime", "'containerd', 'crio' or 'docker'"),
    "unknown-limit": ({"cluster.podSecurityLimit": "strict"}, "image-builds:settings.cluster.podSecurityLimit", "'privileged', 'baseline' or 'restricted'"),
    "option-of-another-strategy": ({"runners.main.strategy": {"kind": "kaniko", "acceptNodeRoot": True}}, f"{RUNNER}.strategy.acceptNodeRoot", "unknown key of this kind; remove it"),
    "image-latest": ({"runners.main.strategy": {"kind": "kaniko", "image": "a/b:latest"}}, f"{RUNNER}.strategy.image", "add a tag"),
    "image-not-ascii": ({"runners.main.strategy": {"kind": "kaniko", "image": "ghcr.io//x..y:v1"}}, f"{RUNNER}.strategy.image", "must be an image reference"),
    "cache-with-a-tag": ({"runners.main.strategy": {"kind": "kaniko", "cacheRepository": "a/b:v1"}}, f"{RUNNER}.strategy.cacheRepository", "remove tag and digest"),
    "image-untagged": ({"runners.main.strategy": {"kind": "kaniko", "image": "host:5000/a/b"}}, f"{RUNNER}.strategy.image", "add a tag"),
    "image-malformed": ({"runners.main.strategy": {"kind": "kaniko", "image": "a b:1"}}, f"{RUNNER}.strategy.image", "team/tool:1.2"),
    "image-bad-digest": ({"runners.main.strategy": {"kind": "kaniko", "image": "a/b@sha256:12"}}, f"{RUNNER}.strategy.image", "<64 hex digits>"),
    "namespace-upper-case": ({"namespace": "Builds"}, "image-builds:settings.namespace", "lowercase"),
    "namespace-with-dot": ({"namespace": "a.b"}, "image-builds:settings.namespace", "lowercase"),
    "namespace-too-long": ({"namespace": "a" * 64}, "image-builds:settings.namespace", "63"),
    "runner-name": ({"runners": {"My_Runner": {"tags": ["x"]}}}, "image-builds:settings.runners.My_Runner", "lowercase"),
    "runner-name-too-long": ({"namespace": "n", "runners": {"r" * 45: {"tags": ["x"]}}}, "image-builds:settings.runners." + "r" * 45, "shorten"),
    "job-namespace-label": ({"runners.main.jobNamespace": "-x"}, f"{RUNNER}.jobNamespace", "lowercase"),
    "job-namespace-too-long": ({"namespace": "n" * 60}, f"{RUNNER}.jobNamespace", "shorten"),
    "runner-with-hyphen": ({"runners": {"my-apps": {"tags": ["x"], "jobNamespace": "builds"}}}, "image-builds:settings.runners.my-apps.jobNamespace", "give each its own"),
    "two-runners-in-one-namespace": ({"runners.main.jobNamespace": "x", "runners.other": {"tags": ["y"], "jobNamespace": "x"}}, "image-builds:settings.runners.other.jobNamespace", "give each its own"),
    "jobs-beside-the-manager": ({"runners.main.jobNamespace": "builds"}, f"{RUNNER}.jobNamespace", "give each its own"),
    "jobs-beside-the-apps": ({"runners.main.jobNamespace": "apps"}, f"{RUNNER}.jobNamespace", "give each its own"),
    "target-is-the-managers": ({"targetNamespaces": {"builds": {}}}, "image-builds:settings.targetNamespaces.builds", "another"),
    "target-label": ({"targetNamespaces": {"Apps": {}}}, "image-builds:settings.targetNamespaces.Apps", "lowercase"),
    "template-in-value": ({"runners.main.environment": {"A": "{{ .Values }}"}}, f"{RUNNER}.environment.A", "write it without"),
    "template-in-tag": ({"runners.main.tags": ["{{x}}"]}, f"{RUNNER}.tags[0]", "write it without"),
    "tag-with-comma": ({"runners.main.tags": ["a,b"]}, f"{RUNNER}.tags[0]", "without a comma"),
    "tag-blank": ({"runners.main.tags": [" "]}, f"{RUNNER}.tags[0]", "1 to 255"),
    "docker-opts": ({"runners.main.environment": {"DOCKER_OPTS": "--insecure-registry=x"}}, f"{RUNNER}.environment.DOCKER_OPTS", "daemon.json"),
    "docker-auth-config": ({"runners.main.environment": {"DOCKER_AUTH_CONFIG": "x"}}, f"{RUNNER}.environment.DOCKER_AUTH_CONFIG", "registryCredentials"),
    "variable-name": ({"runners.main.environment": {"1A": "x"}}, f"{RUNNER}.environment.1A", "not starting with a digit"),
    "variable-is-number": ({"runners.main.environment": {"A": 1}}, f"{RUNNER}.environment.A", "quotes"),
    "seccomp-with-old-chart": ({"runners.main.seccompProfile": "RuntimeDefault"}, f"{RUNNER}.seccompProfile", "raise chart.version"),
    "budget-with-old-chart": ({"runners.main.podDisruptionBudget": True}, f"{RUNNER}.podDisruptionBudget", "raise chart.version"),
    "seccomp-unconfined": ({"runners.main.seccompProfile": "Unconfined"}, f"{RUNNER}.seccompProfile", "'RuntimeDefault'"),
    "chart-range": ({"chart": {"version": "^0.86"}}, "image-builds:settings.chart.version", "write it like"),
    "chart-too-old": ({"chart": {"version": "0.85.0"}}, "image-builds:settings.chart.version", "raise it"),
    "chart-archive-empty": ({"chart": {"archive": ""}}, "image-builds:settings.chart.archive", "remove the key"),
    "chart-repository": ({"chart": {"repository": "charts"}}, "image-builds:settings.chart.repository", "https://"),
    "gitlab-certificates": ({"gitlab.caCertificates": "nonsense"}, "image-builds:settings.gitlab.caCertificates", "paste the CA"),
    "certificates-for-ipv6": ({"gitlab": {"url": "https://[2001:db8::1]", "caCertificates": CERTIFICATE}}, "image-builds:settings.gitlab.caCertificates", "DNS name"),
    "registry-certificates": ({"registries.0": {"host": "r", "caCertificates": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}}, "image-builds:settings.registries[0].caCertificates", "paste the CA"),
    "certificates-with-key": ({"gitlab.caCertificates": CERTIFICATE + KEY}, "image-builds:settings.gitlab.caCertificates", "remove it"),
    "insecure-with-certificates": ({"registries.0.caCertificates": CERTIFICATE}, "image-builds:settings.registries[0]", "remove 'insecure'"),
    "quantity-suffix": ({"runners.main.resources": {"limits": {"memory": "1GB"}}}, f"{RUNNER}.resources.limits.memory", "500m, 2, 1Gi"),
    "quantity-zero": ({"runners.main.resources": {"limits": {"cpu": 0}}}, f"{RUNNER}.resources.limits.cpu", "remove the key"),
    "quantity-negative": ({"runners.main.resources": {"limits": {"cpu": "-1"}}}, f"{RUNNER}.resources.limits.cpu", "500m, 2, 1Gi"),
    "quantity-is-bool": ({"runners.main.resources": {"limits": {"cpu": True}}}, f"{RUNNER}.resources.limits.cpu", "quotes"),
    "request-above-limit": ({"runners.main.resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}}, f"{RUNNER}.resources", "lower the request"),
    "url-without-scheme": ({"gitlab.url": "gitlab.example.com"}, "image-builds:settings.gitlab.url", "https://"),
    "url-with-credentials": ({"gitlab.url": "https://a:b@gitlab.example.com"}, "image-builds:settings.gitlab.url", "remove them"),
    "url-with-query": ({"gitlab.url": "https://gitlab.example.com?x=1"}, "image-builds:settings.gitlab.url", "must end after the path"),
    "registry-with-scheme": ({"registries.0.host": "https://registry.example.com"}, "image-builds:settings.registries[0].host", "without scheme"),
    "registry-with-path": ({"registries.0.host": "registry.example.com/team"}, "image-builds:settings.registries[0].host", "without scheme and path"),
    "registry-upper-case": ({"registries.0.host": "Registry.example.com"}, "image-builds:settings.registries[0].host", "lowercase"),
    "registry-bad-port": ({"registries.0.host": "registry.example.com:70000"}, "image-builds:settings.registries[0].host", ":port"),
    "registry-twice": ({"registries": [{"host": "r"}, {"host": "r"}]}, "image-builds:settings.registries[1].host", "merge"),
    "docker-hub-twice": ({"registries": [{"host": "docker.io"}, {"host": "index.docker.io"}]}, "image-builds:settings.registries[1].host", "merge"),
    "mirror-with-scheme": ({"registryMirrors": ["https://mirror"]}, "image-builds:settings.registryMirrors[0]", "without scheme"),
    "selector-key": ({f"{NODES}.selector": {"a b": "x"}}, "image-builds:settings.cluster.nodes.selector.a b", "'/' if it has a prefix"),
    "selector-value-not-ascii": ({f"{NODES}.selector": {"a": "aéb"}}, "image-builds:settings.cluster.nodes.selector.a", "63 letters"),
    "selector-key-prefix": ({f"{NODES}.selector": {"../a": "x"}}, "image-builds:settings.cluster.nodes.selector.../a", "label key"),
    "chart-not-ascii": ({"chart.version": "0.8٦.0"}, "image-builds:settings.chart.version", "like 0.86.0"),
    "selector-value": ({f"{NODES}.selector": {"a": "x y"}}, "image-builds:settings.cluster.nodes.selector.a", "63 letters"),
    "project-runner-without-project": ({"runners.main.registration": {"kind": "userRunner", "runnerType": "project_type"}}, f"{RUNNER}.registration", "add it"),
    "group-runner-with-project": ({"runners.main.registration": {"kind": "userRunner", "runnerType": "group_type", "groupId": 1, "projectId": 2}}, f"{RUNNER}.registration", "remove it"),
    "runner-type": ({"runners.main.registration": {"kind": "userRunner", "runnerType": "project"}}, f"{RUNNER}.registration.runnerType", "'project_type'"),
    "unknown-registration": ({"runners.main.registration": "magic"}, f"{RUNNER}.registration", "'userRunner'"),
    "pull-without-login": ({"registries.0.pull": "other"}, "image-builds:registryCredentials.other", "pulumi config set"),
    "push-without-login": ({"registries.0.push": "other"}, "image-builds:registryCredentials.other", "pulumi config set"),
    "token-never-used": ({"runners.main.registration": {"kind": "userRunner", "runnerType": "instance_type"}}, "image-builds:runnerTokens.main", "remove it"),
    "runner-without-token": ({"runners.other": {"tags": ["x"]}}, "image-builds:runnerTokens.other", "pulumi config set"),
}  # fmt: skip

SECRET_MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    "no-token": ({"runnerTokens": {}}, "image-builds:runnerTokens.main", "pulumi config set"),
    "registration-token": ({"runnerTokens.main": "GR1348941abcdef"}, "image-builds:runnerTokens.main", "glrt-"),
    "token-with-newline": ({"runnerTokens.main": f"{TOKEN}\n"}, "image-builds:runnerTokens.main", "strip it"),
    "token-of-another-kind": ({"runnerTokens.main": "glpat-abcdefghijkl"}, "image-builds:runnerTokens.main", "glrt-"),
    "token-is-number": ({"runnerTokens.main": 5}, "image-builds:runnerTokens.main", "quotes"),
    "token-of-no-runner": ({"runnerTokens.gone": TOKEN}, "image-builds:runnerTokens.gone", "remove or rename"),
    "no-password": ({"registryCredentials.in.password": MISSING}, "image-builds:registryCredentials.in.password", "add it"),
    "empty-password": ({"registryCredentials.in.password": ""}, "image-builds:registryCredentials.in.password", "give it a value"),
    "empty-username": ({"registryCredentials.in.username": ""}, "image-builds:registryCredentials.in.username", "give it a value"),
    "unknown-login-key": ({"registryCredentials.in.user": "x"}, "image-builds:registryCredentials.in.user", "username?"),
}  # fmt: skip


def _lines() -> list[str]:
    with pytest.raises(pulumi.RunError) as failure:
        load()
    return str(failure.value).splitlines()


def _assert_told(lines: list[str], path: str, advice: str) -> None:
    told = [line for line in lines[1:] if line.startswith(f"{path}: ")]
    assert len(told) == 1, lines
    assert advice in told[0]
    assert "nothing was changed" in lines[0]
    text = "\n".join(lines)
    assert [secret for secret in (TOKEN, PULL, PUSH) if secret in text] == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_line_with_its_key_and_advice(mistake: str) -> None:
    changes, path, advice = MISTAKES[mistake]
    configure(bent(SETTINGS, changes), SECRETS)

    _assert_told(_lines(), path, advice)


@pytest.mark.parametrize("mistake", SECRET_MISTAKES)
def test_a_mistake_in_a_secret_is_told_without_its_value(mistake: str) -> None:
    changes, path, advice = SECRET_MISTAKES[mistake]
    configure(SETTINGS, bent(SECRETS, changes))

    lines = _lines()

    _assert_told(lines, path, advice)
    assert "abcdef" not in "\n".join(lines)


def test_missing_settings_are_told() -> None:
    configure(None, SECRETS)

    _assert_told(_lines(), "image-builds:settings", "add it")


def test_settings_that_are_no_json_are_told() -> None:
    configure(SETTINGS, SECRETS)
    pulumi.runtime.set_config("image-builds:settings", "a: [")

    _assert_told(_lines(), "image-builds:settings", "YAML mapping")


def test_settings_that_are_a_list_are_told() -> None:
    configure([1], SECRETS)

    _assert_told(_lines(), "image-builds:settings", "key: value")


@pytest.mark.parametrize(
    ("accepted", "path", "advice"),
    [
        ("a risk", "image-builds:acceptedRisks", "key: value"),
        (["a risk"], "image-builds:acceptedRisks", "key: value"),
        ({"a/b/c": ""}, "image-builds:acceptedRisks.a/b/c", "write it in words"),
        ({"a/b/c": " "}, "image-builds:acceptedRisks.a/b/c", "write it in words"),
        ({"a/b/c": None}, "image-builds:acceptedRisks.a/b/c", "write it in words"),
        ({"a/b/c": {"reason": "x"}}, "image-builds:acceptedRisks.a/b/c", "write it in words"),
    ],
)
def test_a_risk_that_is_accepted_without_a_reason_is_told(
    accepted: object,
    path: str,
    advice: str,
) -> None:
    configure(SETTINGS, SECRETS)
    pulumi.runtime.set_config("image-builds:acceptedRisks", json.dumps(accepted))

    _assert_told(_lines(), path, advice)


def test_accepted_risks_that_are_no_json_are_told() -> None:
    configure(SETTINGS, SECRETS)
    pulumi.runtime.set_config("image-builds:acceptedRisks", "a: [")

    _assert_told(_lines(), "image-builds:acceptedRisks", "YAML mapping")


def test_risks_that_are_accepted_with_a_reason_are_no_mistake() -> None:
    configure(SETTINGS, SECRETS)
    pulumi.runtime.set_config("image-builds:acceptedRisks", json.dumps({"a/b/c": "because"}))

    settings = load().settings

    assert settings == Settings.model_validate(SETTINGS)


def test_a_cluster_that_is_not_named_is_told() -> None:
    configure(SETTINGS, SECRETS, context=None)

    _assert_told(_lines(), "kubernetes:context", "pulumi config set")


@pytest.mark.parametrize("key", ["runnerTokens", "registryCredentials"])
def test_a_secret_in_plain_text_is_refused(key: str) -> None:
    configure(SETTINGS, SECRETS, plain=(key,))

    _assert_told(_lines(), f"image-builds:{key}", "--secret")


def test_several_mistakes_are_told_together() -> None:
    changes = {"gitlab.url": "x", "namespace": "X", "runners.main.concurrent": 0}
    configure(bent(SETTINGS, changes), SECRETS, context=None)

    lines = _lines()

    assert lines[0].startswith("4 mistakes")
    assert len(lines) == 5


def test_each_mistake_is_another() -> None:
    assert len({str(value) for value in {**MISTAKES, **SECRET_MISTAKES}.values()}) >= 100


def test_what_is_left_out_gets_its_default() -> None:
    configure(SETTINGS, SECRETS)

    stack = load()
    settings, secrets = stack.settings, stack.secrets

    assert settings.runners["main"].strategy == Kaniko()
    assert settings.runners["main"].concurrent == 10
    assert settings.chart == Chart(version="0.86.0", repository="https://charts.gitlab.io")
    assert settings.job_namespace("main") == "builds-main"
    assert secrets.runner_tokens["main"].get_secret_value() == TOKEN
    assert TOKEN not in repr(secrets)


def test_a_strategy_is_given_by_name_or_with_options() -> None:
    by_name = RunnerSettings.model_validate({"tags": ["x"], "strategy": "kaniko"})
    with_kind = RunnerSettings.model_validate({"tags": ["x"], "strategy": {"kind": "kaniko"}})

    assert by_name == with_kind


def test_a_deploy_runner_has_no_rights_unless_they_are_listed() -> None:
    by_name = RunnerSettings.model_validate({"tags": ["x"], "strategy": "deploy"})

    assert by_name.strategy == Deploy(permissions={})


def test_rights_of_a_deployment_are_taken_as_they_are_listed() -> None:
    listed = [
        RIGHT,
        {"apiGroups": [""], "resources": ["configmaps", "pods/log"], "verbs": ["get"]},
        # Only the core group's are Kubernetes' Secrets.
        {"apiGroups": ["example.com"], "resources": ["secrets"], "verbs": ["list"]},
    ]
    configure(bent(SETTINGS, _deploys({"apps": listed})), SECRETS)

    strategy = load().settings.runners["main"].strategy

    assert isinstance(strategy, Deploy)
    assert [right.model_dump(by_alias=True) for right in strategy.permissions["apps"]] == listed


def test_a_node_selector_may_repeat_what_the_strategy_needs() -> None:
    changes = {
        "runners.main.strategy": {"kind": "dind", "acceptPrivileged": True},
        "runners.main.nodeSelector": {"image-builds/docker-socket": "true", "pool": "ci"},
    }
    configure(bent(SETTINGS, changes), SECRETS)

    assert load().settings.runners["main"].node_selector["pool"] == "ci"


def test_a_quantity_may_be_a_number() -> None:
    assert Amounts.model_validate({"cpu": 2, "memory": "1.5Gi"}) == Amounts(
        cpu="2",
        memory="1.5Gi",
    )


def test_good_certificates_and_a_kubeconfig_are_taken() -> None:
    changes = {
        "gitlab.caCertificates": CERTIFICATE,
        "registries": [{"host": "r:5000", "caCertificates": CERTIFICATE}],
        "chart": {"version": "0.88.0"},
        "runners.main.seccompProfile": "RuntimeDefault",
        "runners.main.registration": {
            "kind": "userRunner",
            "runnerType": "project_type",
            "projectId": 7,
        },
    }
    configure(bent(SETTINGS, changes), {}, context=None)
    pulumi.runtime.set_config("kubernetes:kubeconfig", "a kubeconfig")

    settings = load().settings

    assert settings.registries[0].ca_certificates == CERTIFICATE
