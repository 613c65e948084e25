"""Waits until a control plane can be used."""

import contextlib
import http
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from dev.background import end_of
from dev.cluster.kubeconfig import NAME
from dev.cluster.processes import Processes
from dev.errors import DevError
from dev.files import fill
from dev.toolchain.cache import architecture

_PATIENCE = 60.0


class ClusterError(DevError):
    """The cluster cannot be started or used; the message says why and what to do."""


def wait(what: str, ready: Callable[[], bool], processes: Processes, needed: Sequence[str]) -> None:
    """Wait until ``ready``, as long as the needed programs run.

    Raises:
        ClusterError: one of them ended, or 60 s have passed.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        with contextlib.suppress(ApiException, HTTPError):
            if ready():
                return
        running = processes.running()
        dead = [name for name in needed if name not in running]
        if dead or time.monotonic() > deadline:
            name = dead[0] if dead else "kube-apiserver"
            reason = f"{name} ended" if dead else f"{what} is not ready after {_PATIENCE:.0f} s"
            log = processes.log(name)
            message = (
                f"the local cluster did not start: {reason}; see {log}, which ends with:\n"
                f"{end_of(log)}\nthen run make cluster-down and make cluster-up"
            )
            raise ClusterError(message)
        time.sleep(0.1)


def has_api(api: client.ApiClient, server: str) -> bool:
    """Whether the API server is ready."""
    answer = cast("Any", api).call_api("GET", f"{server}/readyz", _request_timeout=2)
    return bool(answer.status == http.HTTPStatus.OK)


def has_account(api: client.ApiClient) -> bool:
    """Whether pods can be created, which need the default account; raises where it is missing."""
    core = cast("Any", client.CoreV1Api(api))
    core.read_namespaced_service_account("default", "default", _request_timeout=2)
    return True


def has_node(api: client.ApiClient) -> bool:
    """Whether the simulated node is Ready; create it where it is missing."""
    has_account(api)
    core = cast("Any", client.CoreV1Api(api))
    try:
        node = core.read_node(NAME, _request_timeout=2)
    except ApiException as failure:
        if cast("Any", failure).status != http.HTTPStatus.NOT_FOUND:
            raise
        core.create_node(_node())
        return False
    conditions: list[Any] = node.status.conditions or []
    return any(item.type == "Ready" and item.status == "True" for item in conditions)


def _node() -> dict[str, Any]:
    template = Path(__file__).with_name("node.yaml.j2")
    return yaml.safe_load(fill(template, name=NAME, machine=architecture()))
