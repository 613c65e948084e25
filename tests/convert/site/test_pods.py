"""Keys of the pods of jobs: volumes, names, places, pulls, labels and variables."""

from pathlib import Path
from typing import Any

import pytest

from convert.site import security
from convert.site.importer import Imported
from tests.support.sites import about, values

RUNNER = ("runners", "builds")
ROLE = "arn:aws:iam::000000000000:role/runner"
GOOGLE = "builds@project.iam.gserviceaccount.com"
TERM = '{match_expressions = [{key = "pool", operator = "In", values = ["ci"]}]}'
REQUIRED = "required_during_scheduling_ignored_during_execution"
PREFERRED = "preferred_during_scheduling_ignored_during_execution"


def _config(folder: Path, text: str) -> Imported:
    return values(folder, f"[[runners]]\n[runners.kubernetes]\n{text}\n", "config.toml")


def _volume(kind: str, more: str = "", path: str = "/data") -> str:
    return f'[[runners.kubernetes.volumes.{kind}]]\nname = "a"\nmount_path = "{path}"\n{more}\n'


VOLUMES: list[tuple[str, Any]] = [
    (_volume("pvc"), {"path": "/data", "claim": "a"}),
    (_volume("pvc", "read_only = true"), {"path": "/data", "claim": "a", "readOnly": True}),
    (_volume("secret"), {"path": "/data", "secret": "a"}),
    (_volume("config_map"), {"path": "/data", "configMap": "a"}),
    (_volume("empty_dir"), {"path": "/data", "scratch": {"size": "10Gi"}}),
    (
        _volume("empty_dir", 'medium = "Memory"\nsize_limit = "1Gi"'),
        {"path": "/data", "scratch": {"size": "1Gi", "memory": True}},
    ),
    (_volume("host_path", 'host_path = "/var/cache"'), {"path": "/data", "claim": "a"}),
    (
        _volume("pvc").replace('"a"', '"a-${CI_CONCURRENT_ID}"'),
        {"path": "/data", "claim": "a-$CI_CONCURRENT_ID"},
    ),
    (_volume("secret", 'items = {"b" = "b"}'), {"path": "/data", "secret": "a"}),
]


@pytest.mark.parametrize(("text", "volume"), VOLUMES, ids=range(len(VOLUMES)))
def test_a_volume_is_taken(text: str, volume: object, tmp_path: Path) -> None:
    found = _config(tmp_path, text)

    assert found.draft.get((*RUNNER, "volumes")) == [volume]
    assert found.errors == []
    worse = [line for line in security.worse(found) if "Secret" in line]
    assert bool(worse) == ("volumes.secret" in text)


def test_a_part_of_an_object_is_not_mounted_by_itself(tmp_path: Path) -> None:
    found = _config(tmp_path, _volume("secret", 'sub_path = "b"\nitems = {a = "c"}'))

    assert [(item.path.rpartition(".")[2], item.outcome) for item in found.findings] == [
        ("secret", "taken"),
        ("sub_path", "refused"),
        ("items", "refused"),
    ]


@pytest.mark.parametrize("kind", ["secret", "config_map"])
def test_a_login_as_a_volume_is_one_of_a_registry(kind: str, tmp_path: Path) -> None:
    (asked,) = _config(tmp_path, _volume(kind, path="/root/.docker")).findings

    assert (asked.outcome, asked.keys) == ("asks", ("registries[].pushSecret",))


def test_the_ca_of_a_registry_is_asked_for(tmp_path: Path) -> None:
    found = _config(tmp_path, _volume("secret", path="/etc/docker/certs.d/r.example.com"))

    (asked,) = found.findings
    assert (asked.outcome, asked.keys) == ("asks", ("registries[].caCertificates",))


