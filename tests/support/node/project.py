"""The projects that jobs build, their pipelines from ``templates/``, and what became of images."""

import dataclasses
import hashlib
import json
import re
import tarfile
import time
from pathlib import Path
from typing import Any

import yaml

from dev.generate import templates
from dev.node.images.catalogue import BASE
from dev.node.node import Node
from dev.node.registry import Kind
from dev.paths import CHECKOUT
from tests.support.configured import FORMS, STRATEGIES
from tests.support.kubernetes import core_v1
from tests.support.node.jobs import Pipeline
from tests.support.node.registries import pull
from tests.support.node.stack import APPS
from tests.support.pages import TROUBLESHOOTING

TEMPLATES = {
    **{name: FORMS[name].kind for name in STRATEGIES},
    # Its jobs call what those of the strategy buildx call.
    "buildkit-service-buildx": "buildx",
}
OUT_OF_REACH = {"buildah-profiles", "buildkit-profiles"}
"""Variants whose nodes must have what this node has not."""
WITHIN_REACH = [name for name in STRATEGIES if name not in OUT_OF_REACH]
TOOLS = list(templates.builders())
"""One variant of each, where all variants of a tool would do the same."""

FILES: dict[str, str | bytes] = {
    "Dockerfile": 'ARG BASE\nFROM ${BASE}\nRUN echo hello > /hello\nCMD ["cat", "/hello"]\n'
}
"""A project whose image says hello."""

_MOUNTED = {
    *("", "dev", "proc", "sys", "run", "run/.containerenv"),
    *("etc", "etc/hostname", "etc/hosts", "etc/resolv.conf"),
}
"""What runc and Buildah make where a base has none to mount on; some tools note the root itself."""

_TROUBLESHOOTING = TROUBLESHOOTING.read_text("utf-8")


def pipeline(
    template: str,
    repository: str,
    tag: str,
    kind: Kind,
    files: dict[str, str | bytes],
    **inputs: str,
) -> Pipeline:
    """Resolve the inputs of a template as GitLab does, and take its job."""
    text = (CHECKOUT / "templates" / f"{template}.yml").read_text(encoding="utf-8")
    head, body = yaml.safe_load_all(text)
    values = {name: entry.get("default") for name, entry in head["spec"]["inputs"].items()} | {
        "image": f"{kind.address}/{repository}",
        "tag": tag,
        "build_args": f"BASE={kind.address}/{BASE}",
        **inputs,
    }
    (job,) = body.values()

    def filled(text: str) -> str:
        return re.sub(r"\$\[\[ inputs\.(\w+) ]]", lambda found: str(values[found[1]]), text)

    variables = {name: filled(value) for name, value in job["variables"].items()}
    image = filled(job["image"]["name"])
    return Pipeline(script=job["script"], files=files, image=image, variables=variables)


def assert_explained(message: str, trace: str) -> None:
    """Claim that a trace says this, and that the page on troubleshooting says what to do."""
    assert message in trace
    assert f"`{message}`" in _TROUBLESHOOTING


def run_image(node: Node, image: str, name: str) -> str:
    """Run a pushed image in the target namespace, with the stack's pull secret."""
    manifest = {
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "imagePullSecrets": [{"name": "registry-pull"}],
            "containers": [{"name": "app", "image": image}],
        },
    }
    with node.cluster.api() as api:
        core = core_v1(api)
        core.create_namespaced_pod(APPS, manifest)
        try:
            deadline = time.monotonic() + 120
            while core.read_namespaced_pod(name, APPS).status.phase not in ("Succeeded", "Failed"):
                assert time.monotonic() < deadline, core.read_namespaced_pod(name, APPS).status
                time.sleep(0.5)
            return str(core.read_namespaced_pod_log(name, APPS))
        finally:
            core.delete_namespaced_pod(name, APPS)


@dataclasses.dataclass(frozen=True)
class Member:
    """What an image says of one of its files, links and folders."""

    kind: bytes
    mode: str
    owner: str
    content: str
    """The SHA-256 of a file, and the target of a link."""


def contents(node: Node, name: str, kind: Kind, folder: Path) -> dict[str, Member]:
    """Return what is in a pushed image, all layers on top of each other, without times."""
    pull(node, name, kind, folder)
    manifest: Any = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    found: dict[str, Member] = {}
    for layer in manifest["layers"]:
        file = folder / layer["digest"].removeprefix("sha256:")
        with tarfile.open(file) as tar:
            for member in tar:
                path = member.name.strip("./")
                before, mark, after = path.rpartition(".wh.")
                if mark:
                    found.pop(before + after, None)
                    continue
                data = tar.extractfile(member) if member.isreg() else None
                digest = hashlib.sha256(data.read()).hexdigest() if data else ""
                found[path] = Member(
                    member.type,
                    oct(member.mode & 0o7777),
                    f"{member.uid}:{member.gid}",
                    digest or member.linkname,
                )
    return {path: member for path, member in found.items() if path not in _MOUNTED}
