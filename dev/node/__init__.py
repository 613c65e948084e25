"""A real node for the local control plane: containers run, images are built and pushed.

Root on Linux only. Nothing of it is needed to deploy a stack.
"""