KEYS: list[tuple[str, str, Any]] = [
    ("poll_timeout = 600", "podStartTimeout", 600),
    ('poll_timeout = "10m"', "podStartTimeout", 600),
    ('pod_labels = {team = "a"}', "labels", {"team": "a"}),
    ('pod_annotations = {"a/b" = "c"}', "annotations", {"a/b": "c"}),
    (
        'dns_config = {nameservers = ["192.0.2.53"], searches = ["a.example.com"], '
        'options = [{name = "ndots", value = "1"}, {name = "use-vc"}]}',
        "dns",
        {
            "servers": ["192.0.2.53"],
            "searches": ["a.example.com"],
            "options": {"ndots": 1, "use-vc": None},
        },
    ),
    ('dns_config = {options = [{name = "ndots", value = "1"}]}', "dns", {"options": {"ndots": 1}}),
    ('dns_search = ["a.example.com"]', "dns", {"searches": ["a.example.com"]}),
    (
        f"affinity.node_affinity.{REQUIRED} = {{node_selector_terms = [{TERM}]}}",
        "nodeAffinity",
        {"require": [{"key": "pool", "operator": "In", "values": ["ci"]}]},
    ),
    (
        f"affinity.node_affinity.{PREFERRED} = [{{weight = 5, preference = {TERM}}}]",
        "nodeAffinity",
        {"prefer": [{"key": "pool", "operator": "In", "values": ["ci"], "weight": 5}]},
    ),
    (
        f"affinity.node_affinity.{REQUIRED} = {{node_selector_terms = [{{match_expressions = "
        '[{key = "control-plane", operator = "DoesNotExist"}]}]}',
        "nodeAffinity",
        {"require": [{"key": "control-plane", "operator": "DoesNotExist"}]},
    ),
    (
        f"affinity.pod_anti_affinity.{PREFERRED} = "
        '[{pod_affinity_term = {topology_key = "kubernetes.io/hostname"}}]',
        "spread",
        "node",
    ),
    (
        f"affinity.pod_anti_affinity.{PREFERRED} = "
        '[{pod_affinity_term = {topology_key = "topology.kubernetes.io/zone"}}]',
        "spread",
        "zone",
    ),
    (
        f"affinity.node_affinity.{REQUIRED} = {{node_selector_terms = [{{match_expressions = "
        '[{key = "kubernetes.io/arch", operator = "In", values = ["arm64"]}]}]}',
        "nodeSelector",
        {"kubernetes.io/arch": "arm64"},
    ),
    (
        f'pod_annotations = {{"eks.amazonaws.com/role-arn" = "{ROLE}"}}',
        "identity",
        {"jobs": {"aws": ROLE}},
    ),
]


@pytest.mark.parametrize(("text", "key", "value"), KEYS, ids=range(len(KEYS)))
def test_a_key_of_pods_is_taken(text: str, key: str, value: object, tmp_path: Path) -> None:
    found = _config(tmp_path, text)

    assert found.draft.get((*RUNNER, key)) == value
    assert found.errors == []
    assert any("identity.jobs" in line for line in security.worse(found)) == (key == "identity")


