"""Tokens and logins in Secrets that others keep, and images of a mirror with their login."""

import json
from typing import Any

import pytest

from report.inputs.recorder import plain
from tests.support.configured import SECRETS, SETTINGS, configure, replace_values
from tests.support.managers import deployed, of_kind, values_of
from tests.support.rejections import assert_rejected, assert_says, change, reject

SECRET = "kubernetes:core/v1:Secret"
NO_TOKENS = replace_values(SECRETS, {"runnerTokens": {}})
TOKEN_OF_OTHERS: dict[str, Any] = {
    "runners.main.registration": {"kind": "secret", "name": "runner-token"}
}
LOGINS_OF_OTHERS: dict[str, Any] = {
    "registries": [{"host": "r.example.com", "pullSecret": "pulls", "pushSecret": "pushes"}]
}
MIRROR = "mirror.example.com/gitlab-org"
DIGEST = f"sha256:{'a' * 64}"


class TestToken:
    def test_a_manager_reads_the_secret_that_others_keep(self) -> None:
        values = values_of(TOKEN_OF_OTHERS, NO_TOKENS)

        assert values["runners"]["secret"] == "runner-token"
        assert values["podAnnotations"] == {}

    def test_reloader_restarts_managers_when_it_changes(self) -> None:
        values = values_of(TOKEN_OF_OTHERS, NO_TOKENS)

        assert values["deploymentAnnotations"] == {
            "secret.reloader.stakater.com/reload": "runner-token"
        }

    def test_the_stack_has_no_object_for_it(self) -> None:
        registered = deployed(TOKEN_OF_OTHERS, NO_TOKENS)

        names = {
            item.name for item in registered if item.type.endswith((":Secret", ":Registration"))
        }
        assert "main-token" not in names
        assert "main" not in names

    def test_a_token_beside_it_is_rejected(self) -> None:
        configure(replace_values(SETTINGS, TOKEN_OF_OTHERS), SECRETS)

        advice = "is never used, since registration of that runner is secret"
        assert_says(reject(), "image-builds:runnerTokens.main", advice)

    def test_two_runners_never_have_the_same_one(self) -> None:
        runner = {"tags": ["x"], "registration": TOKEN_OF_OTHERS["runners.main.registration"]}
        settings = replace_values(SETTINGS, {**TOKEN_OF_OTHERS, "runners.other": runner})

        configure(settings, NO_TOKENS)

        assert_says(reject(), "runners.other.registration.name", "that of runners.main too")


class TestLogins:
    def test_the_stack_makes_no_secret_in_place_of_them(self) -> None:
        names = {item["metadata"]["name"] for item in of_kind(deployed(LOGINS_OF_OTHERS), SECRET)}

        assert names == {"gitlab-runner-main-token"}

    def test_jobs_pull_and_push_by_them(self) -> None:
        config = values_of(LOGINS_OF_OTHERS)["runners"]["config"]

        assert 'image_pull_secrets = ["pulls"]' in config
        assert 'name = "pushes"\nmount_path = "/etc/image-builds/docker"' in config

    def test_they_stand_beside_those_of_the_stack(self) -> None:
        registry = {"host": "other.example.com", "pullSecret": "pulls"}
        changes = {"registries": [*SETTINGS["registries"], registry]}

        config = values_of(changes)["runners"]["config"]

        assert 'image_pull_secrets = ["registry-pull", "pulls"]' in config
        assert 'name = "registry-push"' in config

    @pytest.mark.parametrize(
        ("text", "key", "advice"),
        [
            (
                "[{host: a.example, pull: in, pullSecret: x}]",
                "registries[0]",
                "must not have both pull and pullSecret",
            ),
            (
                "[{host: a.example, pushSecret: x}, {host: b.example, push: out}]",
                "registries[1].push",
                "put all logins that push into that Secret",
            ),
            (
                "[{host: a.example, pushSecret: x}, {host: b.example, pushSecret: y}]",
                "registries[1].pushSecret",
                "is not x, and tools read one file",
            ),
            (
                "[{host: a.example/team, pushSecret: x}]",
                "registries[0].pushSecret",
                "finds logins by host alone",
            ),
            ("[{host: a.example, pushSecret: X}]", "registries[0].pushSecret", "a DNS name"),
        ],
    )
    def test_what_cannot_serve_is_rejected(self, text: str, key: str, advice: str) -> None:
        assert_rejected(change(f"registries: {text}"), key, advice)


