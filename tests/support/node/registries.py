"""What tests do to the registries and to the engine of the node, and what they find there."""

import json
from pathlib import Path
from typing import Any

from dev.node.node import Node
from dev.node.registry import Kind


def stop(node: Node, kind: Kind) -> None:
    """Stop a registry, in the middle of whatever it does."""
    process = node.machine.running()[f"registry-{kind.host}"]
    process.kill()
    process.wait(10)


def stop_docker(node: Node) -> None:
    """Stop the node's own engine; its socket goes with it."""
    engine = node.machine.running()["dockerd"]
    engine.terminate()
    engine.wait(60)


def uploading(node: Node, repository: str, kind: Kind) -> bool:
    """Whether a layer or config is on its way to this repository of the registry."""
    repositories = node.registries.images(kind) / "docker/registry/v2/repositories"
    uploads = repositories / repository / "_uploads"
    return uploads.is_dir() and any(uploads.iterdir())


def pull(node: Node, name: str, kind: Kind, folder: Path) -> None:
    """Copy an image out of a registry, to a folder in the layout of ``skopeo copy dir:``."""
    options = node.registries.options(kind, "src-")
    source = f"docker://{kind.address}/{name}"
    node.machine.call("skopeo", "copy", "--quiet", *options, source, f"dir:{folder}")


def inspect(node: Node, name: str, kind: Kind, *, config: bool = False) -> Any:  # noqa: ANN401 - JSON
    """Return what skopeo reports of an image in a registry."""
    # Without --raw, what only Docker's format has would be left out.
    options = [*node.registries.options(kind), *(["--config", "--raw"] if config else [])]
    image = f"docker://{kind.address}/{name}"
    return json.loads(node.machine.call("skopeo", "inspect", *options, image))
