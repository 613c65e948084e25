"""Real engine, real provider, real API server; only the node is simulated (by kwok)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.cluster.control_plane import ControlPlane
from tests.support.cluster import AuditedCluster
from tests.support.kubernetes import Api, core_v1
from tests.support.stacks import Site, fresh_site


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedCluster]:
    cluster = AuditedCluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()


@pytest.fixture
def core(control_plane: ControlPlane) -> Iterator[Api]:
    with control_plane.api() as api:
        yield core_v1(api)


@pytest.fixture
def site(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    with fresh_site(control_plane, tmp_path) as found:
        yield found
