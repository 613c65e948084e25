from typing import Any

import pytest

from components.gitlab_runner import charts
from components.gitlab_runner.keys import known_keys, since
from dev.toolchain.gitlab_runner import pinned
from tests.executor.job import Account, Job
from tests.executor.keys import SOURCES, keys_of, unknown_keys
from tests.executor.rendered import config_toml
from tests.executor.source import differences, in_package, read_keys
from tests.support.configured import CERTIFICATE, STRATEGIES

NEWEST = SOURCES[-1]
OLDEST: dict[str, Any] = {"chart": {"version": charts.OLDEST}}
AMOUNTS = {"cpu": "1", "memory": "1Gi", "ephemeralStorage": "1Gi"}
BOUNDS = {"requests": AMOUNTS, "limits": AMOUNTS, "maximum": AMOUNTS}
OLD: dict[str, Any] = {
    "registries": [
        {"host": "ca.example.com:5000", "caCertificates": CERTIFICATE, "pull": "in", "push": "out"}
    ],
    "runners.main.resources": {**BOUNDS, "helper": BOUNDS, "service": BOUNDS},
    "runners.main.environment": {"GREETING": "hello"},
    "runners.main.tolerations": [{"key": "ci"}],
    "runners.main.priorityClassName": "low",
    "runners.main.pullPolicy": "always",
    "runners.main.nodeAffinity": {
        "require": [{"key": "arch", "operator": "In", "values": ["amd64"]}],
        "prefer": [{"key": "spot", "operator": "Exists"}],
    },
    "runners.main.spread": "zone",
    "runners.main.labels": {"team": "a"},
    "runners.main.annotations": {"note": "b"},
    "runners.main.volumes": [
        {"path": "/a", "claim": "a"},
        {"path": "/b", "secret": "b"},
        {"path": "/c", "configMap": "c"},
        {"path": "/d", "scratch": {"size": "1Gi", "memory": True}},
        {"path": "/e", "perJob": {"size": "1Gi", "storageClass": "fast"}},
    ],
    "runners.main.dns": {"servers": ["192.0.2.1"], "searches": ["a.b"], "options": {"ndots": 1}},
    "runners.main.logLimit": "20Mi",
    "runners.main.allowedImages": ["**/*"],
    "runners.main.cache": {"kind": "gcs", "bucket": "a"},
    "hostAliases": {"192.0.2.7": ["gitlab.example.com"]},
}
SANDBOX = {"runners.main.runtimeClassName": "sandbox"}
NEW = {
    "runners.main.seccompProfile": "RuntimeDefault",
    "runners.main.podDisruptionBudget": True,
    "runners.main.resources": {
        **OLD["runners.main.resources"],
        "pod": {"limits": {"cpu": "4", "memory": "4Gi"}},
    },
}


def test_every_rendered_key_is_in_the_table() -> None:
    rendered = {
        key
        for strategy in STRATEGIES.values()
        for changes in ({**OLD, **NEW}, OLDEST)
        for key in keys_of(config_toml(strategy, changes))
    }
    in_sandbox = keys_of(config_toml("kaniko", SANDBOX))
    of_deployments = keys_of(config_toml({"kind": "deploy"}, {}))

    assert rendered | in_sandbox | of_deployments <= known_keys(NEWEST).keys()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_runner_of_a_chart_knows_every_key_of_a_variant(strategy: str) -> None:
    for chart in (charts.OLDEST, "0.88.0", charts.DEFAULT_VERSION):
        text = config_toml(STRATEGIES[strategy], {**OLD, "chart": {"version": chart}})
        assert unknown_keys(text, charts.runner_of(chart)) == []


def test_every_release_up_to_the_newest_source_was_read() -> None:
    minors = [source.removesuffix(".0") for source in SOURCES]

    assert minors == charts.known_runners()[: len(minors)]


def test_a_config_with_a_key_that_the_runner_drops_runs_no_job() -> None:
    text = config_toml("kaniko", {**OLD, **NEW})

    with pytest.raises(ValueError, match=r"runner 18\.9\.0 does not know .*pod_disruption_budget"):
        Job(text, "18.9.0", Account("", "", ""))

    assert unknown_keys(text, "18.11.0") == []


def test_a_key_outside_the_table_is_unknown() -> None:
    text = "[[runners]]\n[runners.kubernetes.container_security_context]\nprivileged = true\n"

    assert unknown_keys(text, pinned()) == [
        "runners.kubernetes.container_security_context.privileged"
    ]


CONFIG = """\
type RunnerConfig struct {
	Name string `toml:"name" json:"name"`
	Limit int `toml:"limit,omitzero"`
	SystemID string `toml:"-"`
	Docker *Service `toml:"docker"`

	RunnerSettings
}

type RunnerSettings struct {
	Kubernetes *KubernetesConfig `toml:"kubernetes,omitempty" json:"kubernetes"`
	Cache *cacheconfig.Config `toml:"cache"`
	Logger logrus.FieldLogger `toml:"-" json:",omitempty"`
}

type KubernetesConfig struct {
	NodeSelector map[string]string `toml:"node_selector,omitempty" long:"node-selector"`
	Services     []Service         `toml:"services"`
	PullPolicy   StringOrArray     `toml:"pull_policy"`
	Timeout      *time.Duration    `toml:"timeout"`
}

type cacheconfig.Config struct {
	Shared bool `toml:"Shared"`
}

type StringOrArray []string

type Service struct {
	// Name is found by the runner
	Name    string   `toml:"name"`
	Command []string `toml:"command"`
}
"""


def test_keys_and_types_come_from_go_structs_with_their_tables() -> None:
    assert read_keys(CONFIG, 'Name: "FF_NEW",') == {
        "runners.name": "string",
        "runners.limit": "integer",
        "runners.cache.Shared": "boolean",
        "runners.kubernetes.node_selector.*": "string",
        "runners.kubernetes.services.name": "string",
        "runners.kubernetes.services.command": "strings",
        "runners.kubernetes.pull_policy": "string or strings",
        "runners.kubernetes.timeout": "duration",
        "runners.feature_flags.FF_NEW": "boolean",
    }


def test_structs_of_a_package_are_read_with_its_name() -> None:
    text = "type Config struct {\n\tS3 *S3\n}\ntype S3 struct {\n}\n"

    assert in_package("cacheconfig", text) == (
        "type cacheconfig.Config struct {\n\tcacheconfig.S3 *cacheconfig.S3\n}\n"
        "type cacheconfig.S3 struct {\n}\n"
    )
    assert in_package("cacheconfig", "") == ""


def test_each_difference_from_the_source_is_a_line() -> None:
    right = {**known_keys("18.9.0")}
    late = "runners.kubernetes.pod_disruption_budget"

    assert differences("18.9.0", right) == []
    assert differences("18.9.0", {**right, "runners.builds_dir": "integer"}) == [
        "runner 18.9.0 has runners.builds_dir as integer, and the table as string"
    ]
    assert differences("18.9.0", {**right, late: "boolean"}) == [
        f"runner 18.9.0 has {late} as boolean, and the table as unknown"
    ]


def test_the_table_says_since_when_and_until_when_a_key_is_known() -> None:
    flag = "runners.feature_flags.FF_SKIP_NOOP_BUILD_STAGES"

    assert since("runners.kubernetes.pod_memory_limit") == "18.10.0"
    assert since("runners.kubernetes.no_such_key") == ""
    assert (flag in known_keys("19.2.0"), flag in known_keys("19.3.0")) == (True, False)
