"""The stack file of a merge request under the program of this checkout."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from report.errors import ReportError
from report.inputs.proposal import settings_of

SETTINGS = "image-builds:settings"
TOKENS = "image-builds:runnerTokens"
RISKS = "image-builds:acceptedRisks"
ENCRYPTED = {"secure": "v1:nonce:ciphertext"}
OWN: dict[str, Any] = {
    "encryptionsalt": "v1:salt",
    "config": {
        "kubernetes:context": "prod",
        SETTINGS: {"namespace": "old"},
        RISKS: {"a/b/c": "because"},
        TOKENS: {"builds": ENCRYPTED},
    },
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The stack file of this checkout."""
    return _write(tmp_path / "own", OWN)


def _write(folder: Path, content: object) -> Path:
    folder.mkdir()
    file = folder / "Pulumi.prod.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def _read(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def test_settings_and_secrets_are_taken_for_a_while(own: Path, tmp_path: Path) -> None:
    tokens = {"builds": ENCRYPTED, "more": ENCRYPTED}
    config = {"kubernetes:context": "prod", SETTINGS: {"namespace": "new"}, TOKENS: tokens}
    proposed = _write(tmp_path / "other", {"encryptionsalt": "v1:salt", "config": config})

    with settings_of(proposed, own) as gaps:
        assert _read(own) == {"encryptionsalt": "v1:salt", "config": config}

    assert _read(own) == OWN
    assert len(gaps) == 1
    assert "that of the default branch ran" in gaps[0]


@pytest.mark.parametrize(
    ("top", "config"),
    [
        ({}, {"kubernetes:kubeconfig": "users: [{user: {exec: {command: sh}}}]"}),
        ({}, {"kubernetes:context": "another"}),
        ({}, {"gitlab:baseUrl": "https://evil.example.com"}),
        ({}, {"pulumi:template": "x"}),
        ({"secretsprovider": "awskms://evil"}, {}),
        ({"environment": ["evil"]}, {}),
        ({"encryptionsalt": "v1:other"}, {}),
    ],
)
def test_what_can_run_or_send_something_is_not_taken(
    own: Path, tmp_path: Path, top: dict[str, Any], config: dict[str, Any]
) -> None:
    """The report says so."""
    proposed = _write(
        tmp_path / "other", {**OWN, **top, "config": {**OWN["config"], **config, SETTINGS: {}}}
    )

    with settings_of(proposed, own) as gaps:
        assert _read(own) == {**OWN, "config": {**OWN["config"], SETTINGS: {}}}

    (key,) = {**top, **config}
    assert [gap for gap in gaps if gap.startswith(f"the change of {key}: ")] == list(gaps[1:])
    assert len(gaps) == 2


@pytest.mark.parametrize("key", [SETTINGS, RISKS])
def test_no_secret_gets_another_name(own: Path, tmp_path: Path, key: str) -> None:
    proposed = _write(tmp_path / "other", {"config": {key: {"x": [{"y": ENCRYPTED}]}}})

    with pytest.raises(ReportError, match=f"{key}: must not have encrypted values"):
        settings_of(proposed, own).__enter__()
    assert _read(own) == OWN


def test_a_secret_in_plain_text_is_refused(own: Path, tmp_path: Path) -> None:
    proposed = _write(tmp_path / "other", {"config": {TOKENS: {"builds": "hunter2"}}})

    with pytest.raises(ReportError, match="builds: is in plain text in Pulumi"):
        settings_of(proposed, own).__enter__()


def test_a_stack_that_is_new_has_no_program_to_run(tmp_path: Path) -> None:
    proposed = _write(tmp_path / "other", OWN)

    with pytest.raises(ReportError, match="does not exist"):
        settings_of(proposed, tmp_path / "Pulumi.prod.yaml").__enter__()


def test_a_file_that_is_a_list_has_no_settings(own: Path, tmp_path: Path) -> None:
    with settings_of(_write(tmp_path / "other", []), own):
        assert SETTINGS not in _read(own)["config"]


def test_the_file_is_put_back_when_the_preview_fails(own: Path, tmp_path: Path) -> None:
    proposed = _write(tmp_path / "other", {"config": {SETTINGS: {"namespace": "new"}}})

    with pytest.raises(KeyError), settings_of(proposed, own):
        raise KeyError
    assert _read(own) == OWN
