"""A real build on the user's own cluster, which leaves nothing behind."""
