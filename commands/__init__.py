"""The command line for users: previews, drift, comparisons, explanations and policies."""
