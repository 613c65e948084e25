"""What a job gets to, tried from inside it: docs/reference/strategies.md has the answers."""

import copy
import json
import re
import secrets
import shlex
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from components.strategies.buildkit import ROOTLESS
from dev.node.images.catalogue import BASE
from dev.node.node import Node
from dev.node.registry import LOGIN
from dev.toolchain.ensure import ensure
from tests.support.cluster import account
from tests.support.kubernetes import networking_v1
from tests.support.node.jobs import Pipeline, Runner
from tests.support.node.network import Pods
from tests.support.node.project import TEMPLATES, WITHIN_REACH
from tests.support.node.stack import NodeStack
from tests.support.pages import STRATEGIES, table

TRIES = {
    # That the two others say no shows something only where this says yes.
    "talks to the API server": "kubectl get --raw /version",
    "reads a Secret of another runner": "kubectl --namespace node-small get secret registry-push",
    "mounts a file system": "mkdir -p /tmp/mounted && mount -t tmpfs none /tmp/mounted",
    # To the value that it has.
    "sets the kernel of the node": "value=$(cat /proc/sys/vm/swappiness)"
    " && echo $value >/proc/sys/vm/swappiness",
    "sees processes of the node": "grep -qs 'kubele[t]' /proc/[0-9]*/cmdline",
    "reads files of the node": "test -s /node$FILE",
}
"""Shell that succeeds where a job may do it; jobs get the token of their account for it."""

POD = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "reach"},
    "spec": {
        "selector": {"matchLabels": {"app": "reach"}},
        "template": {
            "metadata": {"labels": {"app": "reach"}},
            "spec": {
                "hostPID": True,
                "imagePullSecrets": [{"name": "registry-pull"}],
                "volumes": [{"name": "node", "hostPath": {"path": "/"}}],
            },
        },
    },
}
"""What a job that may create pods asks for; its account may list pods, and so read what they say
when they end, but may neither get one nor read logs.
"""
CREATE = """\
kubectl create --filename pod.json >/dev/null
for _ in $(seq 90); do
  said=$(kubectl get pods --selector app=reach --output \
    'jsonpath={.items[0].status.containerStatuses[0].lastState.terminated.message}')
  if [ "$said" ]; then break; fi
  sleep 1
done
echo "$said"
kubectl delete deployment reach --wait=false >/dev/null
"""
ALL = "--rm --privileged --pid host --volume /:/node --env FILE"
"""What an engine gives a container that asks for it."""
KUBECTL = """\
cp kubectl /tmp/kubectl.program && chmod +x /tmp/kubectl.program
kubectl() {
  /tmp/kubectl.program --server https://kubernetes.default.svc.cluster.local \
    --insecure-skip-tls-verify --token "$TOKEN" --namespace "$NAMESPACE" "$@"
}
"""


TRIED = [name for name in WITHIN_REACH if name != "dind-rootless"]
"""Its engine builds on this node, but runs no containers: the kernel refuses it a sysfs."""


def _answers() -> dict[str, dict[str, str]]:
    """Read the page's table: a row for some variants, a column for each thing that is tried."""
    head, *rows = table(STRATEGIES, "tries: compared by make test-node", "end of tries")
    return {
        name: dict(zip(head[1:], answers, strict=True))
        for variants, *answers in rows
        for name in re.findall(r"`([\w-]+)`", variants)
    }


def test_the_table_has_every_variant_and_every_attempt() -> None:
    answers = _answers()

    assert sorted(answers) == sorted(TRIED)
    assert all(list(row) == list(TRIES) for row in answers.values())


