"""The build scripts of templates: what they call a tool with, and what later jobs get."""

import base64
import json
from pathlib import Path

import pytest

from dev.generate import templates
from tests.support.scripts import DIGEST, SHELLS, Answer, run
from tests.support.templates import inputs_of, job_of

BUILDERS = templates.builders()
TOOLS = {strategy.command.split()[0].rpartition("/")[2] for strategy in BUILDERS.values()}
BUILDKIT = {"buildkit": "opt", "buildkit-service": "opt"}
IMAGE = "r.example.com/app"


def _run(folder: Path, strategy: str, shell: str = SHELLS[0], **variables: str) -> Answer:
    """Run a template's script with the variables of its inputs' defaults, and with others."""
    inputs = {name: entry["default"] for name, entry in inputs_of("build-image").items()}
    job = job_of(strategy)
    every = {**job["variables"], **job_of("build-image")["variables"]}
    defaults = {
        name: str(inputs[value.partition("inputs.")[2].partition(" ")[0]])
        for name, value in every.items()
    }
    given = {
        "BUILD_IMAGE": IMAGE,
        "BUILD_TAG": "1",
        "BUILD_DOCKERFILE": "/src/docker/Dockerfile",
        "BUILD_CONTEXT": "/src",
        "BUILD_CACHE": "false",
    }
    (script,) = job["script"]
    return run(folder, script, TOOLS, shell, **{**defaults, **given, **variables})


def _called(folder: Path, strategy: str, **variables: str) -> list[list[str]]:
    answer = _run(folder, strategy, **variables)
    assert answer.status == 0, answer.errors
    return answer.calls


def test_kaniko_is_called_with_the_runners_flags(tmp_path: Path) -> None:
    flags = "--insecure-registry=a --registry-mirror=b"

    (call,) = _called(tmp_path, "kaniko", KANIKO_FLAGS=flags, BUILD_CACHE="true")

    assert call == [
        "executor",
        *flags.split(),
        "--cache=true",
        "--cache-repo",
        "r.example.com/app/cache",
        *("--destination", "r.example.com/app:1"),
        *("--context", "/src"),
        *("--dockerfile", "/src/docker/Dockerfile"),
        *("--digest-file", str(tmp_path / "home" / "image-digest")),
    ]


@pytest.mark.parametrize(
    ("strategy", "client"),
    [
        ("buildkit", ["buildctl-daemonless.sh"]),
        ("buildkit-service", ["buildctl", "--tlsdir=/etc/image-builds/buildkitd"]),
    ],
)
def test_buildkit_is_called_for_several_platforms_with_its_cache(
    tmp_path: Path, strategy: str, client: list[str]
) -> None:
    (call,) = _called(
        tmp_path,
        strategy,
        BUILDKIT_FLAGS="--tlsdir=/etc/image-builds/buildkitd",
        BUILD_PLATFORMS="linux/amd64,linux/arm64",
        BUILD_CACHE="true",
        BUILD_INSECURE="true",
    )

    cache = "type=registry,ref=r.example.com/app:cache,registry.insecure=true"
    metadata = call.pop(call.index("--metadata-file") + 1)
    assert not metadata.startswith("/src")
    assert call == [
        *client,
        "build",
        *("--opt", "platform=linux/amd64,linux/arm64"),
        *("--import-cache", cache, "--export-cache", f"{cache},mode=max"),
        *("--frontend", "dockerfile.v0"),
        *("--local", "context=/src", "--local", "dockerfile=/src/docker"),
        *("--opt", "filename=Dockerfile", "--metadata-file"),
        "--output",
        'type=image,"name=r.example.com/app:1",push=true,registry.insecure=true',
    ]


def test_buildx_pushes_for_several_platforms_with_its_cache(tmp_path: Path) -> None:
    (call,) = _called(
        tmp_path,
        "buildx",
        BUILD_PLATFORMS="linux/amd64,linux/arm64",
        BUILD_CACHE="true",
        BUILD_INSECURE="true",
    )

    cache = "type=registry,ref=r.example.com/app:cache,registry.insecure=true"
    call.pop(call.index("--metadata-file") + 1)
    assert call == [
        *("docker", "buildx", "build"),
        *("--platform", "linux/amd64,linux/arm64"),
        *("--cache-from", cache, "--cache-to", f"{cache},mode=max"),
        *("--file", "/src/docker/Dockerfile", "--metadata-file"),
        *("--output", 'type=image,"name=r.example.com/app:1",push=true,registry.insecure=true'),
        "/src",
    ]


