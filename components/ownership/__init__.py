"""What a stack owns in a cluster: the marks of its objects, and how they are read."""
