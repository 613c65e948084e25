"""What the keys of a manager become: values of the chart, and objects beside its release."""

from typing import Any

import pytest

from tests.support.managers import MANAGER, deployed, of_kind, values_of

AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {
                    "matchExpressions": [
                        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}
                    ]
                }
            ]
        },
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {
                "weight": 50,
                "preference": {"matchExpressions": [{"key": "spot", "operator": "DoesNotExist"}]},
            }
        ],
    }
}
SPREAD = [
    {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"release": "gitlab-runner-main"}},
    }
]
BUDGET = "kubernetes:policy/v1:PodDisruptionBudget"


def test_a_manager_requests_a_little_by_default() -> None:
    assert values_of({})["resources"] == {"requests": {"cpu": "100m", "memory": "128Mi"}}


def test_nothing_else_of_a_manager_is_set_by_default() -> None:
    assert values_of({}).keys() == {
        "gitlabUrl",
        "concurrent",
        "rbac",
        "serviceAccount",
        "runners",
        "podSecurityContext",
        "securityContext",
        "resources",
        "livenessProbe",
        "podAnnotations",
    }


def test_each_key_of_a_manager_is_a_value_of_the_chart() -> None:
    values = values_of({"runners.main.manager": MANAGER})
    found = {key: values[key] for key in values.keys() - values_of({}).keys()}

    assert values["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"memory": "256Mi", "ephemeral-storage": "1Gi"},
    }
    assert values["livenessProbe"] == {
        "enabled": True,
        "initialDelaySeconds": 60,
        "periodSeconds": 30,
        "failureThreshold": 10,
    }
    assert values["podAnnotations"]["example.com/owner"] == "ci"
    assert "image-builds/token-digest" in values["podAnnotations"]
    assert found == {
        "replicas": 2,
        "nodeSelector": {"pool": "infra"},
        "affinity": AFFINITY,
        "topologySpreadConstraints": SPREAD,
        "tolerations": [
            {"key": "dedicated", "value": "infra", "effect": "NoSchedule"},
            {"key": "spot", "operator": "Exists"},
        ],
        "priorityClassName": "high",
        "terminationGracePeriodSeconds": 7200,
        "metrics": {"enabled": True, "podMonitor": {"enabled": True}},
        "logLevel": "warn",
        "logFormat": "json",
        "extraEnv": {"GODEBUG": "netdns=go"},
        "readinessProbe": {"initialDelaySeconds": 5, "periodSeconds": 60, "failureThreshold": 3},
        "probeTimeoutSeconds": 8,
        "podLabels": {"team": "ci"},
    }


def test_a_preference_alone_requires_nothing() -> None:
    wanted = {"prefer": [{"key": "spot", "operator": "Exists"}]}

    affinity = values_of({"runners.main.manager": {"nodeAffinity": wanted}})["affinity"]

    assert affinity["nodeAffinity"].keys() == {"preferredDuringSchedulingIgnoredDuringExecution"}


@pytest.mark.parametrize(
    ("probe", "wanted"),
    [({}, {}), ({"livenessProbe": {"periodSeconds": 9}}, {"periodSeconds": 9})],
    ids=["left alone", "set"],
)
def test_older_charts_get_no_switch_of_the_probe(
    probe: dict[str, Any], wanted: dict[str, int]
) -> None:
    changes = {"chart.version": "0.93.0", "runners.main.manager": probe}

    found = values_of(changes).get("livenessProbe", {})

    assert found.keys() & {"enabled"} == set()
    assert {key: found[key] for key in wanted} == wanted


def test_a_budget_keeps_all_managers_but_one() -> None:
    registered = deployed({"runners.main.manager": MANAGER})

    (budget,) = of_kind(registered, BUDGET)
    assert budget["metadata"] == {"name": "gitlab-runner-main", "namespace": "builds"}
    assert budget["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": {"release": "gitlab-runner-main"}},
    }
    assert of_kind(deployed({}), BUDGET) == []


class TestMetrics:
    KIND = "kubernetes:networking.k8s.io/v1:NetworkPolicy"

    def _ingress(self, changes: dict[str, Any]) -> object:
        (policy,) = [
            item
            for item in of_kind(deployed(changes), self.KIND)
            if item["metadata"]["name"] == "managers-ingress"
        ]
        return policy["spec"].get("ingress")

    def test_nobody_reaches_managers_without_them(self) -> None:
        assert self._ingress({}) is None

    def test_all_but_code_of_jobs_reads_them(self) -> None:
        changes = {
            "runners.main.manager": {"metrics": "annotations"},
            "runners.main.strategy": "buildkit-service",
        }

        assert self._ingress(changes) == [
            {
                "from": [
                    {
                        "namespaceSelector": {
                            "matchExpressions": [
                                {
                                    "key": "kubernetes.io/metadata.name",
                                    "operator": "NotIn",
                                    "values": ["builds-main", "builds-main-buildkitd"],
                                }
                            ]
                        }
                    }
                ],
                "ports": [{"port": 9252, "protocol": "TCP"}],
            }
        ]

    def test_annotations_alone_need_no_operator(self) -> None:
        changes = {"runners.main.manager": {"metrics": "annotations"}}

        assert values_of(changes)["metrics"] == {"enabled": True}


def test_jobs_clone_from_another_address_where_it_is_given() -> None:
    url = "http://gitlab.gitlab.svc:8181"

    text = values_of({"gitlab.cloneUrl": url})["runners"]["config"]

    assert f'clone_url = "{url}"' in text
    assert "clone_url" not in values_of({})["runners"]["config"]
