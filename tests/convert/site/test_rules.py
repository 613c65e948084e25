"""What becomes of a key: the value in the stack file, or why there is none."""

from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from rich.console import Console

from convert.site.importer import Imported, import_releases
from convert.site.outputs import terminal
from convert.site.reading.sources import Sources
from tests.support.sites import about, imported, values

RUNNER = ("runners", "builds")
URL = "gitlabUrl: https://gitlab.example.com\n"


def _values(folder: Path, text: str) -> Imported:
    return values(folder, URL + text)


def _config(folder: Path, text: str) -> Imported:
    return values(folder, f"[[runners]]\n{text}\n", "config.toml")


def _at(found: Imported, key: str) -> object:
    path = tuple(int(part) if part.isdecimal() else part for part in key.split("."))
    place = path if path[0] in {"gitlab", "chart", "hostAliases", "proxy", "registries"} else None
    return found.draft.get(place or (*RUNNER, *path))


TAKEN = [
    ("gitlabUrl: https://gitlab.example.com/\n", "gitlab.url", "https://gitlab.example.com"),
    ("concurrent: '4'", "concurrent", 4),
    ("runners: {tags: 'a, b'}", "tags", ["a", "b"]),
    ("runners: {tags: [a, b]}", "tags", ["a", "b"]),
    ("runners: {privileged: true}", "strategy", {"kind": "dind", "acceptPrivileged": True}),
    ("runners: {image: 'alpine:3.20'}", "strategy.image", "alpine:3.20"),
    ("runners: {env: {A: b}}", "environment", {"A": "b"}),
    ("runners: {nodeSelector: {a: b}}", "nodeSelector", {"a": "b"}),
    ("runners: {builds: {cpuLimit: 2}}", "resources.limits.cpu", "2"),
    ("runners: {helpers: {memoryRequests: 1Gi}}", "resources.helper.requests.memory", "1Gi"),
    (
        "runners: {job: {registry: r.example.com, repository: a, tag: '1'}}",
        "strategy.image",
        "r.example.com/a:1",
    ),
    ("runners: {job: {repository: a, tag: '1'}}", "strategy.image", "a:1"),
    ("gitlabDomain: other.example.com", "gitlab.url", "https://gitlab.example.com"),
    ("podDisruptionBudget: true", "podDisruptionBudget", True),
]


@pytest.mark.parametrize(("text", "key", "value"), TAKEN, ids=lambda value: str(value)[:40])
def test_a_value_of_the_chart_is_taken(text: str, key: str, value: object, tmp_path: Path) -> None:
    found = _values(tmp_path, text)

    assert _at(found, key) == value
    assert found.errors == []


KUBERNETES = [
    ('cpu_request = "1"', "resources.requests.cpu", "1"),
    ("cpu_limit = 2", "resources.limits.cpu", "2"),
    ('memory_limit = "1Gi"', "resources.limits.memory", "1Gi"),
    ('memory = "512m"', "resources.limits.memory", "512Mi"),
    ('service_cpus = "1"', "resources.service.limits.cpu", "1"),
    ('helper_cpu_limit = "1"', "resources.helper.limits.cpu", "1"),
    ('cpu_limit_overwrite_max_allowed = "4"', "resources.maximum.cpu", "4"),
    (
        'cpu_limit_overwrite_max_allowed = "4"\ncpu_request_overwrite_max_allowed = "500m"',
        "resources.maximum.cpu",
        "4",
    ),
    ('node_selector = {pool = "ci"}', "nodeSelector", {"pool": "ci"}),
    (
        'node_tolerations = {"a=b" = "NoSchedule", "c" = ""}',
        "tolerations",
        [{"key": "a", "value": "b", "effect": "NoSchedule"}, {"key": "c"}],
    ),
    (
        'node_tolerations = [{key = "a", operator = "Equal", value = "b"}]',
        "tolerations",
        [{"key": "a", "value": "b"}],
    ),
    ("pod_disruption_budget = true", "podDisruptionBudget", True),
    ('priority_class_name = "low"', "priorityClassName", "low"),
    ('runtime_class_name = "kata"', "runtimeClassName", "kata"),
    ('pull_policy = ["always", "never"]', "pullPolicy", "always"),
    ('pull_policy = ["always", "if-not-present"]', "pullPolicy", ["always", "if-not-present"]),
    ('pull_policy = "never"', "allowedPullPolicies", ["always", "if-not-present", "never"]),
    ('allowed_pull_policies = ["always"]', "allowedPullPolicies", ["always"]),
    (
        'pod_security_context.seccomp_profile.type = "RuntimeDefault"',
        "seccompProfile",
        "RuntimeDefault",
    ),
    ('pod_annotations."karpenter.sh/do-not-disrupt" = "true"', "podDisruptionBudget", True),
]


