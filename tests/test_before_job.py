"""What runs before a job: in the shells of images, with homes and logins as jobs have them."""

import base64
import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from components.bounds import Resources
from components.gitlab_runner import before_job
from components.plan import BuildPlan
from components.site import Registry
from components.strategies import Strategy
from tests.support.configured import FORMS, SITE
from tests.support.pipelines import against_shell
from tests.support.runners import NAMES

INSECURE = dataclasses.replace(
    SITE, registries=(Registry(host="registry.example.com", insecure=True),)
)
SHELLS = {"sh": ["/bin/sh"], "bash": ["/bin/bash"], "busybox": ["/bin/busybox", "sh"]}
# Without what the tool needs, which says more.
PLAN = dataclasses.replace(FORMS["buildkit"].plan(SITE), prepare="")
KANIKO = dataclasses.replace(FORMS["kaniko"].plan(SITE), prepare="")
STACK = {"username": "writer", "password": 'a"}{b', "auth": "c3RhY2s="}


def script(plan: BuildPlan, *, pushes: bool, **resources: object) -> str:
    """Write what comes before the jobs of runner main, whose stack has a push login or none."""
    secret = NAMES["push_secret"] if pushes else None
    bounds = Resources.model_validate(resources)
    return before_job.script(plan, bounds, {**NAMES, "push_secret": secret}, {}, proxied=False)


def _auths(**logins: str) -> str:
    entries = {host: {"auth": login} for host, login in logins.items()}
    return json.dumps({"auths": entries})


class Job:
    """A job's container: its folders are in ``root``, and the stack's login is mounted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.home.mkdir()
        self.config = root / "tmp" / ".docker"
        self.mount = root / "mount"
        self.mount.mkdir()
        self.mount.joinpath("config.json").write_text(
            json.dumps({"auths": {"registry.example.com": STACK}}), encoding="utf-8"
        )

    def run(
        self,
        text: str,
        then: str = "",
        shell: str = "sh",
        path: str = os.environ["PATH"],
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run what comes before a job, then ``then``, as the runner does."""
        here = text.replace(before_job.LOGINS, str(self.mount))
        given = {"DOCKER_CONFIG": str(self.config), "HOME": str(self.home), **variables}
        return subprocess.run(
            [*SHELLS[shell], "-e", "-c", f"{here}\n{then}"],
            env={"PATH": path, **{name: value for name, value in given.items() if value}},
            check=False,
            capture_output=True,
            text=True,
        )

    def logins(self) -> dict[str, Any]:
        """What tools find."""
        return json.loads(self.config.joinpath("config.json").read_bytes())["auths"]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


@pytest.mark.parametrize("pushes", [True, False])
@pytest.mark.parametrize("strategy", FORMS.values(), ids=FORMS)
def test_it_is_clean_shell_and_no_template(strategy: Strategy, *, pushes: bool) -> None:
    """The chart would run what is between two braces."""
    text = script(strategy.plan(SITE), pushes=pushes)

    assert against_shell(text) == ""
    assert "{{" not in text


@pytest.mark.parametrize("shell", SHELLS)
def test_a_login_in_the_home_is_read(job: Job, shell: str) -> None:
    """As GitLab's recipe for BuildKit writes it."""
    recipe = f"mkdir -p ~/.docker; echo '{_auths(other='eA==')}' > ~/.docker/config.json"

    answer = job.run(script(PLAN, pushes=True), recipe, shell)

    assert (answer.returncode, answer.stderr) == (0, "")
    assert job.logins() == {"other": {"auth": "eA=="}}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_home_has_the_logins_of_the_stack(job: Job, shell: str) -> None:
    answer = job.run(script(PLAN, pushes=True), "cat ~/.docker/config.json", shell)

    assert json.loads(answer.stdout) == {"auths": {"registry.example.com": STACK}}


def test_plugins_in_the_home_of_an_image_are_found(job: Job) -> None:
    plugin = job.home / ".docker" / "cli-plugins" / "docker-buildx"
    plugin.parent.mkdir(parents=True)
    plugin.touch()

    job.run(script(PLAN, pushes=True), HOME=str(job.home), DOCKER_CONFIG=str(job.root / "config"))

    assert (job.root / "config" / "cli-plugins" / "docker-buildx").exists()
    assert (job.home / ".docker" / "config.json").exists()


def test_a_folder_that_the_job_chose_in_the_home_stays(job: Job) -> None:
    chosen = job.home / ".docker"

    answer = job.run(script(PLAN, pushes=True), DOCKER_CONFIG=str(chosen))

    assert (answer.returncode, answer.stderr) == (0, "")
    assert (chosen / "config.json").exists()
    assert not chosen.is_symlink()


def test_a_job_without_a_home_or_ln_runs_on(job: Job) -> None:
    tools = job.root / "bin"
    tools.mkdir()
    for name in ("cp", "mkdir"):
        (tools / name).symlink_to("/bin/busybox")

    without = job.run(script(PLAN, pushes=True), "echo on", path=str(tools))
    homeless = job.run(script(PLAN, pushes=True), "echo on", HOME="")

    assert [(answer.stdout, answer.stderr) for answer in (without, homeless)] == [("on\n", "")] * 2