class TestImages:
    def test_a_mirror_serves_managers_and_the_helper(self) -> None:
        values = values_of({"chart.images": {"registry": MIRROR}})

        assert values["image"] == {"registry": MIRROR, "image": "gitlab-runner"}
        helper = f"{MIRROR}/gitlab-runner/gitlab-runner-helper:x86_64-v19.5.1"
        assert f'helper_image = "{helper}"' in values["runners"]["config"]
        assert "imagePullSecrets" not in values

    def test_the_helper_is_of_the_processors_of_the_nodes(self) -> None:
        changes = {
            "chart.images": {"registry": MIRROR},
            "runners.main.nodeSelector": {"kubernetes.io/arch": "arm64"},
        }

        assert "gitlab-runner-helper:arm64-v" in values_of(changes)["runners"]["config"]

    @pytest.mark.parametrize(
        ("image", "name", "tag"),
        [
            ("m.example/run:v1", "m.example/run", "v1"),
            (f"m.example/run:v1@{DIGEST}", "m.example/run", f"v1@{DIGEST}"),
            (f"m.example/run@{DIGEST}", "m.example/run@sha256", "a" * 64),
        ],
        ids=["tag", "tag and digest", "digest"],
    )
    def test_an_image_of_managers_is_put_together_by_the_chart(
        self, image: str, name: str, tag: str
    ) -> None:
        values = values_of({"chart.managerImage": image})

        assert values["image"] == {"registry": "", "image": name, "tag": tag}
        assert "helper_image" not in values["runners"]["config"]

    def test_an_image_of_the_helper_outranks_the_mirror(self) -> None:
        changes = {"chart.images": {"registry": MIRROR}, "chart.helperImage": "m.example/help:v1"}

        assert 'helper_image = "m.example/help:v1"' in values_of(changes)["runners"]["config"]

    def test_their_login_is_where_managers_and_jobs_are(self) -> None:
        images = {"registry": MIRROR, "pull": "in"}
        changes: dict[str, Any] = {"registries": [], "chart.images": images}

        logins = {
            item["metadata"]["namespace"]: list(
                json.loads(plain(item["stringData"])[".dockerconfigjson"])["auths"]
            )
            for item in of_kind(deployed(changes), SECRET)
            if item["metadata"]["name"] == "registry-pull"
        }

        assert logins == {"builds": ["mirror.example.com"], "builds-main": ["mirror.example.com"]}
        assert values_of(changes)["imagePullSecrets"] == [{"name": "registry-pull"}]

    @pytest.mark.parametrize(
        ("text", "key", "advice"),
        [
            ("images: {pull: in}", "chart", "must not have images.pull without an image"),
            ("images: {registry: 'm.example/x:v1'}", "chart.images.registry", "remove tag"),
            ("managerImage: 'm.example/x'", "chart.managerImage", "must be pinned"),
            (
                "version: 0.99.0, images: {registry: m.example/x}",
                "chart",
                "must have helperImage with images.registry",
            ),
        ],
    )
    def test_what_cannot_be_pulled_is_rejected(self, text: str, key: str, advice: str) -> None:
        assert_rejected(change(f"chart: {{{text}}}"), key, advice)

    def test_a_missing_login_is_asked_for(self) -> None:
        configure(change(f"chart.images: {{registry: {MIRROR}, pull: gone}}"), SECRETS)

        assert_says(
            reject(),
            "image-builds:registryCredentials.gone",
            "is missing, and settings.chart.images.pull names it",
        )
