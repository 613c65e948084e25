"""Jobs for Docker, spelled as people spell them, on runners with an engine or a builder."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.checks import checked, rules, stack, verdict
from tests.support.configured import STRATEGIES

BUILD = 'docker build --tag "$CI_REGISTRY_IMAGE" .'
FORMS = {**STRATEGIES, "databases": {"kind": "dind", "acceptPrivileged": True, "jobEngines": False}}
CASES: list[tuple[str, dict[str, Any], list[str]]] = [
    # Engines as services, spelled as jobs spell them.
    ("dind", {"services": ["docker:dind"]}, []),
    ("dind", {"services": ["docker"]}, []),
    ("dind", {"services": ["docker:18.09.7-dind"]}, []),
    ("dind", {"services": ["docker:27-dind@sha256:" + "a" * 64]}, []),
    ("dind", {"services": ["registry.example.com:5000/mirror/docker:dind"]}, []),
    ("dind", {"services": ["${CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX}/docker:27-dind"]}, []),
    ("dind", {"services": ["$ENGINE"], "variables": {"ENGINE": "docker:dind"}}, []),
    ("dind", {"services": ["$ENGINE"]}, ["engine-service"]),
    ("dind", {"services": ["$REGISTRY/docker-dind:27"]}, ["engine-service"]),
    ("dind", {"services": ["docker:dind", "postgres:18"]}, ["engine-service"]),
    ("dind", {"services": ["moby/buildkit:latest"]}, ["engine-service"]),
    (
        "buildkit",
        {"image": "x", "services": ["moby/buildkit"], "script": ["buildctl --addr a build"]},
        ["builder-service"],
    ),
    ("dood", {"services": ["moby/buildkit:latest"]}, ["builder-service"]),
    ("dind-rootless", {"services": ["docker:27-dind"]}, ["engine-service"]),
    ("databases", {"services": ["postgres:18"]}, []),
    ("databases", {"services": ["docker:dind"]}, ["idle-service"]),
    (
        "databases",
        {
            "services": [{"name": "docker:dind", "command": ["--insecure-registry=a.lan"]}],
            "variables": {"DOCKER_HOST": "tcp://docker:2375"},
        },
        ["engine-flags", "idle-service"],
    ),
    ("dind-tls", {"services": ["docker:27-dind"]}, ["engine-service"]),
    ("dood", {"services": ["docker:dind"]}, ["idle-service"]),
    ("dood", {"services": ["postgres:18"]}, []),
    ("kaniko", {"services": ["docker:dind"]}, ["no-engine"]),
    (
        "kaniko",
        {"services": ["docker:dind"], "script": ["mvn verify"]},
        ["host-tools", "no-engine"],
    ),
    ("kaniko", {"image": "docker:27", "script": ["make image"]}, ["no-engine"]),
    ("dind", {"image": "docker:27", "script": ["make image"]}, []),
    # What the flags of a job's engine let it do.
    *(
        ("dind", {"services": [{"name": "docker:dind", "command": [*flags]}], **more}, found)
        for flags, more, found in (
            (["--insecure-registry", "a.lan:5000"], {}, ["engine-flags"]),
            (["--insecure-registry=a.lan:5000"], {"image": "maven:3"}, ["engine-flags"]),
            (["--insecure-registry=registry.example.com:5000"], {}, []),
            (["--insecure-registry=$REGISTRY", "--mtu=1400"], {}, []),
            (["sh", "-c", "update-ca-certificates && dockerd-entrypoint.sh"], {}, ["engine-flags"]),
            (
                ["--insecure-registry=a.lan"],
                {"variables": {"DOCKER_HOST": "tcp://docker:2376"}},
                [],
            ),
        )
    ),
    # Where the client looks for its engine.
    ("dind", {"variables": {"DOCKER_HOST": "tcp://docker:2375"}}, []),
    ("dind", {"variables": {"DOCKER_HOST": ""}}, []),
    *(
        (
            form,
            {
                "image": image,
                "script": ["mvn spring-boot:build-image"],
                "services": services,
                "variables": {"DOCKER_HOST": "tcp://docker:2375"},
            },
            found,
        )
        for form, image, services, found in (
            ("dind", "maven:3", ["docker:dind"], []),
            ("dind", "maven:3", [], ["docker-host"]),
            ("dind", "example.com/docker-maven:3", [], []),
            ("dood", "maven:3", ["docker:dind"], ["docker-host", "idle-service"]),
        )
    ),
    ("dind", {"variables": {"DOCKER_HOST": "tcp://localhost:2375"}}, []),
    ("dind", {"variables": {"DOCKER_HOST": "unix:///var/run/docker.sock"}}, []),
    ("dind", {"variables": {"DOCKER_HOST": "tcp://engine:2375"}}, ["docker-host"]),
    ("dind", {"script": ["export DOCKER_HOST=tcp://engine:2375", BUILD]}, ["docker-host"]),
    ("dind", {"variables": {"DOCKER_HOST": "tcp://engine.example.com:2375"}}, []),
    (
        "dind",
        {
            "variables": {"DOCKER_HOST": "tcp://engine:2375"},
            "services": [{"name": "docker:dind", "alias": "engine, docker"}],
        },
        [],
    ),
    ("kaniko", {"variables": {"DOCKER_HOST": "tcp://engine:2375"}}, ["no-engine"]),
    *(
        (form, {"script": [script, BUILD], "services": services}, found)
        for form, script, services, found in (
            ("dind", "docker -H tcp://docker:2375 info", [], ["docker-host"]),
            ("dind", "docker --host=tcp://docker:2375 info", ["docker:dind"], []),
            ("dind", "docker --host tcp://other:2375 info", ["docker:dind"], ["docker-host"]),
            ("dind", "docker -H tcp://engine.example.com:2375 info", [], []),
            (
                "dind",
                "docker context create x --docker host=tcp://docker:2375",
                [],
                ["docker-host"],
            ),
            ("dood", "docker -H tcp://127.0.0.1:2375 info", [], ["docker-host"]),
        )
    ),
    ("dind", {"variables": {"DOCKER_HOST": "tcp://127.0.0.1:2375"}}, []),
    # Ports that containers have on the node.
    *(
        (form, {"image": "docker:27", "script": [BUILD, *script]}, found)
        for form, script, found in (
            ("dood", ["docker run -d -p 80:80 a", "curl http://localhost:80"], ["node-port"]),
            ("dood", ["docker compose -f a up -d", "wget docker:80"], ["node-port"]),
            ("dood", ["docker-compose up -d", "nc -z 127.0.0.1 80"], ["node-port"]),
            ("dood", ["docker-compose build", "nc -z 127.0.0.1 80"], []),
            ("dood", ["docker run -d -p 80:80 a", "curl https://example.com"], []),
            ("dood", ["docker run a", "curl http://localhost:80"], []),
            ("dind", ["docker run -d -p 80:80 a", "curl http://localhost:80"], []),
        )
    ),
    # Compose.
    *(
        (form, {"image": "docker:27", "script": script}, found)
        for form, script, found in (
            ("kaniko", ["docker compose -f a.yml --profile x config"], []),
            ("kaniko", ["docker-compose --version", "docker-compose"], []),
            ("kaniko", ["docker-compose -f a.yml build"], ["no-engine"]),
            ("buildx", ["docker compose build app"], ["no-engine"]),
            ("buildx", ["docker compose build app --push"], []),
            ("dood", ["docker compose -f a.yml push"], ["engine-as-store"]),
            ("dood", ["docker-compose push"], ["engine-as-store"]),
            ("dood", ["docker compose -f a.yml build", "docker-compose -f a.yml push"], []),
            ("dood", ["docker compose run -v ./a:/a app"], ["bind-mount"]),
        )
    ),
    (
        "dind",
        {
            "image": "docker/compose:1.29.2",
            "script": ["docker-compose up"],
            "variables": {"DOCKER_HOST": "tcp://docker:2375"},
        },
        [],
    ),
    # Waiting for a port.
    ("dind", {"script": ["while ! nc -z docker 2375; do sleep 1; done", BUILD]}, ["port-wait"]),
    ("dind", {"script": ["wait-for-it.sh docker:2376", BUILD]}, ["host-tools", "port-wait"]),
    (
        "dind",
        {
            "script": ["until nc -z localhost 2375; do sleep 1; done", BUILD],
            "services": ["docker:dind"],
        },
        [],
    ),
    ("dind", {"script": ["until docker info; do sleep 1; done", BUILD]}, []),
    ("dind", {"script": ["nc -z db 5432", BUILD]}, []),
    # Builders of buildx.
    ("dind", {"script": ["docker buildx create --use", "docker buildx build --push ."]}, []),
    ("dind-tls", {"script": ["docker buildx create --use", BUILD]}, ["buildx-create"]),
    *(
        (
            "dind",
            {
                "services": ["docker:dind"],
                "variables": {"DOCKER_HOST": host, "DOCKER_TLS_VERIFY": "1"},
                "script": ["docker buildx create --use", BUILD],
            },
            found,
        )
        for host, found in (("tcp://docker:2376", ["buildx-create"]), ("", []))
    ),
    (
        "dind-tls",
        {"script": ["docker context create x", "docker buildx create --use x", BUILD]},
        [],
    ),
    ("buildx", {"script": ["docker buildx build --push ."]}, []),
    ("buildx", {"script": ["docker buildx build --load ."]}, ["no-engine"]),
    ("buildx", {"script": ["docker buildx build --output type=docker,dest=a.tar ."]}, []),
    ("buildx", {"script": ["docker bake --push"]}, []),
    ("buildx", {"script": [BUILD]}, ["no-engine"]),
    ("buildkit-service-buildx", {"script": ["docker buildx bake --push"]}, []),
    (
        "buildkit-service-buildx",
        {"script": ["docker buildx create --driver kubernetes", "docker buildx build --push ."]},
        ["own-builder"],
    ),
    ("dind", {"script": ["docker buildx create --driver=kubernetes", BUILD]}, ["own-builder"]),
    (
        "buildx",
        {"script": ["docker buildx create --driver kubernetes", "docker buildx build --push ."]},
        [],
    ),
    (
        "buildx",
        {
            "script": [
                "docker buildx create --driver kubernetes --driver-opt namespace=builds-build",
                "docker buildx build --push .",
            ]
        },
        [],
    ),
    # Old clients.
    ("dind", {"image": "docker:18.09"}, []),
]


@pytest.mark.parametrize(("form", "job", "found"), CASES, ids=str)
def test_a_job_for_docker_has_what_its_runner_makes_of_it(
    form: str, job: dict[str, Any], found: list[str], tmp_path: Path
) -> None:
    job = {"tags": ["build"], "script": [BUILD], **job}

    result = checked(tmp_path, {"job": job}, stack({"build": FORMS[form]}))

    assert sorted(set(rules(result))) == found


@pytest.mark.parametrize(("form", "found"), [("dind", "change"), ("dind-tls", "cannot")])
def test_a_database_beside_an_engine_needs_a_setting(form: str, found: str, tmp_path: Path) -> None:
    job = {"tags": ["build"], "services": ["postgres:18"], "script": [BUILD]}

    result = checked(tmp_path, {"job": job}, stack({"build": FORMS[form]}))

    assert (verdict(result), rules(result)) == (found, ["engine-service"])


@pytest.mark.parametrize(
    ("script", "volume", "found"),
    [
        ("docker compose up -d", "./src:/src", True),
        ("docker-compose -f ./compose.yaml run app", '"$PWD:/src:ro"', True),
        ("docker compose --file=compose.yaml -p x create", "..:/src", True),
        ("docker compose up", "{type: bind, source: ./src, target: /src}", True),
        ("docker compose up", "type: bind\n        source: ./src", True),
        ("docker compose up", "data:/data", False),
        ("docker compose build", "./src:/src", False),
        ("docker compose -f other.yaml up", "./src:/src", False),
    ],
)
def test_a_folder_in_a_compose_file_is_one_of_the_node(
    script: str, volume: str, *, found: bool, tmp_path: Path
) -> None:
    """With dind it is the project's."""
    text = f"services:\n  app:\n    build: .\n    volumes:\n      - {volume}\n"
    (tmp_path / "compose.yaml").write_text(text, encoding="utf-8")

    def of(form: str, **more: Any) -> list[str]:  # noqa: ANN401 - YAML
        job = {"tags": ["build"], "image": "docker:27", "script": [script], **more}
        return rules(checked(tmp_path, {"job": job}, stack({"build": FORMS[form]})))

    assert of("dood") == (["bind-mount"] if found else [])
    assert of("dind") == []
    assert of("dood", variables={"COMPOSE_FILE": "other.yaml"}) == (
        ["bind-mount"] if found and "compose.yaml" in script else []
    )
