"""What the network policies of a stack let through, where kube-router enforces them."""

import contextlib
import json
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from commands.shared.recorded import wanted_stack
from dev.node.machine import HOST, NODE
from dev.node.node import Node
from tests.support.configured import SECRETS, SETTINGS, replace_values
from tests.support.kubernetes import core_v1, networking_v1
from tests.support.node.jobs import Pipeline, Runner
from tests.support.node.network import METADATA, PORT, PUBLIC, Pods, script, serve, until_closed
from tests.support.node.stack import APPS, MANAGERS, NodeStack
from tests.support.pages import STRATEGIES, table

NEAR = {"machine", "pod", "API server"}
DAEMON = "node-buildkit-service-buildkitd"


@pytest.fixture
def port(outside: None) -> Iterator[int]:  # noqa: ARG001 - it makes the addresses
    """Serve at the addresses outside of the node."""
    with serve(HOST, METADATA, PUBLIC) as listening:
        yield listening


@pytest.fixture
def pods(
    node: Node,
    stack: NodeStack,  # noqa: ARG001 - it makes their namespaces
) -> Pods:
    return Pods(node)


def _answers() -> dict[str, str]:
    _, *rows = table(
        STRATEGIES, "tries of addresses: compared by make test-node", "end of tries of addresses"
    )
    return dict(rows)


def test_a_job_reaches_the_addresses_that_the_page_says(
    runner: Callable[..., Runner], pods: Pods, port: int
) -> None:
    own = runner("kaniko")
    others = {
        "a pod of a job of the same runner": own.namespace,
        "a pod of a job of another runner": runner("small").namespace,
        "a manager": MANAGERS,
        "the BuildKit daemon of another runner": DAEMON,
        "a pod without a policy": APPS,
    }
    with contextlib.ExitStack() as stack:
        servers = {
            what: stack.enter_context(pods.run(namespace)) for what, namespace in others.items()
        }
        tries = {
            "the metadata service of a cloud": (METADATA, port),
            "the internet": (PUBLIC, port),
            "the API server": (HOST, pods.node.cluster.addresses.ports()["kube-apiserver"]),
            **{what: (address, PORT) for what, (_, address) in servers.items()},
        }
        lines = [until_closed(METADATA, port), *script(tries)]
        result = own.run(Pipeline(script=lines, files={}))

    assert result.status == "success", result.trace
    assert dict(re.findall(r"^([\w ,]+): (yes|no)$", result.trace, re.MULTILINE)) == _answers()


def test_nobody_reaches_jobs_managers_and_daemons(pods: Pods) -> None:
    """A pod without a policy is reached, so the others show something."""
    with contextlib.ExitStack() as running:
        asking, _ = running.enter_context(pods.run(APPS))
        servers = {
            namespace: (running.enter_context(pods.run(namespace))[1], PORT)
            for namespace in ("node-small", MANAGERS, DAEMON, APPS)
        }

        assert pods.reached(APPS, asking, servers) == {APPS}


@pytest.mark.parametrize(
    ("egress", "opened"),
    [
        ({}, {"internet", *NEAR}),
        ({"metadata": True}, {"metadata", "internet", *NEAR}),
        ({"private": False}, {"internet"}),
        ({"public": False}, NEAR),
        ({"private": False, "public": False, "allow": "here"}, {"machine"}),
    ],
    ids=["by default", "metadata", "no private ones", "no public ones", "what is allowed"],
)
def test_a_key_opens_and_closes_what_it_says(
    egress: dict[str, Any], opened: set[str], pods: Pods, port: int
) -> None:
    """Names are resolved in any case."""
    if "allow" in egress:
        egress = {**egress, "allow": [{"cidr": f"{HOST}/32", "ports": [port]}]}
    namespace = f"network-{secrets.token_hex(4)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    with pods.node.cluster.api() as api, contextlib.ExitStack() as running:
        core = core_v1(api)
        core.create_namespace({"metadata": {"name": namespace, "labels": labels}})
        running.callback(core.delete_namespace, namespace)
        for name, spec in _policies(egress).items():
            policy = {"metadata": {"name": name}, "spec": spec}
            networking_v1(api).create_namespaced_network_policy(namespace, policy)
        _, served = running.enter_context(pods.run(APPS))
        asking, _ = running.enter_context(pods.run(namespace))
        targets = {
            "metadata": (METADATA, port),
            "internet": (PUBLIC, port),
            "machine": (HOST, port),
            "pod": (served, PORT),
            "DNS": (NODE, 53),
            "API server": (HOST, pods.node.cluster.addresses.ports()["kube-apiserver"]),
        }

        reached = pods.reached(namespace, asking, targets)

    assert reached == {*opened, "DNS"}


def _policies(egress: dict[str, Any]) -> dict[str, Any]:
    """Return the spec of each policy that the program makes for jobs, by its name."""
    settings = replace_values(SETTINGS, {"network.egress": egress})
    values = {
        f"image-builds:{key}": json.dumps(value)
        for key, value in {"settings": settings, **SECRETS}.items()
    }
    values["kubernetes:context"] = "a-cluster"
    secret = [f"image-builds:{key}" for key in SECRETS]
    found = wanted_stack("test", values, secret).of_kind("NetworkPolicy", "builds-main")
    return {item["metadata"]["name"]: item["spec"] for item in found}