REFUSED: list[tuple[str, str]] = [
    (
        f"affinity.node_affinity.{REQUIRED} = {{node_selector_terms = [{TERM}, {TERM}]}}",
        "must have one term",
    ),
    (
        f"affinity.node_affinity.{REQUIRED} = "
        '{node_selector_terms = [{match_fields = [{key = "a"}]}]}',
        "must be about labels of nodes",
    ),
    ('allowed_pull_policies = [["a"]]', "must be a list of texts"),
    ('pod_labels = {team = ["a"]}', "must be a mapping of texts"),
    ('privileged = "perhaps"', "must be true or false"),
    ('host_aliases = [{ip = "192.0.2.7", hostnames = [["a"]]}]', "must be a list of texts"),
    ('dns_config = {nameservers = [["a"]]}', "must be a list of texts"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=range(len(REFUSED)))
def test_a_key_of_pods_is_refused_with_its_reason(text: str, said: str, tmp_path: Path) -> None:
    (finding,) = _config(tmp_path, text).findings

    assert (finding.outcome, said in finding.text) == ("refused", True)


@pytest.mark.parametrize(
    "text",
    [
        'host_aliases = [{ip = "192.0.2.7", hostnames = ["a.example.com"]}]',
        'host_aliases = {"192.0.2.7" = ["a.example.com"]}',
    ],
    ids=["list", "table"],
)
def test_names_of_hosts_are_those_of_the_stack(text: str, tmp_path: Path) -> None:
    found = _config(tmp_path, text)

    assert found.draft.get(("hostAliases",)) == {"192.0.2.7": ["a.example.com"]}
    assert found.errors == []


def test_lines_for_etc_hosts_are_names_of_hosts(tmp_path: Path) -> None:
    script = "# names\necho '192.0.2.7 a.example.com b.example.com' >> /etc/hosts"
    found = values(tmp_path, f'[[runners]]\npre_clone_script = """\n{script}\n"""\n', "config.toml")

    names = ["a.example.com", "b.example.com"]
    assert found.draft.get(("hostAliases",)) == {"192.0.2.7": names}
    assert [item.outcome for item in found.findings] == ["taken"]


@pytest.mark.parametrize(
    ("image", "host"),
    [("r.example.com/a:1", "r.example.com"), ("a/b:1", "registry.gitlab.example.com")],
    ids=["image", "gitlab"],
)
def test_the_registry_of_a_pull_secret_is_guessed_and_asked_for(
    image: str, host: str, tmp_path: Path
) -> None:
    text = (
        '[[runners]]\nurl = "https://gitlab.example.com"\n[runners.kubernetes]\n'
        f'image_pull_secrets = ["login"]\nimage = "{image}"\n'
    )

    found = values(tmp_path, text, "config.toml")

    assert found.draft.get(("registries",)) == [{"host": host, "pullSecret": "login"}]
    (asked,) = about(found, "runners.kubernetes.image_pull_secrets")
    assert (asked.outcome, asked.keys) == ("asks", ("registries[].pullSecret",))
    assert found.errors == []


def test_profiles_in_annotations_are_the_strategys(tmp_path: Path) -> None:
    profile = "container.apparmor.security.beta.kubernetes.io/build"
    found = _config(tmp_path, f'pod_annotations = {{"{profile}" = "unconfined"}}')

    assert [item.outcome for item in found.findings] == ["product"]


def test_a_proxy_in_variables_is_that_of_the_stack(tmp_path: Path) -> None:
    text = (
        '[[runners]]\nenvironment = ["HTTPS_PROXY=http://proxy.example.com:3128", '
        '"no_proxy=.example.com, 192.0.2.0/24"]\n'
    )
    found = values(tmp_path, text, "config.toml")

    assert found.draft.get(("proxy",)) == {
        "https": "http://proxy.example.com:3128",
        "except": [".example.com", "192.0.2.0/24"],
    }
    assert found.errors == []


def test_an_identity_of_google_opens_the_metadata_server(tmp_path: Path) -> None:
    text = f"serviceAccount: {{annotations: {{iam.gke.io/gcp-service-account: {GOOGLE}}}}}\n"
    found = values(tmp_path, text)

    assert found.draft.get((*RUNNER, "identity", "manager")) == {"google": GOOGLE}
    assert found.draft.get(("network", "egress", "metadata")) is True
    assert found.errors == []


def test_an_identity_of_the_manager_may_stand_at_its_pod(tmp_path: Path) -> None:
    found = values(tmp_path, f"podAnnotations: {{iam.amazonaws.com/role: '{ROLE}'}}\n")

    assert found.draft.get((*RUNNER, "identity", "manager")) == {"aws": ROLE}


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        (
            "image: {registry: m.example.com, image: a/gitlab-runner}",
            "images",
            {"registry": "m.example.com/a"},
        ),
        ("image: m.example.com/a/gitlab-runner:v18.9.0", "images", {"registry": "m.example.com/a"}),
        (
            "runners: {helper: {registry: m.example.com}}",
            "images",
            {"registry": "m.example.com/gitlab-org"},
        ),
        ("image: m.example.com/other:alpine-v18.9.0", "managerImage", "alpine-v"),
        (
            "runners: {helpers: {image: 'm.example.com/helper:x86_64-v18.9.0'}}",
            "helperImage",
            "x86_64-v",
        ),
        ("image: m.example.com/other", "managerImage", None),
        (
            "runners: {helpers: {image: 'm.example.com/gitlab-runner/gitlab-runner-helper:v18.9.0'"
            "}}",
            "helperImage",
            "v",
        ),
    ],
    ids=range(7),
)
def test_images_of_a_mirror_have_the_version_of_the_chart(
    text: str, key: str, value: object, tmp_path: Path
) -> None:
    found = values(tmp_path, text)

    there = found.draft.get(("chart", key))
    tag = isinstance(there, str) and there.partition(":")[2].rstrip("0123456789.")
    assert (tag or there) == value
    assert "18.9.0" not in str(there)
    assert found.errors == []