def test_buildah_builds_a_manifest_and_pushes_all_of_it(tmp_path: Path) -> None:
    build, push = _called(tmp_path, "buildah", BUILD_INSECURE="true")

    assert build[:2] == ["buildah", "build"]
    assert "--tls-verify=false" in build
    assert push[:4] == ["buildah", "manifest", "push", "--all"]
    assert push[-1] == "docker://r.example.com/app:1"


def test_buildah_says_why_a_push_failed(tmp_path: Path) -> None:
    answer = _run(tmp_path, "buildah", UNREACHABLE=f"docker://{IMAGE}:1")

    assert answer.status == 125
    assert answer.errors == "Error: no such host\n"


@pytest.mark.parametrize("strategy", ["dind", "dood"])
def test_docker_pushes_what_it_built_and_its_cache(tmp_path: Path, strategy: str) -> None:
    build, *pushes, inspect = _called(tmp_path, strategy, BUILD_CACHE="true")

    assert build[:2] == ["docker", "build"]
    assert build[-1] == "/src"
    assert pushes == [
        ["docker", "push", "r.example.com/app:1"],
        ["docker", "push", "r.example.com/app:cache"],
    ]
    assert inspect[-1] == "r.example.com/app:1"


@pytest.mark.parametrize("strategy", BUILDERS)
def test_build_arguments_arrive_whole(tmp_path: Path, strategy: str) -> None:
    call = _called(tmp_path, strategy, BUILD_ARGS="A=one two *\nB=$(id)")[0]

    prefix = "build-arg:" if strategy in BUILDKIT else ""
    assert f"{prefix}A=one two *" in call
    assert f"{prefix}B=$(id)" in call


@pytest.mark.parametrize("strategy", ["kaniko", "dind", "dood"])
def test_a_tool_for_one_platform_refuses_two(tmp_path: Path, strategy: str) -> None:
    answer = _run(tmp_path, strategy, BUILD_PLATFORMS="linux/amd64,linux/arm64")

    assert answer.status == 1
    assert "use buildkit" in answer.errors
    assert answer.calls == []


@pytest.mark.parametrize(
    ("strategy", "variable", "value", "message"),
    [
        ("kaniko", "BUILD_SECRETS", "id=a,env=A", "secrets: Kaniko has no build secrets; use"),
        ("kaniko", "BUILD_SSH", "default", "ssh: Kaniko lends steps no SSH agent; use"),
        ("kaniko", "BUILD_PROVENANCE", "min", "provenance: Kaniko writes none; use"),
        ("kaniko", "BUILD_SBOM", "true", "sbom: Kaniko writes none; use"),
        ("kaniko", "BUILD_CACHE_MODE", "min", "cache_mode: Kaniko keeps the layers of all"),
        ("buildah", "BUILD_PROVENANCE", "max", "provenance: Buildah writes none; use"),
        ("buildah", "BUILD_SBOM", "true", "sbom: Buildah attaches none; use"),
        ("buildah", "BUILD_CACHE_MODE", "max", "cache_mode: Buildah keeps the layers of all"),
        ("dind", "BUILD_INSECURE", "true", "insecure_registry: only the engine can allow it"),
        ("dood", "BUILD_INSECURE", "true", "set registries[].insecure"),
        ("dood", "BUILD_CACHE_MODE", "max", "cache_mode: Docker keeps the layers of the last"),
    ],
)
def test_an_input_without_use_is_refused_with_the_way_out(
    tmp_path: Path, strategy: str, variable: str, value: str, message: str
) -> None:
    answer = _run(tmp_path, strategy, **{variable: value})

    assert answer.status == 1
    assert message in answer.errors
    assert answer.calls == []