@pytest.mark.parametrize(("text", "key", "value"), KUBERNETES, ids=lambda value: str(value)[:40])
def test_a_key_of_the_executor_is_taken(text: str, key: str, value: object, tmp_path: Path) -> None:
    found = _config(tmp_path, f"[runners.kubernetes]\n{text}")

    assert _at(found, key) == value
    assert found.errors == []


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ('environment = ["A=b=c", "B="]', "environment", {"A": "b=c", "B": ""}),
        ("[runners.feature_flags]\nFF_X = true", "environment", {"FF_X": "true"}),
        ("limit = 3", "concurrent", 3),
        ('url = "https://a.example.com/"', "gitlab.url", "https://a.example.com"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_key_of_a_runner_is_taken(text: str, key: str, value: object, tmp_path: Path) -> None:
    found = _config(tmp_path, text)

    assert _at(found, key) == value
    assert found.errors == []


REFUSED: list[tuple[str, str, str]] = [
    ("rbac: {clusterWideAccess: true}", "rbac.clusterWideAccess", "the whole cluster"),
    ("rbac: {rules: [{verbs: ['*']}]}", "rbac.rules", "rights over everything"),
    ("runnerRegistrationToken: GR1348941Planted", "runnerRegistrationToken", "GitLab 20.0"),
    ("sessionServer: {enabled: true}", "sessionServer", "nobody connect"),
    ("concurrent: many", "concurrent", "must be a whole number"),
    ("concurrent: 0", "concurrent", "must be 1 or more"),
    ("concurrent: [1]", "concurrent", "must be a whole number"),
    ("extraObjects: [{kind: Service, metadata: {name: a}}]", "extraObjects", "another object"),
    ("extraEnvFrom: {A: {secretKeyRef: {name: a}}}", "extraEnvFrom", "comes from an object"),
    ("extraEnvFromRefs: [{secretRef: {name: a}}]", "extraEnvFromRefs", "takes variables"),
    ("runners: {env: {DB_PASSWORD: hunter2222}}", "runners.env", "looks like a secret"),
    ("runners: {env: {A: glpat-PlantedToken0001}}", "runners.env", "looks like a secret"),
    ("runners: {env: {A: 'https://a:b@example.com'}}", "runners.env", "looks like a secret"),
    ("runners: {env: {A: '{{ .Values.a }}'}}", "runners.env", "is a template"),
    (
        "runners: {env: [{name: A, valueFrom: {secretKeyRef: {name: a}}}]}",
        "runners.env",
        "comes from an object of the cluster",
    ),
    ("image: 'A B'", "image", "must be an image reference"),
    ("runners: {nodeSelector: {'a b': c}}", "runners.nodeSelector", "the program rejects it"),
    ("runners: {nodeSelector: [a]}", "runners.nodeSelector", "must be a mapping"),
    ("podLabels: {password: hunter2222}", "podLabels", "looks like a secret"),
    ("nodeSelector: {api-token: hunter2222}", "nodeSelector", "looks like a secret"),
    ("runners: {imagePullPolicy: maybe}", "runners.imagePullPolicy", "must be always"),
    ("runners: {builds: {cpuLimit: much}}", "runners.builds", "must be an amount"),
    ("runners: {podLabels: {a: glpat-PlantedToken0001}}", "runners.podLabels", "looks like"),
    ("tolerations: [{key: 'a b'}]", "tolerations", "the program rejects it"),
    ("runners: {imagePullSecrets: ['{{ x }}']}", "runners.imagePullSecrets", "is a template"),
    ("rbac: {podSecurityPolicy: {enabled: true}}", "rbac.podSecurityPolicy", "removed"),
    ("sessionServer: {publicIP: a}", "sessionServer", "nobody connect"),
    ("runners: {image: 'A B'}", "runners.image", "must be an image reference"),
    ("runners: {tags: 'a,${tag}'}", "runners.tags", "has a variable that is filled in"),
]


@pytest.mark.parametrize(("text", "path", "said"), REFUSED, ids=lambda value: value[:40])
def test_a_value_is_refused_with_its_reason(
    text: str, path: str, said: str, tmp_path: Path
) -> None:
    found = _values(tmp_path, text)

    refused = [item for item in about(found, path) if item.outcome == "refused"]
    assert [said in item.text for item in refused] == [True]
    assert found.errors == []
    assert "hunter2222" not in repr((found.findings, found.draft.settings))
    assert "Planted" not in repr((found.findings, found.draft.settings))


REFUSED_CONFIG: list[tuple[str, str, str]] = [
    ('executor = "shell"', "executor", "outside of containers"),
    ('executor = "docker-windows"', "executor", "outside of containers"),
    ('environment = ["DOCKER_AUTH_CONFIG={"]', "environment", "looks like a secret"),
    ('environment = ["https_proxy=http://a:b@p.test:1"]', "environment", "has a login"),
    ('url = "https://$HOST"', "url", "has a variable"),
    ('url = "ENC[AES256_GCM,data:a]"', "url", "is encrypted with SOPS"),
    (
        '[runners.kubernetes]\nnode_tolerations = {"" = "NoSchedule"}',
        "kubernetes.node_tolerations",
        "tolerates every taint",
    ),
    (
        '[runners.kubernetes]\npod_annotations = {password = "hunter2222"}',
        "kubernetes.pod_annotations",
        "looks like a secret",
    ),
    ('shell = "pwsh"', "shell", "is for Windows"),
    ('limit = "many"', "limit", "must be a whole number"),
    ("output_limit = 0.5", "output_limit", "must be a whole number"),
    (
        "[runners.kubernetes]\nbearer_token_overwrite_allowed = true",
        "kubernetes.bearer_token_overwrite_allowed",
        "lets a job choose",
    ),
    ('[runners.kubernetes]\nhost = "https://a"', "kubernetes.host", "outside of the cluster"),
    ('[[runners.kubernetes.pod_spec]]\npatch = "x"', "kubernetes.pod_spec", "is not a patch"),
    (
        '[[runners.kubernetes.volumes.pvc]]\nname = "a-$CI_PROJECT_ID"\nmount_path = "/a"',
        "kubernetes.volumes.pvc",
        "must not have variables but $CI_CONCURRENT_ID",
    ),
    (
        '[[runners.kubernetes.volumes.empty_dir]]\nname = "a"\nmount_path = "/a"\nsize_limit = "x"',
        "kubernetes.volumes.empty_dir",
        "must be an amount",
    ),
    (
        '[runners.cache]\nType = "local"\n[runners.cache.s3]\nBucketName = "a"',
        "cache",
        "no such type of cache",
    ),
    ('[runners.cache]\nType = "s3"\nMaxUploadedArchiveSize = "much"', "cache", "must be a whole"),
    (
        '[runners.kubernetes]\ncpu_limit_overwrite_max_allowed = "x"',
        "kubernetes.cpu_limit_overwrite_max_allowed",
        "must be an amount",
    ),
]


@pytest.mark.parametrize(("text", "path", "said"), REFUSED_CONFIG, ids=lambda value: value[:40])
def test_a_key_of_config_toml_is_refused_with_its_reason(
    text: str, path: str, said: str, tmp_path: Path
) -> None:
    found = _config(tmp_path, text)

    refused = [item for item in about(found, f"runners.{path}") if item.outcome == "refused"]
    assert [said in item.text for item in refused] == [True]


UNKNOWN = [
    ("unknown: 1", "unknown"),
    ("runners: {image: {arch: a}}", "runners.image"),
    ("runners: {builds: {other: 1}}", "runners.builds"),
    ("runners: {cache: {path: a}}", "runners.cache"),
    ("more: [{a: b}]", "more"),
    ("tls_verify: false", "tls_verify"),
]


@pytest.mark.parametrize(("text", "path"), UNKNOWN, ids=lambda value: value[:30])
def test_what_nothing_reads_had_no_effect(text: str, path: str, tmp_path: Path) -> None:
    assert [item.outcome for item in about(_values(tmp_path, text), path)] == ["unknown"]


@pytest.mark.parametrize(
    "text",
    [
        '[runners.docker]\nimage = "a"',
        '[runners.kubernetes]\npod_annotations = "a"',
        '[runners.kubernetes]\nimagePullPolicy = "a"',
    ],
    ids=lambda value: value[-20:],
)
def test_keys_of_other_executors_had_no_effect(text: str, tmp_path: Path) -> None:
    assert [item.outcome for item in _config(tmp_path, text).findings] == ["unknown"]


ASKED = [
    ("runnerToken: glrt-PlantedToken0001", "runnerToken", "runnerTokens.builds"),
    (
        "runnerRegistrationToken: glrt-PlantedToken0001",
        "runnerRegistrationToken",
        "runnerTokens.builds",
    ),
    ("certsSecretName: a", "certsSecretName", "gitlab.caCertificates"),
    ("volumes: [{name: ca-certs}]", "volumes", "gitlab.caCertificates"),
    ("runners: {image: 'alpine'}", "runners.image", "runners.builds.strategy.image"),
    ("runners: {image: 'alpine:latest'}", "runners.image", "runners.builds.strategy.image"),
    ("runners: {job: {tag: 'a'}}", "runners.job", "runners.builds.strategy.image"),
    ("extraEnv: {CACHE_S3_ACCESS_KEY: a}", "runners.cache", "runners.builds.cache"),
]


@pytest.mark.parametrize(("text", "path", "key"), ASKED, ids=lambda value: value[:30])
def test_what_only_people_can_give_is_asked_for(
    text: str, path: str, key: str, tmp_path: Path
) -> None:
    found = _values(tmp_path, text)

    (asked,) = about(found, path)
    assert (asked.outcome, bool(asked.do)) == ("asks", True)
    assert key in (*asked.keys, "")
    assert "Planted" not in repr((found.findings, found.draft.settings))


OFF: list[Any] = [
    "rbac: {clusterWideAccess: false}",
    "sessionServer: {enabled: false, serviceType: LoadBalancer}",
    "sessionServer: {enabled: false}",
    "runners: {privileged: false}",
    "runnerToken: ''",
    "resources: {}",
    "hostAliases: []",
    "unknown: null",
]


@pytest.mark.parametrize("text", OFF)
def test_what_is_off_has_no_line(text: str, tmp_path: Path) -> None:
    path = next(iter(yaml.safe_load(text)))

    assert about(_values(tmp_path, text), path) == []


@pytest.mark.parametrize("name", ["DOCKER_HOST", "DOCKER_TLS_CERTDIR", "DOCKER_DRIVER"])
def test_variables_of_an_engine_are_the_strategys(name: str, tmp_path: Path) -> None:
    found = _values(tmp_path, f"runners: {{env: {{{name}: a}}}}")

    assert [item.outcome for item in about(found, "runners.env")] == ["product"]
    assert _at(found, "environment") is None


def test_options_of_the_runner_in_variables_are_keys(tmp_path: Path) -> None:
    variables = "{KUBERNETES_CPU_LIMIT: '2', KUBERNETES_PRIVILEGED: 'true', KUBERNETES_X: a}"

    found = _values(tmp_path, f"extraEnv: {variables}")

    assert _at(found, "resources.limits.cpu") == "2"
    assert _at(found, "strategy.kind") == "dind"
    assert [item.outcome for item in found.findings] == ["taken", "taken", "taken", "unknown"]


def test_two_values_of_one_key_are_named(tmp_path: Path) -> None:
    found = values(tmp_path, URL + "concurrent: 3\nrunners:\n  config: concurrent = 4\n")

    (second,) = (item for item in found.findings if "runners.config" in item.file)
    assert second.outcome == "unknown"
    assert "values.yaml: concurrent says otherwise" in second.text
    assert _at(found, "concurrent") == 3


def test_what_the_program_rejects_is_left_out(tmp_path: Path) -> None:
    config = '[runners.kubernetes]\ncpu_request = "4"\ncpu_limit = "2"\n'

    found = _config(tmp_path, config)

    assert found.errors == []
    outcomes = [item.outcome for item in found.findings]
    assert "refused" in outcomes


def test_errors_that_are_left_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("runners: {secret: token}\n", encoding="utf-8")
    sources = Sources()
    sources.read(file)

    found = import_releases(sources.releases, "site", {"kind": "other"})

    assert [error.partition(":")[0] for error in found.errors] == ["cluster.kind"]
    terminal.write(found, Console())
    printed = capsys.readouterr().out
    assert "to correct: cluster.kind: must be" in printed
    assert "store each secret" not in printed


def test_what_a_stack_must_have_is_there_in_any_case(tmp_path: Path) -> None:
    text = "gitlabUrl: not an address\nrunners: {tags: '', name: a}\n"

    found = values(tmp_path, text)

    assert found.draft.get(("gitlab", "url")) == "https://gitlab.com"
    assert _at(found, "tags") == ["builds"]
    assert about(found, "gitlabUrl")[0].outcome == "refused"
    assert found.errors == []


def test_a_site_without_keys_has_a_runner_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = values(tmp_path, "{}\n")

    assert [runner.name for runner in found.runners] == ["builds"]
    terminal.write(found, Console())
    assert capsys.readouterr().out.startswith("no keys\n")


def test_two_releases_for_different_gitlabs_need_two_stacks(tmp_path: Path) -> None:
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    for file in (first, second):
        file.write_text(f'[[runners]]\nurl = "https://{file.stem}.example.com"\n', "utf-8")

    _, found = imported(first, second)

    assert [item.outcome for item in found.findings] == ["taken", "refused"]
    assert "make another stack" in found.findings[1].do


def _docker(folder: Path, text: str, executor: str = "docker") -> Imported:
    return _config(folder, f'executor = "{executor}"\n[runners.docker]\n{text}')


DOCKER: list[tuple[str, str, Any]] = [
    ('image = "ruby:3.4"', "strategy.image", "ruby:3.4"),
    ("privileged = true", "strategy.kind", "dind"),
    ('volumes = ["/cache", "/var/run/docker.sock:/var/run/docker.sock"]', "strategy.kind", "dind"),
    ('volumes = ["/srv/m2:/root/.m2:rw"]', "volumes", [{"path": "/root/.m2", "claim": "m2"}]),
    ('pull_policy = "always"', "pullPolicy", "always"),
    ('allowed_pull_policies = ["always"]', "allowedPullPolicies", ["always"]),
    ('allowed_images = ["a/*"]', "allowedImages", ["a/*"]),
    ('allowed_services = ["a/*"]', "allowedServices", ["a/*"]),
    ('helper_image = "m.example.com/helper"', "strategy.kind", "kaniko"),
    ('memory = "2g"', "resources.limits.memory", "2Gi"),
    ('cpus = "1.5"', "resources.limits.cpu", "1.5"),
    ('extra_hosts = ["a.example.com:192.0.2.7"]', "hostAliases", {"192.0.2.7": ["a.example.com"]}),
    ('dns = ["192.0.2.53"]', "dns", {"servers": ["192.0.2.53"]}),
    ('dns_search = ["a.example.com"]', "dns", {"searches": ["a.example.com"]}),
    ("shm_size = 0\ndisable_cache = true", "strategy.kind", "kaniko"),
]


@pytest.mark.parametrize(("text", "key", "value"), DOCKER, ids=lambda value: str(value)[:40])
def test_a_runner_for_docker_moves_into_pods(
    text: str, key: str, value: object, tmp_path: Path
) -> None:
    found = _docker(tmp_path, text)

    assert _at(found, key) == value
    assert found.errors == []
    assert not [item for item in found.findings if item.outcome in {"refused", "unknown"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [('network_mode = "host"', "reaches the node"), ('memory = "much"', "must be an amount")],
    ids=["node", "wrong"],
)
def test_what_pods_do_not_have_of_docker_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (finding,) = about(_docker(tmp_path, text), "runners.docker")

    assert (finding.outcome, said in finding.text) == ("refused", True)


def test_machines_for_jobs_are_the_clusters_nodes(tmp_path: Path) -> None:
    text = '[runners.machine]\nMachineOptions = ["amazonec2-secret-key=hunter2222"]'

    found = _docker(tmp_path, text, "docker+machine")

    (finding,) = about(found, "runners.machine")
    assert (finding.outcome, "autoscaler" in finding.text) == ("product", True)
    assert "hunter2222" not in repr((found.findings, found.draft.settings))


def test_a_runner_outside_of_containers_has_a_comment(tmp_path: Path) -> None:
    found = _config(tmp_path, 'executor = "shell"')

    assert "this runner had another executor" in found.draft.remarks[(*RUNNER, "strategy")]


def test_logins_in_a_variable_are_stored_by_commands(tmp_path: Path) -> None:
    auths = r"{\"auths\": {\"https://r.example.com/v1/\": {\"auth\": \"aHVudGVyMg==\"}}}"
    pull = '[runners.kubernetes]\nimage = "s.example.com/a:1"\nimage_pull_secrets = ["login"]'
    variable = f'environment = ["DOCKER_AUTH_CONFIG={auths}"]\n'

    found = _config(tmp_path, variable + pull)

    asked = about(found, "runners.environment[DOCKER_AUTH_CONFIG]")
    assert [item.outcome for item in asked] == ["asks"]
    name = "r-example-com-v1"
    entries = cast("list[object]", found.draft.get(("registries",)))
    assert {"host": "r.example.com", "pull": name} in entries
    command = f"pulumi config set --secret --path 'registryCredentials.{name}.password'"
    assert command in found.draft.commands
    assert "aHVudGVyMg" not in repr((found.findings, found.draft.settings))
    again = _config(tmp_path, variable + pull.replace("s.example.com", "r.example.com"))
    (known,) = about(again, "runners.environment[DOCKER_AUTH_CONFIG]")
    assert known.outcome == "product"


@pytest.mark.parametrize(
    "text",
    [
        'environment = ["FF_USE_ADVANCED_POD_SPEC_CONFIGURATION=true"]',
        "[runners.feature_flags]\nFF_USE_ADVANCED_POD_SPEC_CONFIGURATION = true",
    ],
    ids=["variable", "flag"],
)
def test_flags_that_the_stack_sets_are_its_own(text: str, tmp_path: Path) -> None:
    assert [item.outcome for item in _config(tmp_path, text).findings] == ["product"]


@pytest.mark.parametrize("when", ["pre", "post"])
def test_a_hook_by_an_old_name_moves_to_the_new_one(when: str, tmp_path: Path) -> None:
    found = _config(tmp_path, f'{when}_clone_script = "git config --global a b"')

    assert _at(found, "extra") == {f"{when}_get_sources_script": "git config --global a b"}
    assert found.errors == []


@pytest.mark.parametrize(
    "script",
    ["docker login -u ci -p hunter2222 r.example.com", "curl -u ci:hunter2222 https://e.test"],
    ids=["login", "curl"],
)
def test_a_login_on_a_command_line_is_a_secret(script: str, tmp_path: Path) -> None:
    found = _config(tmp_path, f'pre_build_script = "{script}"')

    assert [item.outcome for item in found.findings] == ["refused"]
    assert "hunter2222" not in repr((found.findings, found.draft.settings))
