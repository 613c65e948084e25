"""Whether jobs of a pipeline run on the runners of a stack: read, resolve, land, judge."""