@pytest.mark.parametrize("strategy", BUILDERS)
def test_a_failed_build_fails_the_job_and_pushes_nothing(tmp_path: Path, strategy: str) -> None:
    answer = _run(tmp_path, strategy, TOOL_STATUS="3")

    assert answer.status == 3
    assert len(answer.calls) == 1
    assert answer.variables == {}


def test_buildahs_template_leaves_plain_http_to_registries_conf(tmp_path: Path) -> None:
    for call in _called(tmp_path, "buildah"):
        assert not any(word.startswith("--tls-verify") for word in call)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("strategy", BUILDERS)
def test_later_jobs_get_the_digest_and_the_reference(
    tmp_path: Path, strategy: str, shell: str
) -> None:
    answer = _run(tmp_path, strategy, shell, BUILD_OUTPUT="API", CI_JOB_NAME_SLUG="build-api")

    assert answer.variables == {
        "API_TAG": f"{IMAGE}:1",
        "API_DIGEST": DIGEST,
        "API_REFERENCE": f"{IMAGE}@{DIGEST}",
    }
    file = tmp_path / "project" / "image-builds" / "build-api"
    assert file.read_text(encoding="utf-8") == f"{IMAGE}@{DIGEST}\n"


def test_a_build_without_a_digest_fails(tmp_path: Path) -> None:
    answer = _run(tmp_path, "dind", BUILD_IMAGE="docker.io/library/app")

    assert answer.status == 1
    assert "gave no digest of docker.io/library/app:1" in answer.errors


@pytest.mark.parametrize("strategy", BUILDERS)
def test_all_tags_and_destinations_are_pushed(tmp_path: Path, strategy: str) -> None:
    calls = _called(
        tmp_path, strategy, BUILD_MORE_TAGS="2\nlatest\n", BUILD_DESTINATIONS="other/app:3\n"
    )

    pushed = [f"{IMAGE}:1", f"{IMAGE}:2", f"{IMAGE}:latest", "other/app:3"]
    if strategy in {"dind", "dood"}:
        assert [call[-1] for call in calls[1:-1]] == pushed
    elif strategy == "buildah":
        assert [call[-1] for call in calls[1:]] == [f"docker://{name}" for name in pushed]
    elif strategy == "kaniko":
        (call,) = calls
        named = [call[at + 1] for at, word in enumerate(call) if word == "--destination"]
        assert named == pushed
    else:
        assert f'type=image,"name={",".join(pushed)}",push=true' in calls[0]


@pytest.mark.parametrize("strategy", BUILDERS)
def test_the_target_and_more_options_reach_the_tool(tmp_path: Path, strategy: str) -> None:
    call = _called(tmp_path, strategy, BUILD_TARGET="test", BUILD_FLAGS="--a=1 2\n--b")[0]

    target = ["--opt", "target=test"] if strategy in BUILDKIT else ["--target", "test"]
    at = call.index(target[1])
    assert call[at - 1 : at + 1] == target
    at = call.index("--a=1 2")
    assert call[at + 1] == "--b"


def _labels(strategy: str, call: list[str]) -> dict[str, str]:
    words = [word.removeprefix("label:") for word in call if word.startswith("label:")]
    if strategy not in BUILDKIT:
        words = [call[at + 1] for at, word in enumerate(call) if word == "--label"]
    return dict(word.split("=", 1) for word in words)


@pytest.mark.parametrize("strategy", BUILDERS)
def test_labels_say_the_project_and_the_commit(tmp_path: Path, strategy: str) -> None:
    of_gitlab = {
        "CI_COMMIT_SHA": "c0ffee",
        "CI_COMMIT_REF_NAME": "main",
        "CI_PROJECT_TITLE": "My app",
        "CI_PROJECT_URL": "https://gitlab.example.com/team/app",
    }

    call = _called(tmp_path, strategy, BUILD_LABELS="team=a b\nown=1", **of_gitlab)[0]

    assert _labels(strategy, call) == {
        "org.opencontainers.image.revision": "c0ffee",
        "org.opencontainers.image.source": "https://gitlab.example.com/team/app",
        "org.opencontainers.image.title": "My app",
        "org.opencontainers.image.url": "https://gitlab.example.com/team/app",
        "org.opencontainers.image.version": "main",
        "team": "a b",
        "own": "1",
    }
    call = _called(tmp_path, strategy, BUILD_OCI_LABELS="false", **of_gitlab)[0]
    assert _labels(strategy, call) == {}