def test_the_login_of_a_mirror_is_stored_by_commands(tmp_path: Path) -> None:
    text = "image: m.example.com/a/gitlab-runner\nimagePullSecrets: [{name: login}]\n"
    found = values(tmp_path, text)

    assert found.draft.get(("chart", "images", "pull")) == "login"
    assert found.draft.commands == [
        "pulumi config set --secret --path 'registryCredentials.login.username'",
        "pulumi config set --secret --path 'registryCredentials.login.password'",
        "pulumi config set --secret --path 'runnerTokens.builds'",
    ]
    assert found.errors == []


def test_a_login_without_a_mirror_is_not_needed(tmp_path: Path) -> None:
    found = values(tmp_path, "imagePullSecrets: [{name: login}]\n")

    assert [item.outcome for item in found.findings] == ["product"]
    assert found.errors == []


def test_jobs_clone_from_another_address(tmp_path: Path) -> None:
    found = values(
        tmp_path, "gitlabUrl: https://a.example.com\nrunners: {cloneUrl: https://b.example.com}\n"
    )

    assert found.draft.get(("gitlab", "cloneUrl")) == "https://b.example.com"
    same = values(
        tmp_path, "gitlabUrl: https://a.example.com\nrunners: {cloneUrl: https://a.example.com/}\n"
    )
    assert about(same, "runners.cloneUrl")[0].outcome == "product"


@pytest.mark.parametrize(
    "text",
    [
        "runners: {secret: token}",
        "runnerToken: {valueFrom: {secretKeyRef: {name: token}}}",
        "extraObjects: [{kind: ExternalSecret, spec: {target: {name: token}}}]",
        "extraObjects: [{kind: SealedSecret, metadata: {name: token}}, null]",
    ],
)
def test_a_token_in_a_secret_of_others_stays_there(text: str, tmp_path: Path) -> None:
    found = values(tmp_path, f"{text}\n")

    registration = {"kind": "secret", "name": "token"}
    assert found.draft.get((*RUNNER, "registration")) == registration
    assert found.draft.commands == []
    assert found.errors == []


def test_a_shell_of_linux_is_that_of_the_image(tmp_path: Path) -> None:
    found = values(tmp_path, '[[runners]]\nshell = "bash"\n', "config.toml")

    assert [item.outcome for item in found.findings] == ["product"]


def test_rules_without_a_wildcard_are_replaced(tmp_path: Path) -> None:
    found = values(tmp_path, "rbac: {rules: [{resources: [pods], verbs: [get]}]}\n")

    assert [item.outcome for item in found.findings] == ["product"]


def test_a_second_release_for_another_gitlab_needs_another_stack(tmp_path: Path) -> None:
    config = '[[runners]]\nurl = "https://{}.example.com"\n'
    file = tmp_path / "config.toml"
    file.write_text(config.format("a") + config.format("b"), encoding="utf-8")

    found = values(tmp_path, file.read_text("utf-8"), "config.toml")

    assert [item.outcome for item in found.findings] == ["taken", "unknown"]


EXTRA: list[tuple[str, dict[str, Any]]] = [
    ('node_selector_overwrite_allowed = "pool=.*"', {"node_selector_overwrite_allowed": "pool=.*"}),
    ('allowed_users = ["1000"]', {"allowed_users": ["1000"]}),
    ("retry_limit = 7", {"retry_limit": 7}),
    ("print_pod_warning_events = false", {}),
    ('helper_image_flavor = "ubuntu"', {"helper_image_flavor": "ubuntu"}),
    (
        '[[runners.kubernetes.services]]\nname = "postgres:16"',
        {"services": [{"name": "postgres:16"}]},
    ),
    (
        '[[runners.kubernetes.volumes.nfs]]\nname = "a"\nmount_path = "/a"\nserver = "b"',
        {"volumes": {"nfs": [{"name": "a", "mount_path": "/a", "server": "b"}]}},
    ),
    ("retry_limits = {a = 3}", {"retry_limits": {"a": 3}}),
    (
        f"affinity.pod_affinity.{PREFERRED} = [{{weight = 1, pod_affinity_term = "
        '{topology_key = "kubernetes.io/hostname"}}]',
        {
            "affinity": {
                "pod_affinity": {
                    PREFERRED: [
                        {
                            "weight": 1,
                            "pod_affinity_term": {"topology_key": "kubernetes.io/hostname"},
                        }
                    ]
                }
            }
        },
    ),
]


