"""What fetches or builds the toolchain, starts the local cluster and drives it.

A deployment with the official Pulumi CLI imports nothing from here. Pipelines read the versions and
digests of Pulumi and helm in ``programs.toml`` and ``modules`` (``.ci/install.py``).
"""
