import pytest

from components.settings.explain import Verdict, choices, explain
from components.settings.models import Settings
from tests.support.configured import SETTINGS, STRATEGIES, replace_values


def _verdicts(changes: dict[str, object]) -> dict[str, Verdict]:
    settings = Settings.model_validate(replace_values(SETTINGS, changes))
    (verdicts,) = explain(settings, settings.plans()).values()
    return {verdict.strategy: verdict for verdict in verdicts}


@pytest.mark.parametrize("strategy", [*STRATEGIES.values(), "auto"], ids=str)
def test_every_strategy_is_judged_once_and_the_chosen_one_first(strategy: object) -> None:
    verdicts = list(_verdicts({"runners.main.strategy": strategy}).values())

    assert [verdict.chosen for verdict in verdicts] == [True] + [False] * (len(verdicts) - 1)


def test_a_deploy_runner_has_no_alternative() -> None:
    """It is not one for a runner that builds."""
    deploying = _verdicts({"runners.main.strategy": "deploy"})

    assert {name: verdict.chosen for name, verdict in deploying.items()} == {"deploy": True}
    assert deploying["deploy"].privilege == (
        "none: uid 1000 in an ordinary container, with permissions in target namespaces"
    )
    assert "deploy" not in _verdicts({})


def test_a_deploy_runner_may_be_root_where_others_decide() -> None:
    rule = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}
    deploying = _verdicts(
        {
            "runners.main.strategy": {"kind": "deploy", "permissions": {"theirs": [rule]}},
            "targetNamespaces.theirs": {},
        }
    )

    assert deploying["deploy"].privilege.endswith(
        "; root on the nodes of theirs, unless it enforces baseline"
    )


def test_auto_says_why_it_takes_dood() -> None:
    chosen = _verdicts({"runners.main.strategy": "auto"})["dood"]

    assert chosen.chosen
    assert "on-premises, Ubuntu, trusted" in chosen.reason
    assert chosen.privilege == "root on the node, through /var/run/docker.sock"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cluster": {"kind": "managed"}}, "nodes of a managed cluster"),
        ({"cluster.nodes.os": "other"}, "is for Ubuntu nodes of your own"),
        ({"cluster.platform": "rke2"}, "needs a Docker engine on the nodes"),
        ({"cluster.podSecurityLimit": "baseline"}, "needs the Pod Security level privileged"),
    ],
)
def test_auto_says_why_it_takes_kaniko(changes: dict[str, object], reason: str) -> None:
    chosen = _verdicts({"runners.main.strategy": "auto", **changes})["kaniko"]

    assert chosen.chosen
    assert reason in chosen.reason


def test_what_a_cluster_cannot_carry_is_refused_with_the_reason() -> None:
    verdicts = _verdicts({"cluster.platform": "eksFargate"})

    assert verdicts["kaniko"].reason == "the stack file names it"
    refused = [name for name, verdict in verdicts.items() if verdict.reason.startswith("refused: ")]
    assert len(refused) == len(verdicts) - 1


def test_privilege_is_put_in_a_phrase() -> None:
    phrases = {name: verdict.privilege for name, verdict in _verdicts({}).items()}

    assert phrases == {
        "kaniko": "none: uid 0 in an ordinary container",
        "buildkit-service": (
            "none in jobs; buildkitd runs at privileged, and builds in it can read each other's "
            "secrets"
        ),
        "buildkit (rootless)": "uid 1000, seccomp and AppArmor Unconfined",
        "buildkit (rootful)": "privileged within the pod's own user namespace",
        "buildah (chroot)": "uid 1000, seccomp and AppArmor Unconfined",
        "buildah (root)": "uid 0, seccomp and AppArmor Unconfined",
        "buildkit (privileged)": "a privileged job container",
        "buildah (privileged)": "a privileged job container",
        "buildx": "permission to create any pod in the job namespace",
        "dind (socket)": "a privileged service, commanded by the job",
        "dind (tls)": "a privileged service, commanded by the job",
        "dind (rootless)": "a privileged service, commanded by the job",
        "dood": "root on the node, through /var/run/docker.sock",
    }


def test_a_preview_says_in_one_line_what_a_runner_has_and_why() -> None:
    settings = Settings.model_validate(replace_values(SETTINGS, {}))

    assert choices(settings, settings.plans()) == [
        "runners.main: kaniko at baseline; none: uid 0 in an ordinary container; "
        "the stack file names it"
    ]