@pytest.mark.parametrize("name", TRIED)
def test_a_job_reaches_what_the_page_says_and_nothing_else(
    name: str, node: Node, runner: Callable[..., Runner]
) -> None:
    found = runner(name)
    own = account(node.cluster, f"gitlab-job-{name}", found.namespace)
    tries = {
        what: f"if ( {command.strip()}\n ) >/dev/null 2>&1; then echo '{what}: yes';"
        f" else echo '{what}: no'; fi\n"
        for what, command in TRIES.items()
    }
    by_the_api, *others = [KUBECTL + "".join(list(tries.values())[:2]), *list(tries.values())[2:]]
    here = "".join(others)
    # Jobs with an engine command it, so things are tried in a container of it.
    if TEMPLATES[name] in ("dind", "dood"):
        image = f"{LOGIN.address}/{BASE}"
        here = f"docker run {ALL} {image} sh -c {shlex.quote(here)}"
    pod = _pod(here, str(node.cluster.kubeconfig))
    if name == "buildx":
        here = CREATE
    job = Pipeline(
        script=[by_the_api, here],
        files={"kubectl": ensure("kubectl").file.read_bytes(), "pod.json": json.dumps(pod)},
        variables={
            "TOKEN": own.token,
            "FILE": str(node.cluster.kubeconfig),
            "NAMESPACE": found.namespace,
        },
    )

    result = found.run(job)

    assert result.status == "success"
    assert _said(result.trace) == _answers()[name]


def _pod(script: str, file: str) -> dict[str, Any]:
    """Return a Deployment whose pod tries things on its node, and says so when it ends."""
    pod: dict[str, Any] = copy.deepcopy(POD)
    pod["spec"]["template"]["spec"]["containers"] = [
        {
            "name": "reach",
            "image": f"{LOGIN.address}/{BASE}",
            "command": ["sh", "-c", f"( {script} ) >/dev/termination-log"],
            "env": [{"name": "FILE", "value": file}],
            "securityContext": {"privileged": True},
            "volumeMounts": [{"name": "node", "mountPath": "/node"}],
        }
    ]
    return pod


def _said(trace: str) -> dict[str, str]:
    """Read what a script says, and not the echo of its lines."""
    return dict(re.findall(r"^([\w ]+): (yes|no)$", trace, re.MULTILINE))


@pytest.fixture
def opened(node: Node, stack: NodeStack) -> Iterator[None]:  # noqa: ARG001 - it makes the namespace
    """Let everybody connect to a daemon, as without a plugin that enforces policies."""
    name, namespace = f"open-{secrets.token_hex(4)}", "node-buildkit-service-buildkitd"
    everything: dict[str, Any] = {}
    spec = {"podSelector": everything, "ingress": [everything]}
    policy = {"metadata": {"name": name}, "spec": spec}
    with node.cluster.api() as api:
        networking = networking_v1(api)
        networking.create_namespaced_network_policy(namespace, policy)
        Pods(node).wait_for_policy(name)
        yield
        networking.delete_namespaced_network_policy(name, namespace)


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("name", ["buildkit-service"])
def test_a_daemon_obeys_only_the_certificates_of_its_runner(
    name: str, runner: Callable[..., Runner]
) -> None:
    address = "tcp://buildkitd.node-buildkit-service-buildkitd.svc:1234"
    authority = "--tlscacert=/etc/image-builds/buildkitd/ca.pem"
    own = textwrap.dedent("""\
        cd /tmp && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=client \
          -keyout key.pem -out cert.pem 2>/dev/null
    """)
    tries = {
        "with those of its runner": f"buildctl --addr={address} $BUILDKIT_FLAGS debug workers",
        "without one": f"buildctl --addr={address} {authority} debug workers",
        "with its own": f"buildctl --addr={address} {authority} --tlscert=/tmp/cert.pem "
        "--tlskey=/tmp/key.pem debug workers",
        "in plain": f"buildctl --addr={address} debug workers",
    }
    script = [
        own,
        *(
            f"{command} && echo '{what}: yes' || echo '{what}: no'"
            for what, command in tries.items()
        ),
    ]
    of_another = f"buildctl --addr={address} --tlsdir=/etc/image-builds/buildkitd debug workers"

    inside = runner(name).run(Pipeline(script=script, files={}))
    outside = runner("buildkit").run(Pipeline(script=[script[-1]], files={}))
    beside = runner("buildkit-service-buildx").run(
        Pipeline(
            script=[f"{of_another} && echo 'of another: yes' || echo 'of another: no'"],
            files={},
            image=ROOTLESS,
        )
    )

    assert _said(inside.trace) == {
        "with those of its runner": "yes",
        "without one": "no",
        "with its own": "no",
        "in plain": "no",
    }
    assert _said(outside.trace) == {"in plain": "no"}
    assert _said(beside.trace) == {"of another": "no"}
    assert "certificate" in beside.trace
