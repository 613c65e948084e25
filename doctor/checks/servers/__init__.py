"""Checks of servers outside of the cluster, from the machine that runs doctor."""
