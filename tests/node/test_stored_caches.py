"""Caches of jobs are kept in S3; only the real gitlab-runner signs and stores them."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.gitlab_runner import authorities
from components.settings.runners.runner import RunnerSettings
from dev.node.machine import HOST
from dev.node.node import Node
from dev.toolchain.gitlab_runner import VARIABLE
from tests.support.kubernetes import core_v1
from tests.support.node.jobs import Pipeline, Result, Runner
from tests.support.node.keys import keyed
from tests.support.node.real import BINARY, RealRunner
from tests.support.storage import BUCKET, KEY, REGION, SECRET, Storage, storing

pytestmark = [
    pytest.mark.parametrize("name", ["small"]),
    pytest.mark.skipif(
        BINARY is None, reason=f"no gitlab-runner is on PATH; name one in {VARIABLE}"
    ),
]
CACHE = {"key": "npm", "paths": ["kept/"], "policy": "pull-push", "when": "on_success"}
LOGIN = {"CACHE_S3_ACCESS_KEY": KEY, "CACHE_S3_SECRET_KEY": SECRET}
"""What the chart makes of the Secret with the login (chart: templates/configmap.yaml)."""
# What a job could find of its manager's login.
SEARCH = "env; cat /proc/*/environ /proc/*/cmdline 2>&- | tr '\\0' '\\n'; mount"


@pytest.fixture
def storage(node: Node, runner: Callable[..., Runner], tmp_path: Path) -> Iterator[Storage]:
    """Serve the bucket, whose CA is where the stack would put caCertificates."""
    namespace = runner("small").namespace
    with storing(HOST, tmp_path) as found, node.cluster.api() as api:
        data = {authorities.FILE: found.certificate}
        body: Any = {"metadata": {"name": authorities.CONFIG_MAP}, "data": data}
        core_v1(api).create_namespaced_config_map(namespace, body)
        yield found
        core_v1(api).delete_namespaced_config_map(authorities.CONFIG_MAP, namespace)


def _run(
    found: RealRunner, storage: Storage, token: str, lines: list[str], *, shared: bool = False
) -> Result:
    """Run a job with a cache on the runner that has this token."""
    cache = {
        "kind": "s3",
        "bucket": BUCKET,
        "region": REGION,
        "endpoint": f"https://{storage.address}",
        "credentials": "minio",
        "shared": shared,
    }
    keys = {"tags": ["x"], "cache": cache, "caCertificates": storage.certificate}
    keyed(found, RunnerSettings.model_validate(keys))
    hosts = [{"ip": HOST, "hostnames": [storage.address.partition(":")[0]]}]
    found.table["kubernetes"]["host_aliases"] = hosts
    found.variables = LOGIN
    found.token = token
    result = found.run(Pipeline(script=lines, files={}, cache=[CACHE]))
    assert SECRET not in result.trace
    return dataclasses.replace(result, trace=result.trace.replace("\r", ""))


def test_a_job_finds_the_cache_of_an_earlier_one(
    name: str, runner: Callable[..., RealRunner], tag: str, storage: Storage
) -> None:
    """Runners have separate ones, and neither has the login of its manager."""
    found = runner(name)
    write = ["test ! -e kept", f"mkdir kept && echo {tag} >kept/file", SEARCH]

    first = _run(found, storage, "glrt-ProtectedBranches", write)
    second = _run(found, storage, "glrt-ProtectedBranches", ["cat kept/file", SEARCH])
    apart = _run(found, storage, "glrt-AllOtherBranches", ["test ! -e kept"])

    assert [item.status for item in (first, second, apart)] == ["success"] * 3
    assert f"\n{tag}\n" in second.trace
    (key,) = storage.objects
    assert key.endswith("/npm")


def test_runners_share_caches_only_where_the_stack_file_says_so(
    name: str, runner: Callable[..., RealRunner], tag: str, storage: Storage
) -> None:
    found = runner(name)

    write = _run(found, storage, "glrt-OneOfThem", [f"mkdir kept; echo {tag} >kept/f"], shared=True)
    read = _run(found, storage, "glrt-TheOtherOne", ["cat kept/f"], shared=True)

    assert [write.status, read.status] == ["success"] * 2
    assert f"\n{tag}\n" in read.trace
