import re
from itertools import product
from typing import Any

import pytest

from components.config import Auto, Cluster, Dind, Dood, Kaniko, Nodes, Registry, Strategy
from components.strategies import choose, plan_for
from components.strategies.plan import BuildPlan

SELECTOR = {"image-builds/docker-socket": "true"}
CLUSTER = Cluster(
    kind="onPrem",
    nodes=Nodes(os="ubuntu", docker_socket=True, trusted=True, selector=SELECTOR),
)
KANIKO = Kaniko()
DOOD = Dood(accept_node_root=True)
DIND = Dind(accept_privileged=True)
INSECURE = Registry(host="lan.example.com:5000", insecure=True)
PRIVATE = Registry(host="ca.example.com:5000").model_copy(update={"certificates": "PEM"})

# strategy: Pod Security, privileged, escalation, host paths, credentials, node selector
SECURITY: dict[str, tuple[Any, ...]] = {
    "kaniko": (KANIKO, "baseline", False, None, (), "/kaniko/.docker", {}),
    "dood": (
        DOOD,
        "privileged",
        False,
        False,
        ("/var/run/docker.sock",),
        "/etc/image-builds/docker",
        SELECTOR,
    ),
    "dind": (DIND, "privileged", False, None, (), "/etc/image-builds/docker", SELECTOR),
}


def _plan(strategy: Strategy, *registries: Registry, mirrors: tuple[str, ...] = ()) -> BuildPlan:
    return plan_for(strategy, CLUSTER, registries, mirrors)


@pytest.mark.parametrize("name", SECURITY)
def test_a_strategy_costs_what_the_table_says(name: str) -> None:
    strategy, level, privileged, escalation, paths, credentials, selector = SECURITY[name]

    plan = _plan(strategy)

    assert plan.strategy == name
    assert plan.pod_security == level
    assert plan.privileged is privileged
    assert plan.allow_privilege_escalation is escalation
    assert tuple(path.path for path in plan.host_paths) == paths
    assert plan.credentials_folder == credentials
    assert plan.node_selector == selector


@pytest.mark.parametrize("strategy", [KANIKO, DOOD, DIND], ids=["kaniko", "dood", "dind"])
def test_privilege_and_host_paths_need_the_privileged_level(strategy: Strategy) -> None:
    plan = _plan(strategy)

    privilege = plan.privileged or plan.service_privileged or bool(plan.host_paths)
    assert privilege <= (plan.pod_security == "privileged")


@pytest.mark.parametrize("strategy", [KANIKO, DOOD, DIND], ids=["kaniko", "dood", "dind"])
def test_every_image_names_a_version(strategy: Strategy) -> None:
    assert re.search(r":v?\d+\.\d+\.\d+", _plan(strategy).image)


@pytest.mark.parametrize(
    ("kind", "system", "socket", "trusted"),
    list(product(("managed", "onPrem"), ("ubuntu", "other"), (True, False), (True, False))),
)
def test_auto_takes_dood_only_where_everything_it_needs_is_declared(
    *,
    kind: str,
    system: str,
    socket: bool,
    trusted: bool,
) -> None:
    nodes = {"os": system, "dockerSocket": socket, "trusted": trusted}
    cluster = Cluster.model_validate({"kind": kind, "nodes": nodes})

    chosen = choose(cluster)

    wanted = (kind, system, socket, trusted) == ("onPrem", "ubuntu", True, True)
    assert chosen == (DOOD if wanted else KANIKO)


def test_auto_yields_the_chosen_strategys_plan() -> None:
    assert _plan(Auto()) == _plan(DOOD)


def test_kaniko_gets_the_registries_as_flags() -> None:
    plan = _plan(
        Kaniko(cache_repository="lan.example.com:5000/cache:v1"),
        INSECURE,
        PRIVATE,
        mirrors=("mirror.example.com",),
    )

    assert plan.environment["KANIKO_FLAGS"].split() == [
        "--insecure-registry=lan.example.com:5000",
        "--registry-certificate=ca.example.com:5000="
        "/kaniko/registry-certificates/ca.example.com_5000.crt",
        "--registry-mirror=mirror.example.com",
        "--cache=true",
        "--cache-repo=lan.example.com:5000/cache:v1",
    ]


def test_dood_says_what_the_nodes_owner_must_set() -> None:
    plan = _plan(DOOD, INSECURE, PRIVATE, mirrors=("mirror.example.com",))

    assert plan.node_setup == (
        '/etc/docker/daemon.json must hold {"insecure-registries": ["lan.example.com:5000"], '
        '"registry-mirrors": ["https://mirror.example.com"]}',
        "/etc/docker/certs.d/ca.example.com:5000/ca.crt must hold the CA of ca.example.com:5000",
    )


def test_dind_gives_its_engine_the_registries() -> None:
    plan = _plan(DIND, INSECURE, PRIVATE, mirrors=("mirror.example.com",))

    assert plan.services[0].command == (
        "--insecure-registry=lan.example.com:5000",
        "--registry-mirror=https://mirror.example.com",
    )
    assert plan.certificate_paths == {"ca.example.com_5000.crt": "ca.example.com:5000/ca.crt"}


def test_dinds_client_and_engine_are_of_one_version() -> None:
    plan = _plan(DIND)

    versions = {
        re.findall(r":([\d.]+)-", image)[0] for image in (plan.image, plan.services[0].image)
    }
    assert len(versions) == 1


def test_dinds_client_and_engine_agree_on_tls() -> None:
    plan = _plan(DIND)

    assert plan.environment["DOCKER_HOST"] == f"tcp://{plan.services[0].alias}:2376"
    assert plan.services[0].environment["HEALTHCHECK_TCP_PORT"] == "2376"
    assert plan.environment["DOCKER_CERT_PATH"] in {folder.path for folder in plan.empty_dirs}
    (engine,) = plan.services
    assert plan.environment["DOCKER_TLS_CERTDIR"] == engine.environment["DOCKER_TLS_CERTDIR"]


def test_nothing_to_set_on_the_nodes_is_nothing_said() -> None:
    assert _plan(DOOD, Registry(host="registry.example.com")).node_setup == ()


def test_the_archived_kaniko_image_is_warned_about() -> None:
    plan = _plan(Kaniko(image="gcr.io/kaniko-project/executor:v1.24.0-debug"))

    assert "archived" in plan.warnings[0]
    assert _plan(KANIKO).warnings == ()


def test_an_old_docker_client_is_warned_about() -> None:
    plan = _plan(Dood(accept_node_root=True, image="docker:20.10.24-cli"))

    assert "no security fixes" in plan.warnings[1]
    assert len(_plan(DOOD).warnings) == 1
