"""The report of real previews: the engine's own events, the chart's own objects."""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from dev import toolchain
from dev.cluster import Cluster
from dev.paths import STAND_IN_CHART
from report.analysis import assemble
from report.inputs import preview
from report.inputs.charts import Charts
from report.model import (
    CHANGES,
    FAILED,
    NO_CHANGE,
    RISK_RAISED,
    Report,
)
from report.outputs import code_quality as quality
from report.outputs import markdown as note
from report.stack_file import SETTINGS, StackFile
from tests.engine.conftest import Site, fresh_site
from tests.support.configured import MISSING, STRATEGIES, bent


class Markdown(SingleFileSnapshotExtension):
    """One readable note for each snapshot."""

    _write_mode = WriteMode.TEXT
    file_extension = "md"


RUNNERS = {
    "builds": {"tags": ["build"], "strategy": "kaniko"},
    "boxed": {"tags": ["boxed"], "strategy": STRATEGIES["dind"]},
    "engine": {"tags": ["engine"], "strategy": STRATEGIES["dood"]},
    "shared": {"tags": ["shared"], "strategy": "buildkit-service"},
}
TOKENS = {f"runnerTokens__{name}": f"glrt-first-token-{name}" for name in RUNNERS}
PASSWORDS = {
    "registryCredentials__in__password": "first-password-in",
    "registryCredentials__out__password": "first-password-out",
}
Inputs = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """What differs from what is deployed, in the settings by dotted path and in the secrets.

    ``transform`` bends the inputs of one resource, by kind and name, as a transform of the
    program would. ``accepted`` are risks that the stack file accepts. In all of it ``SITE``
    stands for the name of the managers' namespace, and ``CHART`` for a chart of another version.
    """

    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    secrets: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    transform: tuple[str, str, Callable[[Inputs], None]] | None = None
    accepted: tuple[str, ...] = ()


def _strategy(runner: str, strategy: object) -> Change:
    return Change(settings={f"runners.{runner}.strategy": strategy})


def _runner(**settings: object) -> Change:
    return Change(settings={f"runners.builds.{key}": value for key, value in settings.items()})


def _every_verb(role: Inputs) -> None:
    role["rules"] = [*role["rules"], {"api_groups": ["*"], "resources": ["*"], "verbs": ["*"]}]


def _another_account(binding: Inputs) -> None:
    binding["subjects"] = [*binding["subjects"], {"kind": "User", "name": "somebody"}]


def _unpinned(deployment: Inputs) -> None:
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "moby/buildkit"


def _open(policy: Inputs) -> None:
    policy["spec"]["ingress"] = [*policy["spec"]["ingress"], {}]


def _baseline(namespace: Inputs) -> None:
    namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "baseline"


REGISTRY = {"host": "registry.example.com:5000", "pull": "in", "push": "out"}
SECOND = {"host": "second.example.com", "insecure": True, "pull": "in", "push": "out"}
RIGHTS = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"]}]

