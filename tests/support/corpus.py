"""Jobs that build images, written anew from the features of public ones.

The file has 64 jobs as facts: what each is written for, its features, and why it would not have
run unchanged in November 2026, with the verdict of then (U unchanged, D with a change that pages
named, F fails and no page says so, N not supported). The wording here is ours.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from dev.paths import CHECKOUT

IMAGE = "$CI_REGISTRY_IMAGE:$CI_COMMIT_SHORT_SHA"
LOGIN = (
    'echo "$CI_REGISTRY_PASSWORD" | '
    'docker login -u "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY"'
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A job of the file."""

    id: str
    method: str
    written_for: str
    features: Sequence[str]
    causes: Sequence[str]
    verdict: str


ENTRIES = [
    Entry(**entry)
    for entry in json.loads((CHECKOUT / "tests/convert/corpus.json").read_text(encoding="utf-8"))
]

_SERVICES: Sequence[Any] = (
    ["docker:dind"],
    ["docker:27-dind"],
    [{"name": "docker:28.5.1-dind", "alias": "docker"}],
    ["${CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX}/docker:27-dind"],
    ["registry.example.com/mirror/docker:24.0.5-dind"],
    [{"name": "docker:20.10-dind", "command": ["--tls=false"], "alias": "docker"}],
)
"""How jobs spell their engine."""

_KANIKO_IMAGES: Sequence[Any] = (
    {"name": "gcr.io/kaniko-project/executor:debug", "entrypoint": [""]},
    {"name": "gcr.io/kaniko-project/executor:v1.23.2-debug", "entrypoint": [""]},
    {"name": "registry.example.com/mirror/kaniko-project/executor:debug", "entrypoint": [""]},
)

_WRITES_LOGIN = (
    'echo "{\\"auths\\":{\\"$CI_REGISTRY\\":{\\"username\\":\\"$CI_REGISTRY_USER\\",'
    '\\"password\\":\\"$CI_REGISTRY_PASSWORD\\"}}}" > {folder}/config.json'
)

_BEFORE: Mapping[str, Sequence[str]] = {
    "binfmt": ["docker run --privileged --rm tonistiigi/binfmt --install all"],
    "tls-context": ["docker context create engine", "docker buildx create --use engine"],
    "vault": ["export AWS_ACCESS_KEY_ID=$(vault read -field=key aws/creds/push)"],
    "dependency-proxy": ["echo $CI_DEPENDENCY_PROXY_SERVER"],
    "mirror": ["printf '[registry.\"docker.io\"]\\n' > buildkitd.toml"],
}
"""What a feature adds before a build by Docker."""

_BUILD_OPTIONS: Mapping[str, str] = {
    "build-args": "--build-arg VERSION=$CI_COMMIT_TAG",
    "cache-from": "--cache-from $CI_REGISTRY_IMAGE:latest",
    "inline-cache": "--build-arg BUILDKIT_INLINE_CACHE=1",
    "target": "--target release",
    "labels": "--label org.opencontainers.image.revision=$CI_COMMIT_SHA",
    "proxy": "--build-arg http_proxy=$HTTP_PROXY",
    "host-network": "--network host",
    "multi-tag": "-t $CI_REGISTRY_IMAGE:latest",
    "multi-arch": "--platform linux/amd64,linux/arm64",
    "insecure": "--build-arg MIRROR=http://mirror.example.com",
    "registry-cache": "--cache-to type=registry,ref=$CI_REGISTRY_IMAGE:cache",
    "build-secret": "--secret id=token,env=CI_JOB_TOKEN",
}
_KANIKO_OPTIONS: Mapping[str, str] = {
    "build-args": "--build-arg VERSION=$CI_COMMIT_TAG",
    "cache": "--cache=true",
    "target": "--target release",
    "multi-destination": "--destination $CI_REGISTRY_IMAGE:latest",
    "insecure": "--insecure",
    "no-push": "--no-push",
    "private-ca": "--registry-certificate registry.example.com=/kaniko/ca.crt",
}
_AFTER: Mapping[str, Sequence[str]] = {
    "bind-mount": ['docker run --rm -v "$PWD:/src" "$IMAGE" ls /src'],
    "compose": ["docker compose up --build --detach", "docker compose down"],
    "digest-by-inspect": ["docker inspect --format '{{index .RepoDigests 0}}' \"$IMAGE\""],
    "docker-run": ['docker run --rm "$IMAGE" --version'],
    "dotenv": ['echo "IMAGE=$IMAGE" >> build.env'],
    "imagetools": ['docker buildx imagetools create -t "$CI_REGISTRY_IMAGE:latest" "$IMAGE"'],
    "manifest": [
        'docker manifest create "$IMAGE" "$IMAGE-amd64" "$IMAGE-arm64"',
        'docker manifest push "$IMAGE"',
    ],
    "push-all": ["docker push --all-tags $CI_REGISTRY_IMAGE"],
    "retag": [
        'docker tag "$IMAGE" $CI_REGISTRY_IMAGE:latest',
        "docker push $CI_REGISTRY_IMAGE:latest",
    ],
    "sbom": ['docker run --rm anchore/syft "$IMAGE" > sbom.json'],
    "scan": [
        "docker run --rm -v /var/run/docker.sock:/var/run/docker.sock aquasec/trivy image $IMAGE"
    ],
    "sign": ['cosign sign --yes "$IMAGE"'],
    "test-image": ['docker run --rm "$IMAGE" sh -c "test -e /app"'],
    "two-images-in-a-job": [
        "docker build -t $CI_REGISTRY_IMAGE/worker worker",
        "docker push $CI_REGISTRY_IMAGE/worker",
    ],
    "deploy-on-host": ['docker run --detach --name app --volume /srv/app:/data "$IMAGE"'],
}
"""What a feature adds after a build by Docker."""


