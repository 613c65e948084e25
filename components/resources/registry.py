"""What a namespace needs to reach registries: a login as a Secret, and files as a ConfigMap.

A pull Secret also goes to each namespace that runs the built images, in place of the usual
``kubectl create secret docker-registry``.
"""

import base64
import json
from collections.abc import Mapping
from typing import TypedDict

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict

from components.plan import file_key
from components.workloads import LOGINS, PATCH_FORCE


class Login(TypedDict):
    """A user name and a password for one registry, and the login's name in the stack file."""

    name: str
    username: str
    password: pulumi.Input[str]


class RegistryLoginArgs(TypedDict):
    """Where the Secret is, what it is called, and the login of each registry by host.

    ``adopt`` takes over a Secret of that name that is there already, and leaves it there.
    """

    namespace: pulumi.Input[str]
    secret: str
    logins: Mapping[str, Login]
    adopt: bool


class RegistryLogin(pulumi.ComponentResource):
    """A Secret of type ``kubernetes.io/dockerconfigjson``."""

    def __init__(
        self, name: str, args: RegistryLoginArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("image-builds:index:RegistryLogin", name, None, opts)
        names = {host: login["name"] for host, login in args["logins"].items()}
        metadata: ObjectMetaArgsDict = {
            "name": args["secret"],
            "namespace": args["namespace"],
            "annotations": {
                LOGINS: json.dumps(names, sort_keys=True),
                **({PATCH_FORCE: "true"} if args["adopt"] else {}),
            },
        }
        k8s.core.v1.Secret(
            name,
            metadata=metadata,
            type="kubernetes.io/dockerconfigjson",
            string_data={".dockerconfigjson": _docker_config(args["logins"])},
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=args["adopt"]),
        )
        self.register_outputs({})


def _docker_config(logins: Mapping[str, Login]) -> pulumi.Output[str]:
    """Write Docker's config.json; Docker Hub's key is its historical address."""
    entries = {
        "https://index.docker.io/v1/" if host == "docker.io" else host: pulumi.Output.secret(
            login["password"]
        ).apply(lambda password, username=login["username"]: _entry(username, password))
        for host, login in sorted(logins.items())
    }
    return pulumi.Output.all(**entries).apply(
        lambda auths: json.dumps({"auths": auths}, sort_keys=True)
    )


def _entry(username: str, password: str) -> dict[str, str]:
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"username": username, "password": password, "auth": auth}


class RegistryFilesArgs(TypedDict):
    """Where the ConfigMap is, what it is called, and its text by path."""

    namespace: pulumi.Input[str]
    config_map: str
    files: Mapping[str, str]


class RegistryFiles(pulumi.ComponentResource):
    """What a tool reads about registries: CAs and settings, which are public, so no Secret."""

    def __init__(
        self, name: str, args: RegistryFilesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("image-builds:index:RegistryFiles", name, None, opts)
        k8s.core.v1.ConfigMap(
            name,
            metadata={"name": args["config_map"], "namespace": args["namespace"]},
            data={file_key(path): text for path, text in args["files"].items()},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