CHANGES_AND_CODES: dict[str, tuple[Change, int]] = {
    "nothing": (Change(), NO_CHANGE),
    "kaniko-to-dood": (_strategy("builds", STRATEGIES["dood"]), CHANGES),
    "dood-to-kaniko": (_strategy("engine", "kaniko"), CHANGES),
    "kaniko-to-dind": (_strategy("builds", STRATEGIES["dind"]), CHANGES),
    "dind-to-kaniko": (_strategy("boxed", "kaniko"), CHANGES),
    "dind-to-dood": (_strategy("boxed", STRATEGIES["dood"]), CHANGES),
    "kaniko-to-buildkit": (_strategy("builds", "buildkit"), RISK_RAISED),
    "kaniko-to-buildkit-service": (_strategy("builds", "buildkit-service"), RISK_RAISED),
    "buildkit-service-to-kaniko": (_strategy("shared", "kaniko"), RISK_RAISED),
    "kaniko-to-buildx": (_strategy("builds", STRATEGIES["buildx"]), RISK_RAISED),
    "kaniko-to-buildah-privileged": (
        _strategy("builds", STRATEGIES["buildah-privileged"]),
        RISK_RAISED,
    ),
    "kaniko-to-deploy": (
        _strategy("builds", {"kind": "deploy", "permissions": {"SITE-apps": RIGHTS}}),
        RISK_RAISED,
    ),
    "accepted-in-writing": (
        Change(
            settings={"runners.builds.strategy": "buildkit"},
            accepted=(
                "podSecurity/Namespace-SITE-builds/privileged",
                "unconfined/the-build-container-of-runner-builds/AppArmor-Unconfined",
                "unconfined/the-build-container-of-runner-builds/seccomp-Unconfined",
            ),
        ),
        CHANGES,
    ),
    "tag": (_runner(tags=["other"]), NO_CHANGE),
    "chart-version": (Change(settings={"chart.archive": "CHART"}), CHANGES),
    "resources": (_runner(resources={"limits": {"memory": "2Gi"}}), CHANGES),
    "environment": (_runner(environment={"GREETING": "hello"}), CHANGES),
    "concurrent": (_runner(concurrent=3), CHANGES),
    "image-moved": (
        _strategy("builds", {"kind": "kaniko", "image": "other.example.com/kaniko:v2"}),
        CHANGES,
    ),
    "registry-added": (Change(settings={"registries": [REGISTRY, SECOND]}), CHANGES),
    "token-rotated": (Change(secrets={"runnerTokens__builds": "glrt-second-token-002"}), CHANGES),
    "password-rotated": (
        Change(secrets={"registryCredentials__out__password": "second-password"}),
        CHANGES,
    ),
    "runner-added": (
        Change(settings={"runners.more": {"tags": ["more"], "strategy": "kaniko"}}),
        CHANGES,
    ),
    # On nodes that are trusted and have an engine, auto is dood.
    "runner-added-by-auto": (
        Change(settings={"runners.more": {"tags": ["more"]}}),
        RISK_RAISED,
    ),
    "runner-removed": (Change(settings={"runners.boxed": MISSING}), CHANGES),
    "namespace-renamed": (Change(settings={"namespace": "SITE-other"}), RISK_RAISED),
    "job-namespace-renamed": (_runner(jobNamespace="SITE-jobs"), CHANGES),
    "target-namespace-added": (
        Change(settings={"targetNamespaces.SITE-more": {"create": True}}),
        CHANGES,
    ),
    "target-namespace-removed": (Change(settings={"targetNamespaces": {}}), CHANGES),
    "gitlab-moved": (Change(settings={"gitlab.url": "https://git.example.com"}), CHANGES),
    "every-verb-by-a-transform": (
        Change(transform=("Role", "builds-manager", _every_verb)),
        RISK_RAISED,
    ),
    "another-reader-by-a-transform": (
        Change(transform=("RoleBinding", "builds-manager", _another_account)),
        RISK_RAISED,
    ),
    "image-unpinned-by-a-transform": (
        Change(transform=("Deployment", "buildkitd", _unpinned)),
        RISK_RAISED,
    ),
    "policy-opened-by-a-transform": (
        Change(transform=("NetworkPolicy", "buildkitd", _open)),
        RISK_RAISED,
    ),
    "managers-at-baseline-by-a-transform": (
        Change(transform=("Namespace", "managers", _baseline)),
        RISK_RAISED,
    ),
    "config-error": (_strategy("builds", "dood"), FAILED),
    "chart-missing": (Change(settings={"chart.archive": "no-such-chart"}), FAILED),
}


def _write(site: Site, change: Change) -> None:
    """Write the stack file and the secrets of a change."""
    site.write("kaniko", runners=RUNNERS)
    file = site.stack.stack_file
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    config = content["config"]
    config[SETTINGS] = bent(config[SETTINGS], dict(change.settings))
    if change.accepted:
        config["image-builds:acceptedRisks"] = dict.fromkeys(change.accepted, "a reason")
    text = yaml.safe_dump(content).replace("SITE", site.prefix)
    text = text.replace("CHART", str(site.folder / "chart"))
    file.write_text(text, encoding="utf-8")
    site.plant(**{**TOKENS, **PASSWORDS, **change.secrets})