def pipeline(entry: Entry) -> dict[str, Any]:
    """Return the pipeline of an entry: its job, and those that belong to it."""
    number = int(entry.id[1:])
    job = _METHODS[entry.method](entry, number)
    job["tags"] = [entry.written_for]
    for feature in entry.features:
        for key, value in _PARTS.get(feature, {}).items():
            job[key] = {**job.get(key, {}), **value} if isinstance(value, Mapping) else value
    if "service-command" in entry.features:
        job["services"] = _with_command(job["services"])
    variables = {"IMAGE": IMAGE, **job.pop("variables", {})}
    jobs = {"build": {**job, "variables": variables}}
    if "image-from-job-to-job" in entry.features:
        jobs["publish"] = {"tags": job["tags"], "script": ['docker push "$IMAGE"']}
        jobs["build"]["script"] = ['docker build -t "$IMAGE" .']
    return jobs


def _kaniko(entry: Entry, number: int) -> dict[str, Any]:
    options = [_KANIKO_OPTIONS[name] for name in entry.features if name in _KANIKO_OPTIONS]
    call = " ".join(
        [
            '/kaniko/executor --context "$CI_PROJECT_DIR" --dockerfile Dockerfile',
            *options,
            '--destination "$IMAGE"',
        ]
    )
    login = ["mkdir -p /kaniko/.docker", _WRITES_LOGIN.replace("{folder}", "/kaniko/.docker")]
    return {
        "image": _KANIKO_IMAGES[number % len(_KANIKO_IMAGES)],
        "before_script": login if "no-login" not in entry.features else [],
        "script": [call] if number % 2 else call,
    }


def _docker(entry: Entry, number: int, build: str = "docker build") -> dict[str, Any]:
    options = [_BUILD_OPTIONS[name] for name in entry.features if name in _BUILD_OPTIONS]
    before = [line for name in entry.features for line in _BEFORE.get(name, ())]
    after = [line for name in entry.features for line in _AFTER.get(name, ())]
    script = [" ".join([build, *options, '-t "$IMAGE" .']), 'docker push "$IMAGE"', *after]
    if number % 3 == 0:
        script = ["\n".join(script)]
    return {"before_script": [LOGIN, *before], "script": script}


def _dind(entry: Entry, number: int, build: str = "docker build") -> dict[str, Any]:
    over_tls = "docker-host" not in entry.causes
    job: dict[str, Any] = {
        "image": "docker:18.06" if "old-client" in entry.features else "docker:27",
        "services": _SERVICES[number % (5 if over_tls else 6)],
        "variables": {"DOCKER_TLS_CERTDIR": "/certs" if over_tls else ""},
        **_docker(entry, number, build),
    }
    if not over_tls:
        job["variables"]["DOCKER_HOST"] = ("tcp://docker:2375", "tcp://localhost:2375", "")[
            number % 3
        ]
    if "tls-full" in entry.features:
        job["variables"] |= {
            "DOCKER_HOST": "tcp://docker:2376",
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": "$DOCKER_TLS_CERTDIR/client",
        }
    if "tls-variables" in entry.causes:
        job["variables"]["DOCKER_TLS_VERIFY"] = ""
    if "docker-driver-overlay" in entry.features:
        job["variables"]["DOCKER_DRIVER"] = "overlay"
    return job


def _buildx(entry: Entry, number: int) -> dict[str, Any]:
    build = "docker buildx build --push"
    if entry.written_for == "dind":
        job = _dind(entry, number, build)
        if "buildx-create" in entry.causes:
            job["before_script"].append("docker buildx create --use --driver docker-container")
        return job
    job: dict[str, Any] = {"image": "docker:28-cli", **_docker(entry, number, build)}
    if "kubernetes-driver" in entry.features:
        create = (
            "docker buildx create --use --driver kubernetes --buildkitd-config buildkitd.toml "
            "--driver-opt namespace=$BUILD_NAMESPACE"
        )
        job["before_script"].append(create)
    job["script"] = [line for line in job["script"] if not line.startswith("docker push")]
    return job


