"""The programs of the local run and the engine tests: found, fetched, or built from Go modules."""

from dev.toolchain.cache import CACHE_VARIABLE, Found, cache_folder
from dev.toolchain.ensure import SOURCE_VARIABLE, ensure, ensure_all, installed
from dev.toolchain.modules import source_folder
from dev.toolchain.programs import ToolchainError, load

__all__ = [
    "CACHE_VARIABLE",
    "SOURCE_VARIABLE",
    "Found",
    "ToolchainError",
    "cache_folder",
    "ensure",
    "ensure_all",
    "installed",
    "load",
    "source_folder",
]