@pytest.fixture(scope="module")
def deployed(control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One stack for all changes, since only previews follow."""
    with fresh_site(control_plane, tmp_path_factory.mktemp("report")) as site:
        _newer_chart(site.folder / "chart")
        _write(site, Change())
        assert "failed" not in site.up().operations
        yield site


def _newer_chart(folder: Path) -> None:
    """Make a chart of a later version, whose manager has another image."""
    shutil.copytree(STAND_IN_CHART, folder)
    for name, old, new in (
        ("Chart.yaml", r"^version: .*", "version: 0.99.0"),
        ("templates/deployment.yaml", r"^( *)image: .*", r"\1image: example.com/runner:v99"),
    ):
        file = folder / name
        text, count = re.subn(old, new, file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert count
        file.write_text(text, encoding="utf-8")


def _report(site: Site) -> Report:
    with Charts(toolchain.ensure("helm").file) as charts:
        with site.stack.open() as stack:
            seen = preview.run(stack, charts)
        file = site.stack.stack_file
        return assemble.report(
            seen.plan,
            environment="test",
            stack_file=StackFile(file.name, file.read_text(encoding="utf-8"), seen.scrub),
            settings=seen.settings,
            charts=charts,
            scrub=seen.scrub,
            state=seen.state,
        )


def _note(site: Site, report: Report) -> str:
    """The note without what differs from run to run."""
    told = note.write(report).replace(site.prefix, "site").replace(report.digest, "<digest>")
    told = told.replace(report.state, "<time>").replace(str(STAND_IN_CHART), "<chart>")
    told = told.replace(str(site.folder), "<folder>")
    # A Secret of the shared daemon is named after the year.
    told = re.sub(r"buildkitd-20\d\d", "buildkitd-<year>", told)
    return re.sub(r"(checksum/.*?|token-digest.*?): [0-9a-f]{16,}", r"\1: <checksum>", told)


@pytest.mark.parametrize("name", CHANGES_AND_CODES)
def test_the_note_of_a_real_preview_is_as_reviewed(
    deployed: Site,
    snapshot: SnapshotAssertion,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    change, code = CHANGES_AND_CODES[name]
    _write(deployed, change)
    if change.transform:
        monkeypatch.setattr(deployed.stack, "run", _transformed(deployed.stack.run, change))

    report = _report(deployed)

    assert _note(deployed, report) == snapshot(extension_class=Markdown)
    assert (report.exit_code, report.gaps) == (code, ())


def _transformed(run: Callable[[], None], change: Change) -> Callable[[], None]:
    """Let the program bend the inputs of one resource."""
    assert change.transform
    kind, name, transform = change.transform

    def bend(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        if not (args.type_.endswith(f":{kind}") and args.name == name):
            return None
        transform(args.props)
        return pulumi.ResourceTransformationResult(args.props, args.opts)

    def program() -> None:
        pulumi.runtime.register_stack_transformation(bend)
        run()

    return program


@pytest.mark.parametrize("name", ["kaniko-to-buildkit-service", "token-rotated"])
def test_two_previews_of_the_same_change_have_the_same_digest(deployed: Site, name: str) -> None:
    change, _ = CHANGES_AND_CODES[name]
    _write(deployed, change)

    first, second = _report(deployed), _report(deployed)

    assert first == second
    assert first.state


def test_previews_of_other_changes_have_other_digests(deployed: Site) -> None:
    digests: set[str] = set()
    for change in (
        _runner(concurrent=3),
        Change(secrets={"runnerTokens__builds": "glrt-second-token-002"}),
        Change(secrets={"runnerTokens__builds": "glrt-third-token-0003"}),
    ):
        _write(deployed, change)
        digests.add(_report(deployed).digest)

    assert len(digests) == 3


def test_a_mistake_in_the_config_is_told_on_its_line(deployed: Site) -> None:
    _write(deployed, CHANGES_AND_CODES["config-error"][0])
    file = deployed.stack.stack_file
    text = file.read_text(encoding="utf-8")

    findings = json.loads(quality.write(_report(deployed), StackFile(file.name, text)))

    line = text.splitlines()[findings[0]["location"]["lines"]["begin"] - 1]
    assert line.strip() == "strategy: dood"


def test_a_program_that_fails_shows_no_value(
    deployed: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(deployed, Change(secrets={"runnerTokens__builds": "glrt-spilled-token-03"}))

    def broken() -> None:
        tokens = pulumi.Config("image-builds").require_object("runnerTokens")
        message = f"no such thing as {tokens['builds']} {tokens['builds'][5:]}"
        raise ValueError(message)

    monkeypatch.setattr(deployed.stack, "run", broken)

    report = _report(deployed)

    assert report.exit_code == FAILED
    assert report.errors[0].startswith("the program failed; what it says can hold a secret")
    assert "spilled" not in str(report)


@pytest.fixture
def unreachable(deployed: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The same stack while the API server is down."""
    text = deployed.stack.kubeconfig.read_text(encoding="utf-8")
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(re.sub("server: .*", "server: https://127.0.0.1:1", text), "utf-8")
    monkeypatch.setattr(deployed.stack, "kubeconfig", elsewhere)
    return deployed


@pytest.mark.parametrize("name", ["kaniko-to-dood", "registry-added"])
def test_updates_are_previewed_the_same_while_the_api_server_is_down(
    unreachable: Site,
    name: str,
) -> None:
    _write(unreachable, CHANGES_AND_CODES[name][0])

    told = _note(unreachable, _report(unreachable))

    folder = Path(__file__).parent / "__snapshots__" / "test_report"
    with_server = folder / f"test_the_note_of_a_real_preview_is_as_reviewed[{name}].md"
    assert told == with_server.read_text(encoding="utf-8")
