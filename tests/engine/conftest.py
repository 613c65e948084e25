"""Real engine, real provider, real API server; only the node is simulated (by kwok)."""

import os
from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest

from dev.cluster.control_plane import ControlPlane
from tests.support.cluster import AuditedCluster
from tests.support.kubernetes import Api, core_v1
from tests.support.stacks import Site, fresh_site


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedCluster]:
    """Start one for all workers; the last of them to end stops it."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    cluster = AuditedCluster(shared / "cluster")
    users = cluster.state.with_name("cluster-users")
    users.mkdir(exist_ok=True)
    mine = users / str(os.getpid())
    mine.touch()
    try:
        cluster.up()
        yield cluster
    finally:
        with filelock.FileLock(users.with_suffix(".lock")):
            mine.unlink()
            if not any(users.iterdir()):
                cluster.down()


@pytest.fixture
def core(control_plane: ControlPlane) -> Iterator[Api]:
    with control_plane.api() as api:
        yield core_v1(api)


@pytest.fixture
def site(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    with fresh_site(control_plane, tmp_path) as found:
        yield found
