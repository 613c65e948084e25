"""The rules of the check: the job that shows each, and jobs in which it finds nothing."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from convert.pipeline.check import check
from convert.pipeline.rule import RULES, PipelineRule
from convert.pipeline.runner import runners
from tests.support.checks import checked, rules, stack, verdict
from tests.support.configured import STRATEGIES

OUTCOMES = {"note": "unchanged", "change": "change", "cannot": "cannot"}


def _tagged(text: str, tag: str = "build") -> dict[str, Any]:
    """Return the pipeline of an example, its job on the runner."""
    pipeline: dict[str, Any] = yaml.safe_load(text)
    return {
        name: {"tags": [tag], **job} if isinstance(job, dict) else job
        for name, job in pipeline.items()
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_example_of_a_rule_shows_it(rule: PipelineRule, tmp_path: Path) -> None:
    result = checked(tmp_path, _tagged(rule.example), stack({"build": STRATEGIES[rule.form]}))

    assert rule.name in rules(result)
    assert verdict(result) == OUTCOMES[rule.outcome]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_says_what_it_looks_for_and_what_to_do(rule: PipelineRule) -> None:
    assert rule.description.endswith(".")
    assert rule.remedy.endswith(".")


def test_the_names_of_rules_are_different() -> None:
    names = [rule.name for rule in RULES]

    assert len(names) == len(set(names))


BUILD = 'docker build --tag "$CI_REGISTRY_IMAGE" .'
CASES: list[tuple[str, dict[str, Any], list[str]]] = [
    # Old clients.
    ("dood", {"image": "docker:17.12.1-ce"}, ["old-client"]),
    ("dood", {"image": "registry.example.com/mirror/docker:20.10"}, []),
    ("dood", {"variables": {"DOCKER_API_VERSION": "1.39"}}, ["old-client"]),
    ("dood", {"variables": {"DOCKER_API_VERSION": "1.41"}}, []),
    # Folders of the project.
    ("dood", {"script": [BUILD, "docker run -v /srv/app:/data app"]}, []),
    ("dood", {"script": [BUILD, 'docker run --rm -v "$(pwd)":/src app']}, ["bind-mount"]),
    ("dind", {"script": [BUILD, 'docker run --rm -v "$PWD":/src app']}, []),
    # Policies and resources.
    ("dood", {"image": {"name": "docker:27", "pull_policy": "never"}}, ["pull-policy"]),
    ("dood", {"variables": {"KUBERNETES_CPU_LIMIT": "4"}}, ["resources-by-job"]),
    ("dood", {"variables": {"KUBERNETES_CPU_LIMIT": ""}}, []),
    # Privilege in the job's own container.
    (
        "dind",
        {"image": "docker:dind", "script": ["service docker start", BUILD]},
        ["privileged-job"],
    ),
    ("dind", {"image": "docker:dind", "script": ["ntpd -q", BUILD]}, ["privileged-job"]),
    (
        "dind",
        {"image": "docker:dind", "script": ["mount -t tmpfs none /x", BUILD]},
        ["privileged-job"],
    ),
    ("dind", {"image": "docker:dind", "script": ["sysctl -w a=b", BUILD]}, ["privileged-job"]),
    ("dind", {"image": "docker:dind", "script": ["mount", BUILD]}, []),
    (
        "kaniko",
        {"image": "docker:dind", "script": ["dockerd &", BUILD]},
        ["no-engine", "privileged-job"],
    ),
    ("buildah-privileged", {"image": "x", "script": ["modprobe a", "buildah push x"]}, []),
    # Root in the image.
    (
        "buildah",
        {"image": "x", "script": ["mkdir -p /root/.docker", "buildah push x"]},
        ["uid-1000"],
    ),
    ("buildah", {"image": "x", "script": ["echo x > /etc/hosts", "buildah push x"]}, ["uid-1000"]),
    ("buildah", {"image": "x", "script": ["cp /etc/hosts hosts", "buildah push x"]}, []),
    ("buildah", {"image": "x", "script": ["cp a /etc/b", "buildah push x"]}, ["uid-1000"]),
    ("buildah", {"image": "x", "script": ["mkdir -p dist", "buildah push x"]}, []),
    ("buildah-root", {"image": "x", "script": ["dnf install -y jq", "buildah push x"]}, []),
    *(
        ("buildah", {"image": "x", "script": [script, "buildah push x"]}, found)
        for script, found in (
            ("sed -i s/a/b/ /etc/containers/storage.conf", ["uid-1000"]),
            ("sed s/a/b/ /etc/containers/storage.conf", []),
            ("echo a | tee /etc/hosts", ["uid-1000"]),
            ("curl -sSLo /usr/bin/jq https://example.com", ["uid-1000"]),
            ("curl -o jq --cacert /etc/ssl/ca.crt https://example.com", []),
            ("tar -x -C /usr/local -f a.tar", ["uid-1000"]),
            ("usermod --add-subuids 1-9 build", ["uid-1000"]),
            ("mkdir -p /tmp/a /builds/b /home/build/c", []),
            ("podman run --rm x", ["own-containers"]),
            ("podman --cgroup-manager cgroupfs container create x", ["own-containers"]),
            ("podman --cgroup-manager=cgroupfs build .", []),
            ("podman play kube a.yml", ["own-containers"]),
            ("podman run --network host -v /proc:/proc x", []),
            ("buildah bud --isolation oci .", ["own-isolation"]),
            ("buildah bud --isolation=chroot .", []),
        )
    ),
    *(
        ("buildah", {"image": "x", "variables": {"BUILDAH_ISOLATION": value}}, found)
        for value, found in (
            ("rootless", ["no-engine", "own-isolation"]),
            ("chroot", ["no-engine"]),
            ("$ISOLATION", ["no-engine"]),
        )
    ),
    *(
        ("buildah", {"image": "x", "script": ["buildah push x"], "variables": variables}, found)
        for variables, found in (
            ({"STORAGE_DRIVER": "overlay"}, ["own-isolation"]),
            ({"STORAGE_DRIVER": "vfs"}, []),
        )
    ),
    *(
        (
            form,
            {"script": ["buildctl-daemonless.sh build"], "variables": {"BUILDKITD_FLAGS": flags}},
            found,
        )
        for form, flags, found in (
            ("buildkit", "--debug", ["own-isolation"]),
            ("buildkit", "--oci-worker-no-process-sandbox --debug", []),
            ("buildkit-privileged", "--debug", []),
        )
    ),
    ("buildah-privileged", {"image": "x", "script": ["podman run x"]}, []),
    ("buildah", {"image": "quay.io/podman/stable:v5", "script": ["podman run x"]}, []),
    (
        "buildah-root",
        {"image": "quay.io/podman/stable", "script": ["podman run x"]},
        ["own-containers"],
    ),
    ("kaniko", {"image": "x", "script": ["podman run x"]}, ["no-user-namespace"]),
    ("dind", {"image": "docker:27-windowsservercore-ltsc2022"}, ["windows-image"]),
    ("dind", {"tags": ["$RUNNER"]}, ["tags"]),
    ("dind", {"tags": ["$RUNNER", "other"]}, ["tags"]),
    # An identity.
    ("dood", {"script": ["az login --identity", BUILD], "image": "x"}, ["pod-identity"]),
    (
        "dood",
        {"script": ["az login --identity", BUILD], "image": "x", "id_tokens": {"A": {"aud": "b"}}},
        [],
    ),
    (
        "dood",
        {"image": "x", "variables": {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}},
        ["pod-identity"],
    ),
    (
        "dood",
        {
            "image": "x",
            "variables": {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ACCESS_KEY_ID": "$KEY"},
        },
        [],
    ),
    (
        "buildx",
        {
            "script": [
                "docker buildx create --driver kubernetes --config buildkitd.toml",
                "docker buildx build --push .",
            ]
        },
        [],
    ),
    ("dind", {"script": ["docker --host tcp://a.example.com build .", "docker -D ps"]}, []),
    ("dind", {"script": ["export A=b", "C=d", BUILD]}, []),
    ("dood", {"image": "x", "script": ["aws ecr get-login-password", BUILD]}, ["pod-identity"]),
    ("dood", {"image": "x", "script": ["vault read a", "aws ecr get-login-password", BUILD]}, []),
    ("dood", {"image": "x", "variables": {"KUBERNETES_POD_LABELS_1": "a=b"}}, ["pod-by-job"]),
    # Programs of a host.
    ("dood", {"script": ["docker-compose build", "docker-compose push", "git log | head -1"]}, []),
    ("dood", {"script": ["apk add jq curl", "jq . x", BUILD]}, []),
    ("dood", {"script": ["build() { docker build .; }", "build"]}, []),
    ("dood", {"script": ["function build { docker build .; }", "build"]}, []),
    ("dood", {"script": ["apt-get update", "apt-get install -y jq", BUILD]}, ["host-tools"]),
    ("dood", {"script": ["wget a", "chmod +x bin/tool", "tool b", BUILD]}, []),
    ("dood", {"script": ["cargo build", BUILD], "image": "rust:1"}, []),
    ("dood", {"script": ["cargo build", "cargo test", BUILD]}, ["host-tools"]),
    ("dood", {"script": ["/opt/ci/build.sh"], "image": "docker:27"}, ["runner-volume"]),
    ("dood", {"script": [BUILD, ". /opt/ci/lib.sh"], "image": "docker:27"}, ["runner-volume"]),
    ("dood", {"script": [BUILD, "/opt/ci/push.sh"], "image": "tools"}, []),
    ("dood", {"script": [BUILD, "bash /mnt/ci/push.sh"], "image": "tools"}, ["runner-volume"]),
    *(
        ("dood", {"image": "docker:27", "script": [BUILD, *script]}, found)
        for script, found in (
            (["python3 -m venv /opt/venv", "/opt/venv/bin/pip install a"], []),
            (["/root/.local/bin/tool"], []),
            (["cd /opt/ci", "/opt/ci/push.sh"], ["runner-volume"]),
        )
    ),
    # Images of an earlier job.
    ("dood", {"script": ["docker pull a", "docker tag a b", "docker push b"]}, []),
    ("dood", {"script": ["docker tag a b", "docker push b"]}, ["engine-as-store"]),
    ("dood", {"script": ["make image", "docker push b"], "image": "x"}, []),
    ("dood", {"script": ["pack build b", "docker push b"], "image": "x"}, []),
    ("dood", {"script": ["sbt docker:publishLocal", "docker push b"], "image": "x"}, []),
    ("dood", {"script": ["docker bake", "docker push b"]}, []),
    # What is built elsewhere.
    ("kaniko", {"image": "x", "script": ["gcloud builds submit --tag a"]}, []),
    ("kaniko", {"image": "x", "script": ["az acr build --image a ."]}, []),
    ("kaniko", {"image": "x", "script": ["skopeo --debug copy a b"]}, []),
    ("kaniko", {"image": "x", "script": ["make docker-build"]}, ["no-engine"]),
    # Tools without an engine.
    ("dind", {"image": "x", "script": ["/kaniko/executor --context ."]}, []),
    ("kaniko", {"image": "x", "script": ["crane push a b"]}, []),
    ("kaniko", {"image": "maven:3", "script": ["mvn package jib:build"]}, []),
    ("kaniko", {"image": "maven:3", "script": ["mvn spring-boot:build-image"]}, ["no-engine"]),
    ("kaniko", {"image": "x", "script": ["buildah push x"]}, ["no-user-namespace"]),
    ("buildkit", {"image": "x", "script": ["buildah push x"]}, ["no-user-namespace"]),
    ("buildkit", {"script": ["buildctl-daemonless.sh build"]}, []),
    ("buildkit", {"image": "x", "script": ["buildkitd &", "buildctl build"]}, []),
    ("buildah", {"image": "x", "script": ["buildctl --addr tcp://b:1 build"]}, []),
    ("buildkit-service", {"script": ["buildctl $BUILDKIT_FLAGS build"]}, []),
    ("buildkit-service", {"script": ["buildctl build ."]}, ["daemon-tls"]),
]


@pytest.mark.parametrize(("form", "job", "found"), CASES, ids=str)
def test_a_job_has_what_its_runner_makes_of_it(
    form: str, job: dict[str, Any], found: list[str], tmp_path: Path
) -> None:
    job = {"tags": ["build"], "script": [BUILD], **job}

    result = checked(tmp_path, {"job": job}, stack({"build": STRATEGIES[form]}))

    assert sorted(set(rules(result))) == found


def test_an_image_that_another_job_left_is_not_there(tmp_path: Path) -> None:
    build = {"tags": ["dind"], "script": ['docker build --tag "$IMAGE" .']}
    test = {"tags": ["dind"], "script": ['docker run --rm "$IMAGE" test', "docker run alpine"]}

    def found(*script: str) -> list[str]:
        return rules(checked(tmp_path, {"build": {**build, "script": script}, "test": test}))

    assert found('docker build --tag "$IMAGE" .') == ["engine-as-store"]
    assert found('docker build --tag "$IMAGE" .', 'docker push "$IMAGE"') == []
    assert found('docker buildx build --push --tag "$IMAGE" .') == []
    assert found('docker build --tag "$OTHER" .') == []
    assert found('docker build --tag "${IMAGE}" .', 'docker push "$IMAGE"') == []
    assert found('docker build --tag "$IMAGE" .', "docker push --all-tags x") == []


def test_a_node_that_is_named_has_one_engine_for_all_jobs(tmp_path: Path) -> None:
    one = stack({"dood": STRATEGIES["dood"]}, nodeSelector={"kubernetes.io/hostname": "node-1"})
    job = {"tags": ["dood"], "script": ["docker push a"]}

    assert rules(checked(tmp_path, {"job": job}, one)) == []
    assert rules(checked(tmp_path, {"job": job})) == ["engine-as-store"]


def test_what_an_image_of_the_site_has_is_not_known(tmp_path: Path) -> None:
    own = {"kind": "dood", "acceptNodeRoot": True, "image": "registry.example.com/tools:1"}
    job = {"tags": ["dood"], "script": ["cargo build", "docker build ."]}

    assert rules(checked(tmp_path, {"job": job}, stack({"dood": own}))) == []


def test_a_builder_without_settings_of_registries_has_no_files(tmp_path: Path) -> None:
    job = {
        "tags": ["buildx"],
        "script": [
            "docker buildx create --driver kubernetes --config buildkitd.toml",
            "docker buildx build --push .",
        ],
    }
    settings = stack().model_copy(update={"registries": []})

    assert rules(checked(tmp_path, {"job": job}, settings)) == ["own-builder"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [("8Gi", []), ("17Gi", ["resources-by-job"]), ("$MEMORY", []), ("a lot", ["resources-by-job"])],
)
def test_a_job_may_ask_for_resources_up_to_a_maximum(
    asked: str, found: list[str], tmp_path: Path
) -> None:
    (runner,) = runners(stack({"dood": STRATEGIES["dood"]}))
    kubernetes = {**runner.kubernetes, "memory_request_overwrite_max_allowed": "16Gi"}
    allowing = dataclasses.replace(runner, config={**runner.config, "kubernetes": kubernetes})
    file = tmp_path / "pipeline.yml"
    variables = f"{{KUBERNETES_MEMORY_REQUEST: {asked}}}"
    text = f"job: {{tags: [dood], variables: {variables}, script: [docker build .]}}"
    file.write_text(text, encoding="utf-8")

    assert rules(check([file], [allowing], [allowing])) == found


@pytest.mark.parametrize(
    ("tags", "found"), [(["$RUNNER"], "unchanged"), (["$RUNNER", "other"], "change")]
)
def test_a_tag_from_a_variable_of_the_project_changes_no_job(
    tags: list[str], found: str, tmp_path: Path
) -> None:
    result = checked(tmp_path, {"job": {"tags": tags, "script": [BUILD]}})

    assert (verdict(result), rules(result)) == (found, ["tags"])
