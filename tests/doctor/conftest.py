from collections.abc import Iterator

import pytest

from tests.support.clinic import kept_servers


@pytest.fixture(scope="package", autouse=True)
def servers() -> Iterator[None]:
    with kept_servers():
        yield
