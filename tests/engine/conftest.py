"""Real engine, real provider, real API server; only the node is simulated (by kwok)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.cluster.control_plane import ControlPlane
from tests.support.cluster import AuditedCluster
from tests.support.kubernetes import Api, core_v1
from tests.support.shared import Shared
from tests.support.stacks import Site, fresh_site


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedCluster]:
    """Hold one with all workers."""
    folder = tmp_path_factory.getbasetemp()
    run = folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder
    cluster = AuditedCluster(run / "cluster")
    with Shared(run).hold("control-plane", cluster.up, cluster.down):
        yield cluster


@pytest.fixture
def core(control_plane: ControlPlane) -> Iterator[Api]:
    with control_plane.api() as api:
        yield core_v1(api)


@pytest.fixture
def site(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    with fresh_site(control_plane, tmp_path) as found:
        yield found
