import re
import tomllib
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest

from components.permissions import Permission
from components.plan import BuildPlan, Security
from components.settings.explain import privilege
from components.site import Cluster, NodeProfiles, Nodes, Registry, Site
from components.strategies import Strategy
from components.strategies.auto import Auto
from components.strategies.buildah import Buildah
from components.strategies.buildkit import Buildkit
from components.strategies.buildx import Buildx
from components.strategies.deploy import Deploy
from components.strategies.dind import Dind
from components.strategies.docker import OF_JOBS
from components.strategies.dood import Dood
from components.strategies.kaniko import Kaniko
from dev.generate import docs as readme
from tests.support.configured import FORMS

SELECTOR = {"image-builds/docker-socket": "true"}
CLUSTER = Cluster(
    kind="onPrem", nodes=Nodes(os="ubuntu", docker_socket=True, trusted=True, selector=SELECTOR)
)
KANIKO = Kaniko()
DOOD = Dood(accept_node_root=True)
DIND = Dind(accept_privileged=True)
INSECURE = Registry(host="lan.example.com:5000", insecure=True)
PRIVATE = Registry(host="ca.example.com:5000").model_copy(update={"ca_certificates": "PEM"})

BUILDKIT = Buildkit()
BUILDAH = Buildah()
PROFILES = NodeProfiles(seccomp="profiles/build.json", app_armor="build")

# What each variant costs, to be read as a whole; docs/reference/strategies.md has it too, from the plans.
SECURITY = """
variant                          | Pod Security | privileged        | uid  | capabilities | seccomp        | AppArmor   | hostUsers | hostPath             | escalation | login in        | API permissions
kaniko                           | baseline     | -                 | -    | -            | -              | -          | -         | -                    | -          | /kaniko/.docker | none
kaniko-user-namespace            | baseline     | -                 | -    | -            | -              | -          | false     | -                    | -          | /kaniko/.docker | none
buildkit-service                 | restricted   | -                 | 1000 | drop ALL     | RuntimeDefault | -          | -         | -                    | false      | /tmp/.docker    | none
buildkit-service daemon          | privileged   | -                 | 1000 | -            | Unconfined     | Unconfined | -         | -                    | -          | -               | none
buildkit-service-profiles        | restricted   | -                 | 1000 | drop ALL     | RuntimeDefault | -          | -         | -                    | false      | /tmp/.docker    | none
buildkit-service-profiles daemon | baseline     | -                 | 1000 | -            | Localhost      | Localhost  | -         | -                    | -          | -               | none
buildkit-service-buildx          | restricted   | -                 | 1000 | drop ALL     | RuntimeDefault | -          | -         | -                    | false      | /tmp/.docker    | none
buildkit-service-buildx daemon   | privileged   | -                 | 1000 | -            | Unconfined     | Unconfined | -         | -                    | -          | -               | none
buildkit                         | privileged   | -                 | 1000 | -            | Unconfined     | Unconfined | -         | -                    | -          | /tmp/.docker    | none
buildkit-profiles                | baseline     | -                 | 1000 | -            | Localhost      | Localhost  | -         | -                    | -          | /tmp/.docker    | none
buildkit-rootful                 | privileged   | build             | -    | -            | -              | -          | false     | -                    | -          | /tmp/.docker    | none
buildkit-privileged              | privileged   | build             | -    | -            | -              | -          | -         | -                    | -          | /tmp/.docker    | none
buildah                          | privileged   | -                 | 1000 | -            | Unconfined     | Unconfined | -         | -                    | -          | /tmp/.docker    | none
buildah-profiles                 | baseline     | -                 | 1000 | -            | Localhost      | Localhost  | -         | -                    | -          | /tmp/.docker    | none
buildah-root                     | privileged   | -                 | 0    | SETFCAP      | Unconfined     | Unconfined | -         | -                    | -          | /tmp/.docker    | none
buildah-user-namespace           | privileged   | -                 | 0    | SETFCAP      | Unconfined     | Unconfined | false     | -                    | -          | /tmp/.docker    | none
buildah-privileged               | privileged   | build             | -    | -            | -              | -          | -         | -                    | -          | /tmp/.docker    | none
buildx                           | privileged   | -                 | -    | -            | -              | -          | -         | -                    | false      | /tmp/.docker    | create, delete, get deployments; list pods; create pods/exec
dind                             | privileged   | service           | -    | -            | -              | -          | -         | -                    | -          | /tmp/.docker    | none
dind-tls                         | privileged   | service           | -    | -            | -              | -          | -         | -                    | -          | /tmp/.docker    | none
dind-rootless                    | privileged   | service, uid 1000 | -    | -            | -              | -          | -         | -                    | -          | /tmp/.docker    | none
dood                             | privileged   | -                 | -    | -            | -              | -          | -         | /var/run/docker.sock | false      | /tmp/.docker    | none
deploy                           | restricted   | -                 | 1000 | drop ALL     | RuntimeDefault | -          | -         | -                    | false      | -               | as listed
"""
HEADINGS, *ROWS = [re.split(r" +\| ", line) for line in SECURITY.strip().splitlines()]
COSTS = {name: costs for name, *costs in ROWS}


