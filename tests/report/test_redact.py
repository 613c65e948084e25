import base64
import json

import pytest

from report.redact import SECRET, UNKNOWN, Scrubber, clean, config_secrets, secrets_of

MARK = "4dabf18193072939515e22adb298388d"
MARKED = "1b47061264138c4ac30d75fd1eb44270"
VALUE = 'pass/word "with" ünusual\nsecond line'


@pytest.mark.parametrize(
    "spelled",
    [
        VALUE,
        "second line",
        json.dumps(VALUE),
        base64.b64encode(VALUE.encode()).decode(),
        "pass%2Fword%20%22with%22%20%C3%BCnusual",
    ],
)
def test_a_secret_is_taken_out_however_it_is_spelled(spelled: str) -> None:
    assert "word" not in Scrubber([VALUE])(f"before {spelled} after")
    assert "second" not in Scrubber([VALUE])(f"before {spelled} after")


def test_a_short_secret_is_taken_out_only_where_it_stands_alone() -> None:
    assert Scrubber(["abc"])("abc abcd x.abc") == f"{SECRET} abcd x.{SECRET}"


@pytest.mark.parametrize(
    "text",
    [
        "glrt-SomeTokenOfARunner",
        "https://user:hunter2hunter2@example.com",
        "API_TOKEN=hunter2hunter2",
        "MY_SECRET=hunter2hunter2",
    ],
)
def test_an_obvious_secret_is_replaced_without_a_mark(text: str) -> None:
    cleaned = Scrubber()(text)

    assert SECRET in cleaned
    assert "hunter2" not in cleaned
    assert "SomeToken" not in cleaned


def test_ordinary_text_stays() -> None:
    text = "FF_DISABLE_AUTOMATIC_TOKEN_ROTATION = true, https://example.com/a@b"

    assert Scrubber([""])(text) == text


def test_marked_values_never_get_through() -> None:
    value = {
        "secret": {MARK: MARKED, "ciphertext": "[secret]", "plaintext": '"planted"'},
        "list": [{MARK: MARKED, "value": "planted"}],
        "asset": {MARK: "c44067f5952c0a294b673a41bacd8c17"},
        "password": "planted",
        "env": [{"name": "API_TOKEN", "value": "planted"}],
        "__inputs": {"token": "planted"},
        "unknown": "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "count": 3,
    }

    cleaned = clean(value, Scrubber())

    assert "planted" not in json.dumps(cleaned)
    assert cleaned["unknown"] == UNKNOWN
    assert cleaned["count"] == 3
    assert cleaned["asset"] == "(a file)"
    assert clean({MARK: MARKED, "plaintext": '"planted"'}, Scrubber()) == {"value": SECRET}


def test_secrets_of_a_state_are_found_leaf_by_leaf_and_decoded() -> None:
    login = json.dumps({"auths": {"host": {"password": "in-a-file"}}})
    held = {
        "token": "plain",
        "list": ["listed", 3],
        "file": base64.b64encode(login.encode()).decode(),
        "empty": "",
    }
    state = [
        {"outputs": {"data": {MARK: MARKED, "plaintext": json.dumps(held)}, "kind": "Secret"}},
        {"outputs": {"__inputs": {MARK: MARKED, "plaintext": '{"name": "not a secret"}'}}},
    ]

    found = set(secrets_of(state))

    assert {"plain", "listed", "in-a-file"} <= found
    assert not {"not a secret", "Secret"} & found


def test_secret_config_counts_leaf_by_leaf_and_as_a_whole() -> None:
    assert set(config_secrets('{"a": {"b": "leaf"}}')) == {"leaf", '{"a": {"b": "leaf"}}'}
    assert list(config_secrets("{no json")) == ["{no json"]
