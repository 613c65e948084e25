"""What a pod asks a node for."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from components.quantity import amount


def requests_of(pod: Mapping[str, Any]) -> dict[str, Decimal]:
    """Return the sums of a pod, by ``requests.`` or ``limits.`` and the resource.

    A container that runs before the others counts where it asks for more than all of them, and what
    the pod asks for as a whole counts in place of that of its containers.
    """
    spec = pod["spec"]
    found: dict[str, Decimal] = {}
    for container in spec["containers"]:
        for key, quantity in _of(container).items():
            found[key] = found.get(key, Decimal(0)) + quantity
    for container in spec.get("initContainers", []):
        for key, quantity in _of(container).items():
            found[key] = max(found.get(key, Decimal(0)), quantity)
    return {**found, **_amounts(spec.get("resources", {}))}


def _of(container: Mapping[str, Any]) -> dict[str, Decimal]:
    resources = container.get("resources", {})
    limits = resources.get("limits", {})
    # Kubernetes takes the limit where there is no request.
    return _amounts({"requests": {**limits, **resources.get("requests", {})}, "limits": limits})


def _amounts(resources: Mapping[str, Mapping[str, Any]]) -> dict[str, Decimal]:
    return {
        f"{bound}.{resource}": amount(str(quantity))
        for bound in ("requests", "limits")
        for resource, quantity in resources.get(bound, {}).items()
    }
