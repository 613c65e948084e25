"""What fetches or builds the toolchain, starts the local cluster and drives it.

Nothing here is needed by somebody who deploys with the official Pulumi CLI.
"""