def _plan(strategy: Strategy, *registries: Registry, mirrors: tuple[str, ...] = ()) -> BuildPlan:
    return strategy.plan(Site(cluster=CLUSTER, registries=registries, mirrors=mirrors))


def _variants(model: type[Any]) -> set[tuple[str, str | None]]:
    fields = model.model_fields
    forms = get_args(fields["variant"].annotation) if "variant" in fields else (None,)
    return {(get_args(fields["kind"].annotation)[0], form) for form in forms}


def test_every_variant_that_a_stack_file_can_ask_for_has_its_row() -> None:
    asked = set[tuple[str, str | None]]().union(*map(_variants, get_args(Strategy)))

    rows = {(strategy.kind, getattr(strategy, "variant", None)) for strategy in FORMS.values()}
    assert rows == asked - {("auto", None)}
    assert list(readme.costs()) == list(COSTS)


@pytest.mark.parametrize("name", COSTS)
def test_a_variant_costs_what_the_table_says(name: str) -> None:
    assert readme.costs()[name] == dict(zip(HEADINGS[1:], COSTS[name], strict=True))


@pytest.mark.parametrize("strategy", FORMS.values(), ids=FORMS)
def test_what_reaches_the_node_runs_on_chosen_nodes(strategy: Strategy) -> None:
    plan = _plan(strategy)

    reaches = bool(plan.host_paths) or (plan.privileged and plan.host_users)
    assert plan.node_selector == (SELECTOR if reaches else {})


@pytest.mark.parametrize("strategy", FORMS.values(), ids=FORMS)
def test_privilege_and_host_paths_need_the_privileged_level(strategy: Strategy) -> None:
    plan = _plan(strategy)

    privilege = plan.build.privileged or plan.service.privileged or bool(plan.host_paths)
    assert privilege <= (plan.pod_security == "privileged")


@pytest.mark.parametrize("strategy", FORMS.values(), ids=FORMS)
def test_only_an_accepted_strategy_is_privileged_on_the_node(strategy: Strategy) -> None:
    plan = _plan(strategy)

    on_the_node = plan.host_users and (plan.build.privileged or plan.service.privileged)
    assert on_the_node <= bool(getattr(strategy, "accept_privileged", None))


@pytest.mark.parametrize("strategy", FORMS.values(), ids=FORMS)
def test_a_restricted_plan_names_a_user_and_adds_no_privilege(strategy: Strategy) -> None:
    plan = _plan(strategy)

    wanted = (plan.build.user or 0) > 0 and plan.allow_privilege_escalation is False
    assert plan.restricted <= wanted
    assert plan.restricted <= (not plan.build.capabilities and not plan.build.seccomp)


