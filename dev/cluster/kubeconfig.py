"""Kubeconfigs of the local cluster."""

from pathlib import Path
from typing import Any, cast

import yaml
from kubernetes import client, config

from dev.certificates import Authority
from dev.files import write_private

NAME = "image-builds-local"
"""The name of the kubeconfig's context, cluster and user, and of the node."""


def write(
    file: Path, server: str, authority: Authority, name: str, user: str, *groups: str
) -> None:
    """Write a kubeconfig with a certificate of ``user``, which ``authority`` keeps as ``name``."""
    certificate, key = authority.issue(name, user, groups)
    cluster = {"server": server, "certificate-authority": str(authority.certificate_file)}
    account = {"client-certificate": str(certificate), "client-key": str(key)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": cluster}],
        "users": [{"name": NAME, "user": account}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
        "current-context": NAME,
    }
    write_private(file, yaml.safe_dump(content))


def api_of(kubeconfig: Path) -> client.ApiClient:
    """A client of the local cluster that a kubeconfig names, and of no other."""
    configuration = client.Configuration()
    # Those who wait for the cluster ask again; urllib3 would warn of each attempt.
    configuration.retries = 0
    cast("Any", config).load_kube_config(str(kubeconfig), NAME, client_configuration=configuration)
    return client.ApiClient(configuration)
