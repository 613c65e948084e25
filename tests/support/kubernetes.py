"""The Kubernetes client without its generated types.

They call every field optional and take no dicts, although the API does; what tests read, the API
server has just sent.
"""

from typing import Any, TypeAlias

from kubernetes import client

Api: TypeAlias = Any
"""The calls of one API group."""


def apps_v1(api: client.ApiClient) -> Api:
    return client.AppsV1Api(api)


def authorization_v1(api: client.ApiClient) -> Api:
    return client.AuthorizationV1Api(api)


def core_v1(api: client.ApiClient) -> Api:
    return client.CoreV1Api(api)


def networking_v1(api: client.ApiClient) -> Api:
    return client.NetworkingV1Api(api)


def node_v1(api: client.ApiClient) -> Api:
    return client.NodeV1Api(api)


def policy_v1(api: client.ApiClient) -> Api:
    return client.PolicyV1Api(api)


def rbac_v1(api: client.ApiClient) -> Api:
    return client.RbacAuthorizationV1Api(api)


def scheduling_v1(api: client.ApiClient) -> Api:
    return client.SchedulingV1Api(api)