def test_a_home_that_cannot_be_written_is_no_error(job: Job) -> None:
    answer = job.run(script(PLAN, pushes=True), "echo on", HOME="/proc/sys")

    assert (answer.stdout, answer.stderr) == ("on\n", "")
    assert job.logins() == {"registry.example.com": STACK}


def test_kaniko_leaves_the_home_to_what_it_builds(job: Job) -> None:
    job.run(script(KANIKO, pushes=True))

    assert not (job.home / ".docker").exists()
    assert job.logins() == {"registry.example.com": STACK}


GIVEN = {
    "compact": '{"auths":{"other":{"auth":"eA=="}}}',
    "spread": '{\n  "credHelpers": {"a": "b"},\n  "auths": {\n "other": {"auth": "eA=="}\n}\n}\n',
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_logins_of_the_variable_join_those_of_the_stack(job: Job, given: str, shell: str) -> None:
    answer = job.run(script(PLAN, pushes=True), shell=shell, DOCKER_AUTH_CONFIG=given)

    assert (answer.returncode, answer.stderr) == (0, "")
    assert job.logins() == {"registry.example.com": STACK, "other": {"auth": "eA=="}}


def test_a_login_of_the_variable_outranks_that_of_the_stack(job: Job) -> None:
    own = base64.b64encode(b"job:token").decode()

    job.run(
        script(PLAN, pushes=True),
        DOCKER_AUTH_CONFIG=json.dumps({"auths": {"registry.example.com": {"auth": own}}}),
    )

    assert job.logins() == {"registry.example.com": {"auth": own}}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_variable_without_any_login_changes_nothing(job: Job, shell: str) -> None:
    job.run(script(PLAN, pushes=True), shell=shell, DOCKER_AUTH_CONFIG='{"auths": { }}')

    assert job.logins() == {"registry.example.com": STACK}


@pytest.mark.parametrize("pushes", [True, False])
def test_a_variable_that_holds_something_else_is_named(job: Job, *, pushes: bool) -> None:
    text = script(PLAN, pushes=pushes)

    answer = job.run(text, "echo on", DOCKER_AUTH_CONFIG="/builds/PlantedFile")

    assert answer.stdout == "on\n"
    assert answer.stderr.startswith("DOCKER_AUTH_CONFIG must be JSON with auths")
    assert "Planted" not in answer.stderr


def test_a_stack_without_logins_leaves_those_of_the_variable(job: Job) -> None:
    text = script(PLAN, pushes=False)
    given = _auths(other="eA==")

    home = job.run(text, DOCKER_AUTH_CONFIG=given, DOCKER_CONFIG="")
    chosen = job.run(text, DOCKER_AUTH_CONFIG=given)

    assert (home.stderr, chosen.stderr) == ("", "")
    assert (job.home / ".docker" / "config.json").read_text(encoding="utf-8") == given
    assert job.logins() == {"other": {"auth": "eA=="}}


def test_a_file_of_the_image_stays_where_the_stack_has_none(job: Job) -> None:
    job.config.mkdir(parents=True)
    (job.config / "config.json").write_text('{"auths": {}}', encoding="utf-8")

    job.run(script(PLAN, pushes=False), DOCKER_AUTH_CONFIG=_auths(other="eA=="))

    assert job.logins() == {}


@pytest.mark.parametrize("pushes", [True, False])
def test_a_folder_that_cannot_be_written_is_named(job: Job, *, pushes: bool) -> None:
    answer = job.run(
        script(PLAN, pushes=pushes),
        "echo on",
        DOCKER_AUTH_CONFIG=_auths(other="eA=="),
        DOCKER_CONFIG="/proc/sys/x",
    )

    assert answer.stdout == "on\n"
    assert "The logins of DOCKER_AUTH_CONFIG could not be" in answer.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_no_login_is_shown_where_a_job_is_traced(job: Job, shell: str) -> None:
    text = f"set -x\n{script(PLAN, pushes=True)}"

    answer = job.run(text, shell=shell, DOCKER_AUTH_CONFIG=_auths(other="UGxhbnRlZA=="))

    assert "other" in job.logins()
    assert STACK["auth"] not in answer.stderr
    assert "UGxhbnRlZA==" not in answer.stderr


ASKED = {
    "KUBERNETES_MEMORY_LIMIT": "resources.maximum",
    "KUBERNETES_CPU_REQUEST": "resources.maximum",
    "KUBERNETES_EPHEMERAL_STORAGE_REQUEST": "resources.maximum",
    "KUBERNETES_HELPER_MEMORY_LIMIT": "resources.helper.maximum",
    "KUBERNETES_SERVICE_EPHEMERAL_STORAGE_LIMIT": "resources.service.maximum",
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("form", ["kaniko", "deploy"])
def test_a_variable_for_resources_names_the_missing_key(job: Job, form: str, shell: str) -> None:
    plan = FORMS[form].plan(SITE)
    text = script(dataclasses.replace(plan, prepare=""), pushes=True)

    answer = job.run(text, shell=shell, **dict.fromkeys(ASKED, "1"))

    assert sorted(answer.stderr.splitlines()) == sorted(
        f"{name} has no effect: runners.main.{key} does not have it in the stack file."
        for name, key in ASKED.items()
    )


def test_a_variable_that_the_stack_allows_is_not_named(job: Job) -> None:
    text = script(
        PLAN,
        pushes=True,
        maximum={"memory": "8Gi"},
        helper={"maximum": {"memory": "1Gi"}},
        service={"maximum": {"ephemeral_storage": "8Gi"}},
    )

    answer = job.run(text, **dict.fromkeys(ASKED, "1"))

    named = {line.partition(" ")[0] for line in answer.stderr.splitlines()}
    assert named == {"KUBERNETES_CPU_REQUEST", "KUBERNETES_EPHEMERAL_STORAGE_REQUEST"}


@pytest.mark.parametrize(
    "name",
    [
        "KUBERNETES_BEARER_TOKEN",
        "KUBERNETES_NAMESPACE_OVERWRITE",
        "KUBERNETES_NODE_SELECTOR_pool",
        "KUBERNETES_NODE_TOLERATIONS_1",
        "KUBERNETES_POD_ANNOTATIONS_1",
        "KUBERNETES_POD_LABELS_team",
        "KUBERNETES_POD_MEMORY_LIMIT",
        "KUBERNETES_SERVICE_ACCOUNT_OVERWRITE",
    ],
)
def test_a_variable_that_no_stack_can_allow_is_named(job: Job, name: str) -> None:
    answer = job.run(script(PLAN, pushes=True), "echo on", **{name: "PlantedValue"})

    assert answer.stdout == "on\n"
    assert answer.stderr == f"{name} has no effect: runners.main does not let jobs choose it.\n"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("form", "value", "named"),
    [
        ("dind", "true", True),
        ("dind", "1", True),
        ("dind", "false", False),
        ("kaniko", "true", False),
    ],
)
def test_a_flag_that_would_stop_the_engine_is_named(
    job: Job, form: str, value: str, shell: str, *, named: bool
) -> None:
    plan = dataclasses.replace(FORMS[form].plan(SITE), prepare="")

    answer = job.run(script(plan, pushes=True), shell=shell, FF_KUBERNETES_HONOR_ENTRYPOINT=value)

    assert ("FF_KUBERNETES_HONOR_ENTRYPOINT has no effect" in answer.stderr) is named


def test_the_clusters_own_variables_are_not_named(job: Job) -> None:
    """A pod has them of each Service (kubernetes.io: Accessing the Service)."""
    own = {
        "KUBERNETES_PORT_443_TCP_ADDR": "10.0.0.1",
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "KUBERNETES_SERVICE_PORT": "443",
    }

    assert job.run(script(PLAN, pushes=True), **own).stderr == ""


def test_a_daemon_without_flags_finds_the_settings(job: Job) -> None:
    """As where the job sets BUILDKITD_FLAGS itself; its own settings stay."""
    prepare = FORMS["buildkit"].plan(INSECURE).prepare
    text = prepare.removeprefix(FORMS["buildkit"].plan(SITE).prepare)
    (job.root / "files").mkdir()
    (job.root / "files" / "buildkitd.toml").write_text("the stack's", encoding="utf-8")
    here = text.replace("/etc/image-builds/buildkit", str(job.root / "files"))
    own = job.home / ".config" / "buildkit" / "buildkitd.toml"

    first = job.run(here)
    found = own.read_text(encoding="utf-8")
    own.write_text("the job's", encoding="utf-8")
    job.run(here)

    assert (first.stderr, found) == ("", "the stack's")
    assert own.read_text(encoding="utf-8") == "the job's"
    assert job.run(here, "echo on", HOME="/proc/sys").stdout == "on\n"


def test_a_daemon_of_root_reads_the_settings_of_the_system() -> None:
    assert "settings=/etc/buildkit\n" in FORMS["buildkit-privileged"].plan(INSECURE).prepare
    assert "settings=" not in FORMS["buildkit"].plan(SITE).prepare


def test_settings_of_registries_are_found_in_any_home(job: Job) -> None:
    """As in Podman's image; what an image or a job has there stays."""
    prepare = FORMS["buildah"].plan(INSECURE).prepare
    text = prepare.removeprefix(FORMS["buildah"].plan(SITE).prepare)
    folder = job.root / "files"
    (folder / "certs.d").mkdir(parents=True)
    (folder / "registries.conf").write_text("the stack's", encoding="utf-8")
    here = text.replace("/home/build/.config/containers", str(folder))
    own = job.home / ".config" / "containers"

    answer = job.run(here)

    assert (answer.returncode, answer.stderr) == (0, "")
    assert (own / "registries.conf").read_text(encoding="utf-8") == "the stack's"
    assert (own / "certs.d").is_dir()
    (own / "registries.conf").unlink()
    (own / "registries.conf").write_text("the job's", encoding="utf-8")
    job.run(here)
    assert (own / "registries.conf").read_text(encoding="utf-8") == "the job's"
    assert job.run(here, "echo on", HOME="/proc/sys").stdout == "on\n"
