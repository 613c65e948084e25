"""Secrets planted wherever a user could put one, in real previews whose every output is swept."""

import base64
import contextlib
import json
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from urllib.parse import quote

import pulumi
import pulumi_kubernetes as k8s
import pytest
from pulumi import automation as auto

from commands import preview
from commands.shared.exit_codes import ExitCode
from commands.shared.publishing import TOKEN
from dev.cluster.control_plane import ControlPlane
from dev.toolchain.ensure import installed
from report.inputs import helm
from report.outputs import gitlab
from tests.support.stacks import Site, fresh_site

# One for each place below, in state alone and in the config.
KEPT = [f"planted-in-state-{number:02}" for number in range(14)]
CONFIGURED = [f"planted-in-config-{number:02}" for number in range(24)]
LOGINS = {
    f"registryCredentials__{login}__{field}": f"planted-{login}-{field}"
    for login in ("in", "out")
    for field in ("username", "password")
}
RUNNER_TOKEN = {"runnerTokens__builds": "glrt-planted-token-0001"}
PLANTED = [*KEPT, *CONFIGURED, *LOGINS.values(), *RUNNER_TOKEN.values()]


def _config_map(secrets: Iterator[str]) -> None:
    """Register an object that holds 14 secrets in plain, each in another way."""
    k8s.core.v1.ConfigMap(
        "spilled",
        metadata={
            "namespace": "default",
            "labels": {"label": next(secrets)},
            "annotations": {
                "example.com/plain": next(secrets),
                "example.com/json": json.dumps({"auths": {"host": {"auth": next(secrets)}}}),
                "example.com/url": f"https://somebody:{quote(next(secrets), safe='')}@host/path",
            },
        },
        data={
            next(secrets): "a key",
            "sentence": f"the word is {next(secrets)}, and no other",
            "lines": f"first\n{next(secrets)}\nlast",
            "base64": base64.b64encode(next(secrets).encode()).decode(),
            "in-base64": base64.b64encode(f"somebody:{next(secrets)}".encode()).decode(),
            "config.toml": f'[[runners]]\ntoken = "{next(secrets)}"\nname = "{next(secrets)}"\n',
            "config.yaml": f"runners:\n  - name: {next(secrets)}\n",
            ".env": f"NAME={next(secrets)}\nexport OTHER='{next(secrets)}'\n",
        },
    )


def _workload(secrets: Iterator[str]) -> None:
    """Register objects that hold 7 secrets in plain.

    The provider names them: those of another run may be there.
    """
    k8s.core.v1.Secret(
        "spilled",
        metadata={"namespace": "default"},
        string_data={"plain": next(secrets)},
        data={"base64": base64.b64encode(next(secrets).encode()).decode()},
    )
    k8s.rbac.v1.Role(
        "spilled",
        metadata={"namespace": "default"},
        rules=[
            {
                "api_groups": [""],
                "resources": ["configmaps"],
                "resource_names": [next(secrets)],
                "verbs": ["get"],
            }
        ],
    )
    label = {"app": "spilled"}
    k8s.apps.v1.Deployment(
        "spilled",
        metadata={"namespace": "default"},
        spec={
            "selector": {"match_labels": label},
            "template": {
                "metadata": {"labels": label},
                "spec": {
                    "containers": [
                        {
                            "name": "main",
                            "image": f"example.com/{next(secrets)}:v1",
                            "args": ["--login", next(secrets)],
                            "env": [{"name": "PLAIN", "value": next(secrets)}],
                            "command": ["sh", "-c", f"login -p '{next(secrets)}'"],
                        }
                    ]
                },
            },
        },
    )


def _before(run: Callable[[], None]) -> Callable[[], None]:
    """What is deployed: secrets that only the state knows, and the same in plain."""

    def program() -> None:
        run()
        _config_map(iter(KEPT))
        pulumi.export("kept", pulumi.Output.secret(KEPT))

    return program