@pytest.mark.parametrize("name", FORMS)
def test_only_jobs_with_permissions_have_a_token(name: str) -> None:
    """Only jobs that build have a push login."""
    plan = _plan(FORMS[name])

    assert plan.account_token is (name in {"deploy", "buildx"})
    assert bool(plan.credentials_folder) is (name != "deploy")
    assert plan.permissions == {}


def test_the_plan_of_a_deployment_has_the_rights_that_are_listed() -> None:
    right = Permission(api_groups=["apps"], resources=["deployments"], verbs=["get"])

    assert _plan(Deploy(permissions={"apps": [right]})).permissions == {"apps": [right]}


@pytest.mark.parametrize("strategy", FORMS.values(), ids=FORMS)
def test_tools_that_map_uids_may_escalate(strategy: Strategy) -> None:
    plan = _plan(strategy)

    # Where a job has the tool run in a pod that it makes, its own container needs no such thing.
    in_the_job = plan.unshares and not plan.account_rules
    assert (in_the_job and plan.allow_privilege_escalation is False) is False


@pytest.mark.parametrize("strategy", FORMS.values(), ids=FORMS)
def test_every_image_names_a_version(strategy: Strategy) -> None:
    assert re.search(r":v?\d+\.\d+\.\d+", _plan(strategy).image)


@pytest.mark.parametrize(
    ("kind", "system", "socket", "trusted"),
    list(product(("managed", "onPrem"), ("ubuntu", "other"), (True, False), (True, False))),
)
def test_auto_takes_dood_only_where_all_it_needs_is_declared(
    *, kind: str, system: str, socket: bool, trusted: bool
) -> None:
    nodes = {"os": system, "dockerSocket": socket, "trusted": trusted}
    cluster = Cluster.model_validate({"kind": kind, "nodes": nodes})

    chosen = Auto().choose(Site(cluster=cluster))

    wanted = (kind, system, socket, trusted) == ("onPrem", "ubuntu", True, True)
    assert chosen == (DOOD if wanted else KANIKO)


def test_auto_yields_the_chosen_strategys_plan() -> None:
    assert _plan(Auto()) == _plan(DOOD)


