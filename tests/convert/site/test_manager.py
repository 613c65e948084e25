"""Keys of the manager's pod, in values of the chart and in config.toml."""

from pathlib import Path

import pytest

from convert.site.importer import Imported
from tests.support.sites import about, values

URL = "gitlabUrl: https://gitlab.example.com\n"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
APART = "affinity: {podAntiAffinity: {topologyKey: kubernetes.io/hostname}}"
TERM = "{matchExpressions: [{key: pool, operator: In, values: [ci]}]}"


def _values(folder: Path, text: str) -> Imported:
    return values(folder, URL + text)


def _at(found: Imported, key: str) -> object:
    return found.draft.get(("runners", "builds", "manager", *key.split(".")))


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("replicas: 2", "replicas", 2),
        ("hpa: {minReplicas: 1, maxReplicas: 3}", "replicas", 3),
        ("logLevel: WARNING", "logLevel", "warn"),
        ("logFormat: JSON", "logFormat", "json"),
        ("metrics: {enabled: true}", "metrics", "annotations"),
        ("metrics: {enabled: true, podMonitor: {enabled: true}}", "metrics", "podMonitor"),
        ("metrics: {serviceMonitor: {enabled: true}}", "metrics", "podMonitor"),
        (
            "podAnnotations: {prometheus.io/scrape: 'true', prometheus.io/port: '1'}",
            "metrics",
            "annotations",
        ),
        (
            f"affinity: {{nodeAffinity: {{{REQUIRED}: {{nodeSelectorTerms: [{TERM}]}}}}}}",
            "nodeAffinity",
            {"require": [{"key": "pool", "operator": "In", "values": ["ci"]}]},
        ),
        (f"replicas: 2\n{APART}", "spread", "node"),
        ("replicas: 2\ntopologySpreadConstraints: [{topologyKey: zone}]", "spread", "zone"),
        ("podAnnotations: {a: b}", "annotations", {"a": "b"}),
        ("deploymentAnnotations: {a: b}", "annotations", {"a": "b"}),
        ("podLabels: {a: b}", "labels", {"a": "b"}),
        (
            "podAnnotations: {secret.reloader.stakater.com/reload: a}",
            "annotations",
            {"secret.reloader.stakater.com/reload": "a"},
        ),
        ("priorityClassName: high", "priorityClassName", "high"),
        ("terminationGracePeriodSeconds: 7200", "terminationGracePeriod", 7200),
        ("probeTimeoutSeconds: 9", "probeTimeoutSeconds", 9),
        (
            "livenessProbe: {initialDelaySeconds: 30, periodSeconds: 5, successThreshold: 1}",
            "livenessProbe",
            {"initialDelaySeconds": 30, "periodSeconds": 5},
        ),
        ("nodeSelector: {pool: ci}", "nodeSelector", {"pool": "ci"}),
        (
            "tolerations: [{key: ci, operator: Exists, effect: NoSchedule}]",
            "tolerations",
            [{"key": "ci", "effect": "NoSchedule"}],
        ),
        (
            "resources: {requests: {cpu: 1, memory: 1Gi}, limits: {ephemeral-storage: 2Gi}}",
            "resources",
            {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"ephemeralStorage": "2Gi"}},
        ),
        ("envVars: [{name: A, value: b}]", "environment", {"A": "b"}),
        ("extraEnv: {A: b}", "environment", {"A": "b"}),
        ("extraEnv: {LOG_LEVEL: WARNING}", "logLevel", "warn"),
        ("replicas: 2\npodDisruptionBudget: {enabled: true}", "disruptionBudget", True),
        ("podLabels: {azure.workload.identity/use: 'true', a: b}", "labels", {"a": "b"}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_value_of_the_manager_is_taken(
    text: str, key: str, value: object, tmp_path: Path
) -> None:
    found = _values(tmp_path, text)

    assert _at(found, key) == value
    assert found.errors == []


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ('log_level = "debug"', "logLevel", "debug"),
        ('log_format = "text"', "logFormat", "text"),
        ('listen_address = ":9252"', "metrics", "annotations"),
    ],
    ids=range(3),
)
def test_a_global_key_of_config_toml_is_taken(
    text: str, key: str, value: object, tmp_path: Path
) -> None:
    found = values(tmp_path, text, "config.toml")

    assert _at(found, key) == value


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ("replicas: some", "replicas", "must be a whole number"),
        ("hpa: {maxReplicas: many}", "hpa", "must be a whole number"),
        ("livenessProbe: {periodSeconds: often}", "livenessProbe", "must be a whole number"),
        ("tolerations: [{operator: Exists}]", "tolerations", "tolerates every taint"),
        ("tolerations: {key: a}", "tolerations", "must be a list of tolerations"),
        ("hostAliases: name", "hostAliases", "has another form"),
        ("podLabels: [a]", "podLabels", "must be a mapping"),
        ("podAnnotations: {password: hunter2222}", "podAnnotations", "looks like a secret"),
        ("podAnnotations: {a: '{{ .x }}'}", "podAnnotations", "is a template"),
        ("initContainers: [{name: a}]", "initContainers", "run before the manager"),
        ("resources: {requests: {cpu: much}}", "resources", "must be an amount"),
        ("resources: {claims: [a]}", "resources", "must have requests or limits"),
        ("logLevel: [a]", "logLevel", "must be text"),
        ("affinity: {podAffinity: {a: b}}", "affinity", "by other pods"),
        ("affinity: {nodeAffinity: {a: b}}", "affinity", "must have expressions"),
        ("topologySpreadConstraints: [{topologyKey: rack}]", "topologySpread", "must name"),
        (
            f"replicas: 2\ntopologySpreadConstraints: [{{topologyKey: zone}}]\n{APART}",
            "affinity",
            "there is one key for both",
        ),
        ("schedulerName: mine", "schedulerName", "another scheduler"),
        ("extraEnv: {LISTEN_ADDRESS: a}", "extraEnv", "the program rejects it"),
    ],
    ids=lambda value: value[:30],
)
def test_a_value_of_the_manager_is_refused(text: str, path: str, said: str, tmp_path: Path) -> None:
    found = _values(tmp_path, text)

    refused = [item for item in found.findings if item.path.startswith(path)]
    assert [(item.outcome, said in item.text) for item in refused] == [("refused", True)]
    assert found.errors == []