@pytest.mark.parametrize("strategy", BUILDERS)
def test_proxies_are_build_arguments_before_the_projects(tmp_path: Path, strategy: str) -> None:
    proxies = {"http_proxy": "http://proxy:1", "NO_PROXY": ".example.com"}

    call = _called(tmp_path, strategy, BUILD_ARGS="http_proxy=", **proxies)[0]

    prefix = "build-arg:" if strategy in BUILDKIT else ""
    values = [word for word in call if "proxy" in word.lower() and "=" in word]
    assert values == [
        f"{prefix}http_proxy=http://proxy:1",
        f"{prefix}NO_PROXY=.example.com",
        f"{prefix}http_proxy=",
    ]


@pytest.mark.parametrize("strategy", [name for name in BUILDERS if name != "kaniko"])
def test_build_secrets_are_named_and_never_written(tmp_path: Path, strategy: str) -> None:
    secrets = "id=npm,env=NPM_TOKEN\nid=netrc,src=/builds/netrc"

    calls = _called(
        tmp_path, strategy, BUILD_SECRETS=secrets, BUILD_SSH="default=/key", NPM_TOKEN="s3cret"
    )

    words = calls[0]
    secret_at = words.index("--secret")
    assert words[secret_at : secret_at + 6] == [
        *("--secret", "id=npm,env=NPM_TOKEN"),
        *("--secret", "id=netrc,src=/builds/netrc"),
        *("--ssh", "default=/key"),
    ]
    assert "s3cret" not in json.dumps(calls)


def test_a_secret_without_its_variable_is_refused(tmp_path: Path) -> None:
    answer = _run(tmp_path, "buildkit", BUILD_SECRETS="id=npm,env=NPM_TOKEN")

    assert answer.status == 1
    assert "secrets: the job does not have the variable of id=npm;" in answer.errors
    assert answer.calls == []


@pytest.mark.parametrize(
    ("strategy", "asked", "words"),
    [
        ("buildkit", ("min", "true"), ["attest:provenance=mode=min", "attest:sbom="]),
        ("buildkit-service", ("max", "false"), ["attest:provenance=mode=max"]),
        ("buildx", ("max", "true"), ["--provenance", "mode=max", "--sbom", "true"]),
        ("dind", ("min", "true"), ["--provenance", "mode=min", "--sbom", "true"]),
        ("buildx", ("false", "false"), []),
    ],
)
def test_attestations_are_pushed_where_they_are_asked_for(
    tmp_path: Path, strategy: str, asked: tuple[str, str], words: list[str]
) -> None:
    provenance, sbom = asked

    call = _called(tmp_path, strategy, BUILD_PROVENANCE=provenance, BUILD_SBOM=sbom)[0]

    found = [word for word in call if any(key in word for key in ("provenance", "sbom", "mode="))]
    assert found == [word for word in words if word != "true"]
    assert [word for word in call if word in words] == words


@pytest.mark.parametrize("strategy", BUILDERS)
def test_layers_are_kept_where_the_project_says(tmp_path: Path, strategy: str) -> None:
    calls = _called(
        tmp_path, strategy, BUILD_CACHE="true", BUILD_CACHE_REFERENCE="r.example.com/layers"
    )

    assert "r.example.com/layers" in json.dumps(calls)
    assert "cache/cache" not in json.dumps(calls)
    assert f"{IMAGE}:cache" not in json.dumps(calls)


@pytest.mark.parametrize("strategy", ["buildkit", "buildkit-service", "buildx"])
def test_buildkit_keeps_fewer_layers_if_it_is_asked_to(tmp_path: Path, strategy: str) -> None:
    (call,) = _called(tmp_path, strategy, BUILD_CACHE="true", BUILD_CACHE_MODE="min")

    assert f"type=registry,ref={IMAGE}:cache,mode=min" in call


