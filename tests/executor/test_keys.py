from typing import Any

import pytest

from components.gitlab_runner import charts
from dev.toolchain.gitlab_runner import pinned
from tests.executor.job import Account, Job
from tests.executor.keys import KEYS, SOURCES, keys_of, unknown_keys
from tests.executor.rendered import config_toml
from tests.executor.source import differences, known_keys
from tests.support.configured import CERTIFICATE, STRATEGIES

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
}
SANDBOX = {"runners.main.runtimeClassName": "sandbox"}
NEW = {"runners.main.seccompProfile": "RuntimeDefault", "runners.main.podDisruptionBudget": True}


def test_the_table_has_exactly_the_rendered_keys() -> None:
    rendered = {
        key
        for strategy in STRATEGIES.values()
        for changes in ({**OLD, **NEW}, OLDEST)
        for key in keys_of(config_toml(strategy, changes))
    }
    in_sandbox = keys_of(config_toml("kaniko", SANDBOX))
    of_deployments = keys_of(config_toml({"kind": "deploy"}, {}))

    assert rendered | in_sandbox | of_deployments == set(KEYS)


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

	RunnerSettings
}

type RunnerSettings struct {
	Kubernetes *KubernetesConfig `toml:"kubernetes,omitempty" json:"kubernetes"`
	Logger logrus.FieldLogger `toml:"-" json:",omitempty"`
}

type KubernetesConfig struct {
	NodeSelector map[string]string `toml:"node_selector,omitempty" long:"node-selector"`
	Services     []Service         `toml:"services"`
}

type Service struct {
	// Name is found by the runner
	Name string `toml:"name"`
}
"""


def test_keys_come_from_go_structs_with_their_tables() -> None:
    assert known_keys(CONFIG, 'Name: "FF_NEW",') >= {
        "runners.name",
        "runners.kubernetes.node_selector.*",
        "runners.kubernetes.services.name",
        "runners.feature_flags.FF_NEW",
    }


def test_each_difference_from_the_source_is_a_line() -> None:
    right = {key for key, since in KEYS.items() if since != "18.11.0"}
    late = "runners.kubernetes.pod_disruption_budget"

    assert differences("18.9.0", right) == []
    assert differences("18.9.0", right - {"runners.builds_dir"}) == [
        "runner 18.9.0 does not know runners.builds_dir, which the table dates to 0.1.5"
    ]
    assert differences("18.9.0", right | {late}) == [
        f"runner 18.9.0 already knows {late}, which the table dates to 18.11.0"
    ]
