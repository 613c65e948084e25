"""Pods as a report judges them: those of Kubernetes objects, and those that a runner creates."""