@pytest.mark.parametrize("strategy", BUILDERS)
def test_an_image_that_exists_is_not_built_again(tmp_path: Path, strategy: str) -> None:
    found = {"IMAGE_EXISTS": "true", "IMAGE_DIGEST": DIGEST}

    answer = _run(tmp_path, strategy, BUILD_SKIP_EXISTING="true", **found)

    assert (answer.status, answer.calls) == (0, [])
    assert answer.variables["IMAGE_REFERENCE"] == f"{IMAGE}@{DIGEST}"
    assert _called(tmp_path, strategy, BUILD_SKIP_EXISTING="true", IMAGE_EXISTS="false")
    assert _called(tmp_path, strategy, BUILD_SKIP_EXISTING="false", **found)


OF_GITLAB = {
    "CI_REGISTRY": "r.example.com:5050",
    "CI_REGISTRY_USER": "gitlab-ci-token",
    "CI_REGISTRY_PASSWORD": 'a"$(b)\\/&',
    "CI_DEPENDENCY_PROXY_SERVER": "gitlab.example.com:443",
    "CI_DEPENDENCY_PROXY_USER": "gitlab-ci-token",
    "CI_DEPENDENCY_PROXY_PASSWORD": "p",
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "before",
    [
        None,
        {},
        {"auths": {}},
        {"auths": {"other.example.com": {"auth": "eA=="}}, "HttpHeaders": {"User-Agent": "a b"}},
        {"credHelpers": {"other.example.com": "ecr-login"}},
    ],
)
def test_a_job_logs_in_to_gitlab_beside_what_is_there(
    tmp_path: Path, before: dict[str, dict[str, object]] | None, shell: str
) -> None:
    folder = tmp_path / "docker"
    if before is not None:
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(before, indent=2), encoding="utf-8")

    answer = _run(tmp_path, "kaniko", shell, DOCKER_CONFIG=str(folder), **OF_GITLAB)

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    auths = config.pop("auths")
    given = before or {}
    assert {**config, "auths": 0} == {**given, "auths": 0}
    auth = auths.pop("r.example.com:5050")["auth"]
    assert base64.b64decode(auth).decode() == 'gitlab-ci-token:a"$(b)\\/&'
    assert auths.pop("gitlab.example.com:443")["auth"] == "Z2l0bGFiLWNpLXRva2VuOnA="
    assert auths == given.get("auths", {})
    assert auth not in json.dumps(answer.calls) + answer.output + answer.errors


def test_a_login_of_the_runner_stays(tmp_path: Path) -> None:
    file = tmp_path / "home" / ".docker" / "config.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"auths": {"r.example.com:5050": {"auth": "eA=="}}}', encoding="utf-8")

    _run(tmp_path, "buildah", **OF_GITLAB)

    auths = json.loads(file.read_text(encoding="utf-8"))["auths"]
    assert auths["r.example.com:5050"] == {"auth": "eA=="}
    assert set(auths) == {"r.example.com:5050", "gitlab.example.com:443"}


def test_a_job_without_a_registry_of_gitlab_logs_in_nowhere(tmp_path: Path) -> None:
    _run(tmp_path, "kaniko")

    assert not (tmp_path / "home" / ".docker" / "config.json").exists()


def test_a_login_that_nobody_may_read_is_new(tmp_path: Path) -> None:
    _run(tmp_path, "kaniko", **OF_GITLAB)

    file = tmp_path / "home" / ".docker" / "config.json"
    assert file.stat().st_mode & 0o077 == 0


def test_a_login_goes_elsewhere_if_its_folder_is_another_users(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    show = 'cat "$DOCKER_CONFIG/config.json"'
    variables = {**OF_GITLAB, "DOCKER_CONFIG": str(tmp_path / "file"), "BUILD_CA_FILE": ""}

    answer = run(tmp_path, templates.script("parts/job.sh") + show, (), **variables)

    assert set(json.loads(answer.output)["auths"]) == {
        "r.example.com:5050",
        "gitlab.example.com:443",
    }