@pytest.mark.parametrize(("text", "extra"), EXTRA, ids=range(len(EXTRA)))
def test_a_key_without_one_here_moves_to_extra(
    text: str, extra: dict[str, Any], tmp_path: Path
) -> None:
    found = _config(tmp_path, text)

    moved = found.draft.get((*RUNNER, "extra"))
    assert moved == ({"kubernetes": extra} if extra else None)
    assert [item.outcome for item in found.findings] == (["extra"] if extra else [])
    assert found.errors == []
    assert any("extra" in line for line in security.worse(found)) == bool(extra)


def test_what_extra_may_not_have_is_refused_with_its_reason(tmp_path: Path) -> None:
    found = _config(tmp_path, 'pod_labels_overwrite_allowed = ".*"')

    (finding,) = found.findings
    assert (finding.outcome, "AppArmor profiles" in finding.text) == ("refused", True)


def test_a_script_before_the_build_runs_after_the_stacks_own(tmp_path: Path) -> None:
    found = values(tmp_path, '[[runners]]\npre_build_script = "make"\n', "config.toml")

    assert found.draft.get((*RUNNER, "extra")) == {"pre_build_script": "make"}
    assert found.errors == []


def test_a_label_of_azure_asks_for_the_identity_of_jobs(tmp_path: Path) -> None:
    label = '"azure.workload.identity/use" = "true"'

    found = _config(tmp_path, f'pod_labels = {{{label}, team = "a"}}')

    assert [(item.outcome, item.keys) for item in found.findings] == [
        ("asks", ("runners.builds.identity.jobs",)),
        ("taken", ("runners.builds.labels",)),
    ]
    (alone,) = _config(tmp_path, f"pod_labels = {{{label}}}").findings
    assert alone.outcome == "asks"


def test_a_secret_does_not_move_to_extra(tmp_path: Path) -> None:
    script = "echo glpat-PlantedToken0001"
    found = values(tmp_path, f'[[runners]]\npost_build_script = "{script}"\n', "config.toml")

    assert [item.outcome for item in found.findings] == ["refused"]
    assert "Planted" not in repr((found.findings, found.draft.settings))


@pytest.mark.parametrize(
    ("table", "rejected"),
    [
        ("pod_annotations", "vault.hashicorp.com/agent-inject-secret-a"),
        ("pod_labels", "sidecar.istio.io/inject"),
    ],
)
def test_what_the_program_rejects_takes_no_other_with_it(
    table: str, rejected: str, tmp_path: Path
) -> None:
    found = _config(tmp_path, f'{table} = {{"{rejected}" = "true", team = "a"}}')

    assert found.draft.get((*RUNNER, table.removeprefix("pod_"))) == {"team": "a"}
    outcomes = {item.path.removeprefix("runners.kubernetes."): item for item in found.findings}
    assert outcomes[f"{table}.team"].outcome == "taken"
    assert outcomes[f"{table}.{rejected}"].outcome == "refused"
    assert outcomes[f"{table}.{rejected}"].do


def test_a_second_login_for_a_registry_asks_where_it_belongs(tmp_path: Path) -> None:
    found = _config(tmp_path, 'image_pull_secrets = ["a", "b", "a"]')

    assert [item.outcome for item in found.findings] == ["asks"] * 3
    host = "registry.gitlab.com"
    assert found.draft.get(("registries",)) == [{"host": host, "pullSecret": "a"}]
    assert found.errors == []


@pytest.mark.parametrize("key", ["services", "pod_spec"])
def test_a_table_in_place_of_a_list_is_not_lost(key: str, tmp_path: Path) -> None:
    found = _config(tmp_path, f'{key} = {{name = "a"}}')

    assert [item.path for item in found.findings] == [f"runners.kubernetes.{key}"]


def test_of_two_volumes_at_a_path_one_is_to_be_chosen(tmp_path: Path) -> None:
    found = _config(tmp_path, _volume("pvc") + _volume("secret"))

    assert found.draft.get((*RUNNER, "volumes")) == [{"path": "/data", "claim": "a"}]
    assert [item.outcome for item in found.findings] == ["taken", "asks"]
    assert found.errors == []
