"""Measures previews, updates and reports against what they cannot be faster than.

The floor is a program without this project's code that registers the same resources as literals,
written from the state of what was deployed. Runs take turns in one session on one cluster, each
in its own process.
"""
