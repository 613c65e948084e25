"""The real gitlab-runner, where it is there, beside the executor that stands in for it."""

import copy
import dataclasses
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from components.gitlab_runner.keys import as_numbers
from components.plan import BuildPlan
from components.resources.access import rules
from components.settings.models import Settings
from dev.toolchain.gitlab_runner import VARIABLE, used
from tests.executor.binary import Manager, Outcome, find, take_job
from tests.executor.job import Call, Job, Run
from tests.executor.pod import Request
from tests.executor.promise import promised, seen
from tests.support.cluster import AuditedCluster, account, as_manifest, deployed_manager, grant
from tests.support.configured import CERTIFICATE, STRATEGIES
from tests.support.kubernetes import core_v1
from tests.support.stacks import Site, fresh_site

BINARY = find()
pytestmark = pytest.mark.skipif(
    BINARY is None, reason=f"no gitlab-runner is on PATH; name one in {VARIABLE}"
)
FAULT = re.compile(r"^(?:jsonschema: .*|\s*- at '.*)", re.MULTILINE)
"""What the runner says of a value of its config that its schema has not, before and since 19."""
KNOWN_FAULT = re.compile(r"MountPropagation.*(?:expected string, but )?got null")
"""Its schema has no null, which is what a volume without that key has there."""
REVIEWS = "authorization.k8s.io"
"""The API group in which anyone may ask what they may do."""
# What a job gets to without a node; pods it watches only if a review says that it may.
NEEDED: list[Call] = [
    ("create", "", "secrets"),
    ("create", "", "pods"),
    ("update", "", "secrets"),
    ("get", "", "pods"),
    ("create", "", "pods/exec"),
    ("list", "", "events"),
    ("delete", "", "pods"),
]


