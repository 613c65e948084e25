"""Secrets planted wherever a user could put one, and every output swept for them."""

import base64
import json
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pulumi
import pytest
import tomlkit
from pulumi import automation as auto

from commands import preview
from commands.shared.publishing import TOKEN
from report.outputs import gitlab
from tests.support.harness import deploy
from tests.support.previews import diagnostic, pre_event, prelude, stack

MARK = "4dabf18193072939515e22adb298388d"
MARKED = "1b47061264138c4ac30d75fd1eb44270"
URN = "urn:pulumi:dev::image-builds::"
RELEASE = "kubernetes:helm.sh/v3:Release"
SECRETS = [f'planted-{number:02}-s3cret/"value"' for number in range(32)]
CONFIGURED, KEPT = SECRETS[:16], SECRETS[16:]


def _everywhere(secrets: list[str]) -> dict[str, Any]:
    """A release that holds the secrets, none of them marked, in every place that there is."""
    spelled = iter(secrets)
    toml = {
        "environment": [f"PLAIN={next(spelled)}", f"OTHER={next(spelled)}"],
        "pre_build_script": f"docker login -p '{next(spelled)}'\necho {next(spelled)}",
        "kubernetes": {"namespace": "ns", "image": f"a:{next(spelled)}", next(spelled): "a key"},
    }
    return {
        "name": "release",
        "version": next(spelled),
        "values": {
            "runners": {"config": tomlkit.dumps({"runners": [toml]})},
            "podAnnotations": {"note": next(spelled), next(spelled): "a key"},
            "list": [next(spelled), {"deep": {"deeper": [next(spelled)]}}],
            "encoded": base64.b64encode(next(spelled).encode()).decode(),
            "inUrl": f"https://user:{quote(next(spelled), safe='')}@host",
            "inJson": json.dumps({"auths": {"host": {"auth": next(spelled)}}}),
            "lines": f"first\n{next(spelled)}\nlast",
            "env": [{"name": "PLAIN", "value": next(spelled)}],
        },
    }


class PlantedStack:
    """A stack whose config and state know the secrets, and whose preview spills them."""

    name = "dev"

    def __init__(self, *, fails: bool) -> None:
        """Say whether the program fails and prints them all."""
        self.fails = fails

    @property
    def workspace(self) -> "PlantedStack":
        return self

    def program(self) -> None:
        """Register nothing: what the engine says of it is given below."""

    def export_stack(self) -> auto.Deployment:
        marked = [{MARK: MARKED, "plaintext": json.dumps(secret)} for secret in KEPT]
        resource = {"urn": URN, "type": "kubernetes:core/v1:Secret", "outputs": {"all": marked}}
        return auto.Deployment(version=3, deployment={"resources": [resource]})

    def preview(self, on_event: Any, program: Any) -> None:  # noqa: ANN401 - callbacks
        tree = {str(index): {"password": secret} for index, secret in enumerate(CONFIGURED[1:])}
        values = {"image-builds:registryCredentials": json.dumps(tree)}
        values["image-builds:single"] = CONFIGURED[0]
        pulumi.runtime.set_all_config(values, list(values))
        deploy(program, preview=True)
        on_event(prelude({"image-builds:settings": json.dumps({"runners": _everywhere(KEPT)})}))
        strategies = {"r": {"strategy": CONFIGURED[1]}}
        on_event(stack({"runners": {"r": {"strategy": "kaniko"}}}, {"runners": strategies}))
        old, new = _everywhere(CONFIGURED), _everywhere(KEPT)
        on_event(pre_event("update", f"{URN}{RELEASE}::r", RELEASE, old=old, new=new))
        for index, secret in enumerate(SECRETS):
            kind = f"kubernetes:core/v1:Kind{index}"
            path = [f'data["{secret}"]']
            for operation in ("create", "delete"):
                name = f"{operation}-{secret}"
                given = {"metadata": {"name": secret, "labels": {"l": secret}}, "kind": "Namespace"}
                side = {"new" if operation == "create" else "old": given}
                urn = f"{URN}{kind}::{name}"
                on_event(pre_event(operation, urn, kind, diff=path, **cast("Any", side)))
        if self.fails:
            text = "\n".join(SECRETS)
            on_event(
                diagnostic(f"Traceback (most recent call last):\n{text}", urn=f"{URN}x::{text}")
            )
            on_event(diagnostic(f"1 error in the config of this stack; nothing:\na: {text}"))
            raise auto.CommandError(cast("Any", text))


@pytest.mark.parametrize("fails", [False, True])
def test_no_planted_secret_is_in_any_output(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    fails: bool,
) -> None:
    sent: list[str] = []

    def publish(*given: object) -> None:
        sent.append(str(given[-1]))

    def label(*_: object, wanted: bool) -> None:
        sent.append(str(wanted))

    monkeypatch.setattr(gitlab, "publish_note", publish)
    monkeypatch.setattr(gitlab, "label", label)
    for name in ("CI_MERGE_REQUEST_IID", "CI_SERVER_URL", "CI_PROJECT_ID", TOKEN):
        monkeypatch.setenv(name, "7")

    code = preview.run(cast("auto.Stack", PlantedStack(fails=fails)), output=tmp_path)

    printed = capsys.readouterr()
    outputs = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    outputs |= {"stdout": printed.out, "stderr": printed.err, "GitLab": "\n".join(sent)}
    assert len(outputs) == 8
    assert code == 1 if fails else code in {2, 3}
    found = {
        (name, secret)
        for name, text in outputs.items()
        for secret in SECRETS
        # The number alone would give nothing away.
        if secret.partition('"')[0] in text or secret.split("-", 1)[1] in text
    }
    assert found == set()
    assert fails or "[secret]" in outputs["note.md"]