def _after(run: Callable[[], None], *, fails: bool) -> Callable[[], None]:
    """What is previewed: secrets that only the config knows, in plain in every place."""

    def program() -> None:
        run()
        secrets = iter(CONFIGURED)
        _config_map(secrets)
        _workload(secrets)
        pulumi.export("spilled", next(secrets))
        pulumi.export("nested", {"list": [next(secrets)]})
        pulumi.log.warn(f"beware of {next(secrets)}")
        if fails:
            pulumi.log.error(f"it is {CONFIGURED[0]} and {KEPT[0]}")
            # The API server quotes what it refuses.
            k8s.core.v1.ConfigMap(
                "refused",
                metadata={"name": "refused", "namespace": "default"},
                data={f"{CONFIGURED[1]} {KEPT[1]}": ""},
            )
            message = f"no such thing: {PLANTED}"
            raise ValueError(message)

    return program


@pytest.fixture(scope="module")
def planted(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A stack whose config and state hold all of them, and which spills all of them."""
    with (
        pytest.MonkeyPatch.context() as patch,
        fresh_site(control_plane, tmp_path_factory.mktemp("planted")) as site,
    ):
        site.plant(**LOGINS, **RUNNER_TOKEN)
        open_alone = site.stack.open

        @contextlib.contextmanager
        def opened(strategy: str = "") -> Generator[auto.Stack]:
            with open_alone(strategy) as stack:
                secret = auto.ConfigValue(json.dumps(CONFIGURED), secret=True)
                stack.set_config("image-builds:planted", secret)
                yield stack

        patch.setattr(site.stack, "open", opened)
        run = site.stack.run
        patch.setattr(site.stack, "run", _before(run))
        site.write(
            "kaniko", runner={"environment": {"SPILLED": KEPT[0], "OTHER": f"x {KEPT[1]} y"}}
        )
        assert "failed" not in site.up().operations
        patch.setattr(site.stack, "run", run)
        spilled = {f"SPILLED_{number}": value for number, value in enumerate(PLANTED)}
        site.write("kaniko", runner={"environment": spilled})
        yield site


@pytest.mark.parametrize("fails", [False, True])
def test_no_output_of_a_real_preview_holds_a_planted_secret(
    planted: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    fails: bool,
) -> None:
    sent: list[str] = []

    def find() -> Path | None:
        found = installed("helm")
        return found and found.file

    def publish(*given: object) -> None:
        sent.extend(map(str, given))

    def label(*given: object, wanted: bool) -> None:
        sent.append(f"{given} {wanted}")

    monkeypatch.setattr(planted.stack, "run", _after(planted.stack.run, fails=fails))
    monkeypatch.setattr(helm, "find", find)
    monkeypatch.setattr(gitlab, "publish_note", publish)
    monkeypatch.setattr(gitlab, "label", label)
    for name in ("CI_MERGE_REQUEST_IID", "CI_SERVER_URL", "CI_PROJECT_ID", TOKEN):
        monkeypatch.setenv(name, "7")

    with planted.stack.open() as stack:
        code = preview.run(stack, output=tmp_path / "out")

    printed = capfd.readouterr()
    outputs = {file.name: file.read_text("utf-8") for file in (tmp_path / "out").iterdir()}
    outputs |= {"stdout": printed.out, "stderr": printed.err, "GitLab": "\n".join(sent)}
    assert len(PLANTED) > 30
    assert len(outputs) == 8
    # What is spilled into values is against a rule.
    assert code == (ExitCode.FAILED if fails else ExitCode.RISK_RAISED)
    assert {name for name, text in outputs.items() for secret in PLANTED if secret in text} == set()
    encoded = [base64.b64encode(secret.encode()).decode().rstrip("=") for secret in PLANTED]
    assert {name for name, text in outputs.items() for item in encoded if item in text} == set()
    # What was swept is there: the report names each place, without its value.
    assert fails or outputs["note.md"].count("[secret]") > len(PLANTED)
