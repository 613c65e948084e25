import pytest
from pulumi import automation as auto
from pulumi.automation import CommandResult

from dev import local


@pytest.mark.parametrize(
    ("stderr", "told"),
    [
        ("error: incorrect passphrase\n", "dev: up failed: incorrect passphrase"),
        ("", "dev: up failed, see above"),
    ],
    ids=["the-cli-before-the-engine-runs", "the-engine-on-its-output"],
)
def test_whoever_said_why_it_failed_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stderr: str,
    told: str,
) -> None:
    def run(*_: object) -> None:
        raise auto.CommandError(CommandResult(stdout="much", stderr=stderr, code=255))

    monkeypatch.setattr(local, "_run", run)

    assert local.main(["up"]) == 1
    assert capsys.readouterr().err == f"{told}\n"
