"""Who gets the proxy of a stack file, and what is reached without it."""

import itertools
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from components.bounds import Resources
from components.gitlab_runner import before_job
from tests.support.configured import CERTIFICATE, FORMS, SITE, STRATEGIES
from tests.support.managers import deployed, of_kind, values_of
from tests.support.rejections import assert_rejected, change
from tests.support.runners import NAMES

OWN = "localhost,127.0.0.1,::1,.svc,.cluster.local"
PROXY = "http://proxy.example.com:3128"
SITE_PROXY: dict[str, Any] = {"proxy": {"http": PROXY, "https": PROXY, "except": [".example.com"]}}
NONE_NEAR: dict[str, Any] = {**SITE_PROXY, "registries": []}


def _environment(changes: dict[str, Any]) -> dict[str, str]:
    (runner,) = tomllib.loads(values_of(changes)["runners"]["config"])["runners"]
    pairs = (entry.partition("=") for entry in runner["environment"])
    return {name: value for name, _, value in pairs if name.lower().endswith("_proxy")}


def _variables(exceptions: str) -> dict[str, str]:
    return {
        name: value
        for pair in (("HTTP_PROXY", PROXY), ("HTTPS_PROXY", PROXY), ("NO_PROXY", exceptions))
        for name, value in ((pair[0], pair[1]), (pair[0].lower(), pair[1]))
    }


def test_without_a_proxy_nothing_is_set() -> None:
    assert _environment({}) == {}
    assert "extraEnv" not in values_of({})


def test_jobs_have_it_in_both_spellings() -> None:
    assert _environment(NONE_NEAR) == _variables(f"{OWN},.example.com")


def test_a_manager_reaches_its_api_server_without_it() -> None:
    """The kubelet puts the address in (kubernetes:pkg/kubelet/kubelet_pods.go)."""
    exceptions = f"{OWN},$(KUBERNETES_SERVICE_HOST),.example.com"

    assert values_of(NONE_NEAR)["extraEnv"] == _variables(exceptions)


def test_a_variable_of_a_runner_outranks_it() -> None:
    changes = {**NONE_NEAR, "runners.main.environment": {"https_proxy": "http://other:1"}}

    assert _environment(changes)["https_proxy"] == "http://other:1"


def test_one_proxy_alone_leaves_the_other_kind_alone() -> None:
    found = _environment({"proxy": {"https": PROXY}, "registries": []})

    assert found.keys() == {"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"}


@pytest.mark.parametrize(
    ("registry", "near"),
    [
        ({"host": "r.example.com:5000", "insecure": True}, "r.example.com"),
        ({"host": "10.1.2.3:5000"}, "10.1.2.3"),
        ({"host": "192.0.2.7"}, None),
        ({"host": "r.example.com", "caCertificates": CERTIFICATE}, None),
    ],
    ids=["plain http", "private address", "public address", "behind a proxy that inspects"],
)
def test_registries_of_the_site_are_reached_without_it(
    registry: dict[str, Any], near: str | None
) -> None:
    found = _environment({"proxy": {"https": PROXY}, "registries": [registry]})

    assert found["NO_PROXY"] == (f"{OWN},{near}" if near else OWN)


def test_a_mirror_at_a_private_address_is_reached_without_it() -> None:
    changes = {"proxy": {"https": PROXY}, "registries": [], "registryMirrors": ["10.9.9.9:5000"]}

    assert _environment(changes)["NO_PROXY"] == f"{OWN},10.9.9.9"


def test_the_engine_of_a_job_is_reached_without_it() -> None:
    changes = {**NONE_NEAR, "runners.main.strategy": STRATEGIES["dind-tls"]}

    assert _environment(changes)["NO_PROXY"] == f"{OWN},docker,.example.com"


def test_the_shared_daemon_has_it() -> None:
    registered = deployed({**NONE_NEAR, "runners.main.strategy": "buildkit-service"})

    (daemon,) = of_kind(registered, "kubernetes:apps/v1:Deployment")
    (container,) = daemon["spec"]["template"]["spec"]["containers"]
    assert {item["name"]: item["value"] for item in container["env"]} == _variables(
        f"{OWN},.example.com"
    )


def _script(name: str, *, proxied: bool) -> str:
    return before_job.script(FORMS[name].plan(SITE), Resources(), NAMES, {}, proxied=proxied)


def test_jobs_that_call_the_api_server_reach_it_without_it() -> None:
    text = _script("deploy", proxied=True)
    environment = {"NO_PROXY": "a", "no_proxy": "a", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}

    said = subprocess.run(
        ["/bin/sh", "-c", f'{text}\necho "$NO_PROXY $no_proxy"'],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", **environment},
    )

    assert said.stdout == "a,10.0.0.1 a,10.0.0.1\n"


@pytest.mark.parametrize(("name", "proxied"), [("deploy", False), ("kaniko", True)])
def test_other_jobs_need_no_exception_for_it(name: str, *, proxied: bool) -> None:
    assert "KUBERNETES_SERVICE_HOST" not in _script(name, proxied=proxied)


def test_the_builder_of_buildx_has_the_proxy_of_its_job(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >>"$0.log"\n')
    docker.chmod(0o755)
    environment = {"https_proxy": PROXY, "no_proxy": "a,b", "CI_JOB_ID": "7"}

    subprocess.run(
        ["/bin/sh", "-ec", FORMS["buildx"].plan(SITE).prepare],
        check=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", **environment},
    )

    said = tmp_path.joinpath("docker.log").read_text().splitlines()
    options = [value for flag, value in itertools.pairwise(said) if flag == "--driver-opt"]
    # A value with commas is quoted, as in CSV.
    assert options[1:] == [f'"env.https_proxy={PROXY}"', '"env.no_proxy=a,b"']


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("{}", "proxy", "must have http or https"),
        ("{https: 'http://u:p@proxy.example.com:3128'}", "proxy.https", "not contain credentials"),
        ("{https: 'proxy.example.com:3128'}", "proxy.https", "must be a URL"),
        ("{https: 'http://p:1', except: ['*']}", "proxy.except[0]", "without a scheme or '*'"),
        ("{https: 'http://p:1', except: ['https://a']}", "proxy.except[0]", "must be a host"),
        ("{https: 'http://p:1', except: ['a,b']}", "proxy.except[0]", "must be a host"),
    ],
)
def test_a_proxy_is_checked(text: str, key: str, advice: str) -> None:
    assert_rejected(change(f"proxy: {text}"), key, advice)


def test_jobs_must_be_able_to_reach_it() -> None:
    settings = change("proxy: {https: 'http://10.1.1.1:3128'}, network: {egress: {private: false}}")

    assert_rejected(settings, "proxy.https", "which network.egress keeps jobs from")