@pytest.fixture(scope="module")
def everything(
    control_plane: AuditedCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A stack with a runner for each variant."""
    with fresh_site(control_plane, tmp_path_factory.mktemp("everything")) as site:
        registry = {"host": "registry.example.com:5000", "pull": "in", "push": "out"}
        site.write(
            "kaniko",
            registries=[{**registry, "caCertificates": CERTIFICATE}],
            runners={
                name: {"tags": [name], "strategy": strategy}
                for name, strategy in STRATEGIES.items()
            },
        )
        up = site.up()
        assert "failed" not in up.operations, up.output
        yield site


@dataclasses.dataclass(frozen=True)
class Jobs:
    """The same job by the real runner, whose requests are ``asked``, and by the stand-in."""

    site: Site
    name: str
    manager: Manager
    outcome: Outcome
    asked: Run
    stand_in: Run

    def plan(self) -> BuildPlan:
        """Return what the variant's strategy yields."""
        content = yaml.safe_load(self.site.stack.stack_file.read_text(encoding="utf-8"))
        settings = Settings.model_validate(content["config"]["image-builds:settings"])
        return settings.plans()[self.name]


@pytest.fixture(scope="module", params=STRATEGIES)
def jobs(
    everything: Site,
    control_plane: AuditedCluster,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Jobs:
    assert BINARY
    name, release = request.param, f"gitlab-runner-{request.param}"
    with control_plane.api() as api:
        manager = deployed_manager(core_v1(api), everything.prefix, name)
    known = account(control_plane, release, everything.prefix)
    outcome = take_job(BINARY, manager, known, tmp_path_factory.mktemp(name))
    asked = control_plane.requests_of(release, everything.prefix)
    stand_in = Job(manager.template, used(), known).run(Request(fails=True))
    return Jobs(everything, name, manager, outcome, asked, stand_in)


def test_the_real_runner_takes_a_job_as_far_as_a_node(jobs: Jobs) -> None:
    """The pod is made; it would need a node to run."""
    gitlab = jobs.outcome.gitlab

    assert gitlab.refused == []
    assert [update["state"] for update in gitlab.states] == ["running", "failed"]
    assert gitlab.states[-1]["failure_reason"] == "runner_system_failure"
    # What follows is the first of the scripts, for which there is no kubelet to write it.
    assert "prepare environment: setting up trapping scripts on emptyDir" in jobs.outcome.trace


def test_the_real_runner_keeps_every_key_that_is_rendered(jobs: Jobs) -> None:
    (rendered,) = tomllib.loads(jobs.manager.template)["runners"]
    (registered,) = tomllib.loads(jobs.outcome.config)["runners"]

    assert registered["executor"] == "kubernetes"
    assert _lost(rendered, registered) == []


def test_the_real_runner_finds_no_fault_with_its_config(jobs: Jobs) -> None:
    log = jobs.outcome.log

    assert [fault for fault in FAULT.findall(log) if not KNOWN_FAULT.search(fault)] == []
    # Of jobs that would wait for each other.
    assert "CONFIGURATION" not in log


@pytest.mark.skipif(as_numbers(used()) < (19, 3, 0), reason="this gitlab-runner has no lint")
def test_the_real_runner_finds_no_unknown_key(jobs: Jobs, tmp_path: Path) -> None:
    assert BINARY
    file = tmp_path / "config.toml"
    right = jobs.outcome.config
    made_up = right.replace("[[runners]]", "[[runners]]\n  made_up = true", 1)
    for text, finds in ((right, False), (made_up, True)):
        file.write_text(text, encoding="utf-8")
        answer = subprocess.run(
            [BINARY, "lint", "--config", file], check=False, capture_output=True, text=True
        )
        said = answer.stdout + answer.stderr
        assert (answer.returncode, "unknown key: runners.made_up" in said) == (int(finds), finds)


def _lost(rendered: Any, registered: Any, path: str = "runners") -> list[str]:  # noqa: ANN401 - TOML
    """Return the paths of what is not there any more, or is not the same."""
    if isinstance(rendered, dict):
        table, there = cast("dict[str, Any]", rendered), cast("dict[str, Any]", registered or {})
        return [
            lost
            for key, value in table.items()
            for lost in _lost(value, there.get(key), f"{path}.{key}")
        ]
    if isinstance(rendered, list) and isinstance(registered, list):
        pairs = zip(cast("list[Any]", rendered), cast("list[Any]", registered), strict=True)
        return [lost for pair in pairs for lost in _lost(*pair, path)]
    return [] if rendered == registered else [path]


def test_the_real_runners_pod_is_what_the_plan_promised(jobs: Jobs) -> None:
    address = f"tcp://buildkitd.{jobs.site.prefix}-{jobs.name}-buildkitd.svc:1234"

    assert seen(jobs.asked.pod) == promised(jobs.plan(), jobs.name, address)


def test_the_stand_ins_pod_is_the_real_runners(jobs: Jobs) -> None:
    assert _comparable(jobs.stand_in.pod) == _comparable(jobs.asked.pod)


def _comparable(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the pod without what no two jobs share, and the scripts that find a shell."""
    spec = copy.deepcopy(pod["spec"])
    for container in (*spec["initContainers"], *spec["containers"]):
        for key in ("command", "env", "securityContext", "volumeMounts"):
            container.pop(key, None)
    # Order has no meaning in these, and of the variables those count that a plan may promise.
    return {**spec, **seen(pod)}


def test_the_stand_in_asks_what_the_real_runner_asks(jobs: Jobs) -> None:
    """In the same order, and nothing is forbidden.

    Runner 19.4 asks for events while it waits for the pod, and older ones when it has failed.
    """
    real, stand_in = (
        list(dict.fromkeys(call for call in run.calls if call[1] != REVIEWS))
        for run in (jobs.asked, jobs.stand_in)
    )

    assert jobs.asked.forbidden == []
    assert set(real) >= set(NEEDED)
    ordered = [call for call in real if call != ("list", "", "events")]
    assert ordered == [call for call in stand_in if call in ordered]


@pytest.mark.parametrize("right", NEEDED, ids=lambda right: f"{right[0]} {right[2]}")
def test_without_a_right_the_real_runner_misses_it(
    everything: Site, control_plane: AuditedCluster, right: Call, tmp_path: Path
) -> None:
    assert BINARY
    with control_plane.api() as api:
        manager = deployed_manager(core_v1(api), everything.prefix, "kaniko")
    rights = [
        rule
        for rule in as_manifest(rules(pod_disruption_budget=False))
        if (rule["verbs"][0], rule["apiGroups"][0], rule["resources"][0]) != right
    ]
    with grant(control_plane, rights, "baseline", "gitlab-job-kaniko") as (namespace, known):
        text = manager.template.replace(f"{everything.prefix}-kaniko", namespace)
        take_job(BINARY, dataclasses.replace(manager, template=text), known, tmp_path)
        asked = control_plane.requests_of("gitlab-runner-builds", namespace)

    # A runner whose pod was refused asks for the events of no pod, in all namespaces.
    aside = {("list", "", "events")} if right == ("create", "", "pods") else set[Call]()
    assert set(asked.forbidden) == {right} | aside