def _buildctl(entry: Entry, number: int) -> dict[str, Any]:
    del number
    service = entry.written_for == "buildkit-service"
    call = 'buildctl --addr "$BUILDKIT_HOST" build' if service else "buildctl-daemonless.sh build"
    options = (
        "--frontend dockerfile.v0 --local context=. --local dockerfile=. "
        '--output "type=image,name=$IMAGE,push=true"'
    )
    login = ["mkdir -p ~/.docker", _WRITES_LOGIN.replace("{folder}", "~/.docker")]
    return {
        "image": {"name": "moby/buildkit:rootless", "entrypoint": [""]},
        "variables": {} if service else {"BUILDKITD_FLAGS": "--oci-worker-no-process-sandbox"},
        "before_script": [] if service else login,
        "script": [f"{call} {options}"],
    }


def _dood(entry: Entry, number: int) -> dict[str, Any]:
    job = {"image": "docker:1.12" if "old-client" in entry.features else "docker:27-cli"}
    return {**job, **_docker(entry, number)}


def _shell(entry: Entry, number: int) -> dict[str, Any]:
    """A job of a shell executor: it names no image."""
    if entry.written_for == "buildah":
        return {
            "script": ["cargo build --release", "podman build -t $IMAGE .", "podman push $IMAGE"]
        }
    job = _docker(
        entry,
        number,
        "docker buildx build --push" if "buildx" in entry.features else "docker build",
    )
    if "ecr" in entry.features:
        login = 'aws ecr get-login-password | docker login -u AWS --password-stdin "$ECR"'
        job["before_script"] = [login]
    return job


def _buildah(entry: Entry, number: int) -> dict[str, Any]:
    del number
    tool = entry.method
    variables = (
        {"STORAGE_DRIVER": "vfs", "BUILDAH_FORMAT": "docker"} if "vfs" in entry.features else {}
    )
    script = [f'{tool} login -u "$CI_REGISTRY_USER" -p "$CI_REGISTRY_PASSWORD" "$CI_REGISTRY"']
    script += [f'{tool} build -t "$IMAGE" .', f'{tool} push "$IMAGE"']
    if "skopeo" in entry.features:
        script.append('skopeo copy "docker://$IMAGE" "docker://$CI_REGISTRY_IMAGE:latest"')
    return {"image": f"quay.io/{tool}/stable", "variables": variables, "script": script}


def _testcontainers(entry: Entry, number: int) -> dict[str, Any]:
    job = _dind(entry, number)
    return {
        **job,
        "image": "maven:3-eclipse-temurin-21",
        "script": ["mvn verify"],
        "before_script": [],
    }


def _engine_in_job(entry: Entry, number: int) -> dict[str, Any]:
    job = _docker(entry, number)
    job["before_script"] = ["dockerd-entrypoint.sh &", "until docker info; do sleep 1; done"]
    return {"image": "docker:27-dind", **job}


_METHODS = {
    "kaniko": _kaniko,
    "dind": _dind,
    "buildx": _buildx,
    "buildctl": _buildctl,
    "dood": _dood,
    "shell": _shell,
    "buildah": _buildah,
    "podman": _buildah,
    "testcontainers": _testcontainers,
    "dockerd-in-job": _engine_in_job,
}


_PARTS: Mapping[str, Mapping[str, Any]] = {
    "api-version": {"variables": {"DOCKER_API_VERSION": "1.24"}},
    "cloud-identity": {"variables": {"KUBERNETES_SERVICE_ACCOUNT_OVERWRITE": "pusher"}},
    "custom-image": {"image": {"name": "registry.example.com/kaniko:1", "entrypoint": [""]}},
    "docker-auth-config": {"variables": {"DOCKER_AUTH_CONFIG": "$REGISTRY_LOGINS"}},
    "id-tokens": {"id_tokens": {"SIGSTORE_ID_TOKEN": {"aud": "sigstore"}}},
    "kubernetes-resources": {"variables": {"KUBERNETES_MEMORY_REQUEST": "16Gi"}},
    "matrix": {"parallel": {"matrix": [{"ARCH": ["amd64", "arm64"]}]}},
    "proxy": {"variables": {"HTTP_PROXY": "http://proxy.example.com:3128"}},
    "pull-policy": {"image": {"pull_policy": "if-not-present"}},
    "retry": {"retry": 2},
}
"""What a feature changes in a job, whatever it is written for."""


def _with_command(services: Sequence[Any]) -> list[dict[str, Any]]:
    named: list[dict[str, Any]] = [
        {"name": each} if isinstance(each, str) else each for each in services
    ]
    return [{"alias": "docker", **each, "command": ["--mtu=1400"]} for each in named]