def test_kaniko_gets_the_registries_as_flags() -> None:
    plan = _plan(
        Kaniko(cache_repository="lan.example.com:5000/cache"),
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
        "--cache-repo=lan.example.com:5000/cache",
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

    assert plan.services[0].command[-3:] == (
        "--data-root=/var/lib/image-builds/docker",
        "--insecure-registry=lan.example.com:5000",
        "--registry-mirror=https://mirror.example.com",
    )
    assert plan.files == {"ca.example.com:5000/ca.crt": "PEM"}


def test_the_engine_of_dind_trusts_the_ca_of_a_mirror() -> None:
    """It asks the other registries as the stack file says."""
    mirrors = ("lan.example.com:5000", "ca.example.com:5000", "mirror.example.com")

    plan = _plan(DIND, INSECURE, PRIVATE, mirrors=mirrors)

    assert tomllib.loads(plan.files["docker.io/hosts.toml"]) == {
        "host": {
            "http://lan.example.com:5000": {
                "capabilities": ["pull", "resolve"],
                "skip_verify": True,
            },
            "https://ca.example.com:5000": {
                "capabilities": ["pull", "resolve"],
                "ca": "../ca.example.com:5000/ca.crt",
            },
            "https://mirror.example.com": {"capabilities": ["pull", "resolve"]},
        }
    }


def test_dood_says_what_its_engine_needs_for_a_private_mirror() -> None:
    """The mirror has a private CA."""
    plan = _plan(DOOD, PRIVATE, mirrors=(PRIVATE.host,))

    heading, _, text = plan.node_setup[-1].partition("\n")
    assert heading == "/etc/docker/certs.d/docker.io/hosts.toml must hold"
    assert (
        text == _plan(DIND, PRIVATE, mirrors=(PRIVATE.host,)).files["docker.io/hosts.toml"].strip()
    )


def test_dinds_client_and_engine_are_of_one_version() -> None:
    plan = _plan(DIND)

    versions = {
        re.findall(r":([\d.]+)-", image)[0] for image in (plan.image, plan.services[0].image)
    }
    assert len(versions) == 1


def test_dinds_client_and_engine_share_the_folder_of_a_socket() -> None:
    """The engine opens no port and makes no certificates, whatever a job's variables say."""
    plan = _plan(DIND)

    (engine,) = plan.services
    socket, *_ = engine.command
    assert f"export DOCKER_HOST={socket.removeprefix('--host=')}\n" in plan.prepare
    assert str(Path(socket.removeprefix("--host=unix://")).parent) in _folders(plan)
    assert not any("tcp" in argument for argument in engine.command)
    assert engine.environment["DOCKER_TLS_CERTDIR"] == ""
    # Engines that jobs bring get the runner's variables too, and listen on such a socket.
    assert plan.environment == OF_JOBS


def test_dinds_engine_may_be_the_only_privileged_container() -> None:
    plan = _plan(Dind.model_validate({"accept_privileged": True, "job_engines": False}))

    (engine,) = plan.services
    assert (plan.service.privileged, engine.privileged, plan.privileged) == (False, True, True)
    assert plan.roots_node
    assert privilege(plan) == privilege(_plan(DIND))
    # It has no other one to wait for.
    assert "/etc/hosts" not in "".join(engine.entrypoint)


@pytest.mark.parametrize("variant", ["tls", "rootless"])
def test_dinds_client_and_engine_agree_on_tls(variant: str) -> None:
    plan = _plan(Dind.model_validate({"variant": variant, "accept_privileged": True}))

    assert plan.environment["DOCKER_HOST"] == f"tcp://{plan.services[0].alias}:2376"
    assert plan.environment["DOCKER_CERT_PATH"] in _folders(plan)
    (engine,) = plan.services
    assert plan.environment["DOCKER_TLS_CERTDIR"] == engine.environment["DOCKER_TLS_CERTDIR"]


def _folders(plan: BuildPlan) -> set[str]:
    return {folder.path for folder in plan.empty_dirs}


@pytest.mark.parametrize("variant", ["socket", "tls", "rootless"])
def test_dinds_engine_ignores_what_a_job_tells_its_client(variant: str) -> None:
    (engine,) = _plan(Dind.model_validate({"variant": variant, "accept_privileged": True})).services

    assert engine.environment["DOCKER_DRIVER"] == ""
    assert engine.environment["DOCKER_TLS_VERIFY"] == ""
    assert engine.environment["DOCKER_CERT_PATH"] == ""
    assert engine.environment["DOCKER_MIN_API_VERSION"] == "1.24"


def test_buildkits_daemon_reads_the_registries() -> None:
    plan = _plan(BUILDKIT, INSECURE, PRIVATE, mirrors=("mirror.example.com",))
    certificate = "/etc/image-builds/buildkit/ca.example.com_5000.crt"

    assert tomllib.loads(plan.files["buildkitd.toml"])["registry"] == {
        "lan.example.com:5000": {"http": True},
        "ca.example.com:5000": {"ca": [certificate]},
        "docker.io": {"mirrors": ["mirror.example.com"]},
    }
    assert plan.files["ca.example.com_5000.crt"] == "PEM"
    assert plan.environment["BUILDKITD_FLAGS"] == (
        "--oci-worker-no-process-sandbox --config=/etc/image-builds/buildkit/buildkitd.toml"
    )
    flags = f"--registry-auth-tlscontext=host=ca.example.com:5000,ca={certificate}"
    assert plan.environment["BUILDCTL_FLAGS"] == flags


def test_a_mirror_keeps_what_docker_hub_was_given_already() -> None:
    hub = Registry(host="docker.io", insecure=True)

    files = _plan(BUILDKIT, hub, mirrors=("mirror.example.com",)).files

    assert tomllib.loads(files["buildkitd.toml"])["registry"] == {
        "docker.io": {"http": True, "mirrors": ["mirror.example.com"]}
    }


@pytest.mark.parametrize("strategy", [BUILDKIT, BUILDAH], ids=["buildkit", "buildah"])
def test_without_registries_a_tool_keeps_its_own_settings(strategy: Strategy) -> None:
    plan = _plan(strategy)

    assert plan.files == {}
    assert not any(plan.files_folder in value for value in plan.environment.values())


@pytest.mark.parametrize(("variant", "home"), [("chroot", "/home/build"), ("root", "/root")])
def test_buildah_reads_the_registries_in_its_home(variant: str, home: str) -> None:
    strategy = Buildah.model_validate({"variant": variant})
    plan = _plan(strategy, INSECURE, PRIVATE, mirrors=("mirror.example.com",))

    assert plan.files_folder == f"{home}/.config/containers"
    assert plan.files["certs.d/ca.example.com:5000/ca.crt"] == "PEM"
    assert tomllib.loads(plan.files["registries.conf"]) == {
        "unqualified-search-registries": ["docker.io"],
        "registry": [
            {"location": "lan.example.com:5000", "insecure": True},
            {"location": "docker.io", "mirror": [{"location": "mirror.example.com"}]},
        ],
    }


def test_crios_default_profile_lets_buildah_unshare() -> None:
    cluster = Cluster(kind="onPrem", nodes=Nodes(runtime="crio"))

    plan = BUILDAH.plan(Site(cluster=cluster))

    assert plan.pod_security == "baseline"
    assert plan.build == Security(user=1000)


@pytest.mark.parametrize("strategy", [BUILDKIT, BUILDAH], ids=["buildkit", "buildah"])
def test_what_unshares_needs_something_of_ubuntus_nodes(strategy: Strategy) -> None:
    (line,) = _plan(strategy).node_setup
    (profiles,) = _plan(strategy.model_copy(update={"node_profiles": PROFILES})).node_setup
    other = strategy.plan(Site(cluster=Cluster(kind="onPrem")))

    assert "apparmor_restrict_unprivileged_userns=0" in line
    assert "profiles/build.json" in profiles
    assert other.node_setup == ()


def test_nothing_to_set_on_the_nodes_is_nothing_said() -> None:
    assert _plan(DOOD, Registry(host="registry.example.com")).node_setup == ()


def test_the_archived_kaniko_image_is_warned_about() -> None:
    plan = _plan(Kaniko(image="gcr.io/kaniko-project/executor:v1.24.0-debug"))

    assert "archived" in plan.warnings[0]
    assert _plan(KANIKO).warnings == ()


@pytest.mark.parametrize(
    "image",
    ["docker:20.10.24-cli", "docker:24", "registry.example.com:5000/mirror/docker:28.1.1-cli"],
)
def test_an_old_docker_client_is_warned_about(image: str) -> None:
    plan = _plan(Dood(accept_node_root=True, image=image))

    assert "no security fixes" in plan.warnings[1]


@pytest.mark.parametrize("image", ["docker:29.10.0-cli", "docker:cli", "tools/docker-bench:1.5"])
def test_another_image_is_not_warned_about(image: str) -> None:
    assert len(_plan(Dood(accept_node_root=True, image=image)).warnings) == 1


def test_buildx_passes_its_settings_to_a_rootless_daemon() -> None:
    cluster, registry = Cluster(kind="onPrem"), Registry(host="r.example.com:5000", insecure=True)

    plan = Buildx(accept_privileged=True).plan(Site(cluster=cluster, registries=[registry]))

    assert "--buildkitd-flags --config=/etc/buildkit/buildkitd.toml" in plan.prepare
