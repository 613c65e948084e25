"""The rules of the check, which are also those of the page on moving pipelines.

A rule decides by facts of the runner's plan and its config.toml, so its verdict follows them.
"""

from convert.pipeline.rule import RULES
from convert.pipeline.rules import builders, engine, job, needs, programs, rootless, services

__all__ = ["RULES", "builders", "engine", "job", "needs", "programs", "rootless", "services"]