@pytest.mark.parametrize(
    "text",
    [
        "replicas: 1",
        "terminationGracePeriodSeconds: 5",
        APART,
        "livenessProbe: {successThreshold: 1}",
        "metrics: {port: 9252}",
        "service: {enabled: true}",
        "extraEnv: {RUNNER_EXECUTOR: kubernetes}",
        "image: gitlab/gitlab-runner:v18.9.0",
        "image: registry.gitlab.com/gitlab-org/gitlab-runner:v18.9.0",
        "image: {tag: v18.9.0}",
        "registry: registry.gitlab.com",
        "serviceAccount: {annotations: {a: b}}",
        "volumes: [{name: a, emptyDir: {}}]",
        "volumeMounts: [{name: a, mountPath: /a}]",
        "volumes: [{name: aws, projected: {sources: [{serviceAccountToken: {path: t}}]}}]",
        "podDisruptionBudget: {minAvailable: 1}",
        "podDisruptionBudget: {enabled: false, minAvailable: 1}",
        "podLabels: {azure.workload.identity/use: 'true'}",
        "startupProbe: {failureThreshold: 3}",
        "enabled: true",
    ],
)
def test_the_product_does_it_by_itself(text: str, tmp_path: Path) -> None:
    found = _values(tmp_path, text)

    path = text.partition(":")[0]
    assert [item.outcome for item in about(found, path)] == ["product"]


def test_a_service_that_is_off_has_no_line(tmp_path: Path) -> None:
    assert about(_values(tmp_path, "service: {type: ClusterIP}"), "service") == []


def test_options_of_the_registration_are_those_of_the_runner(tmp_path: Path) -> None:
    found = _values(tmp_path, "extraEnv: {RUNNER_OUTPUT_LIMIT: 8192, RUNNER_ENV: A=b}")

    assert found.draft.get(("runners", "builds", "logLimit")) == "8192Ki"
    assert found.draft.get(("runners", "builds", "environment")) == {"A": "b"}
    assert [item.outcome for item in found.findings] == ["taken"] * 3


def test_annotations_beside_a_monitor_for_metrics_are_not_needed(tmp_path: Path) -> None:
    monitor = "metrics: {enabled: true, podMonitor: {enabled: true}}"
    found = _values(tmp_path, f"podAnnotations: {{prometheus.io/scrape: 'true'}}\n{monitor}\n")

    assert _at(found, "metrics") == "podMonitor"
    assert [item.outcome for item in about(found, "podAnnotations")] == ["product"]


def test_exceptions_of_a_proxy_that_is_not_taken_are_left_out(tmp_path: Path) -> None:
    proxy = "HTTP_PROXY: 'http://a:PlantedPassword@proxy.example.com:3128'"
    found = _values(tmp_path, f"extraEnv: {{{proxy}, NO_PROXY: 10.0.0.0/8}}\n")

    assert found.draft.get(("proxy",)) is None
    assert [item.outcome for item in found.findings] == ["taken", "refused", "product"]
    assert found.errors == []
