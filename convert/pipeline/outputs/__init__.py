"""The ways in which the result of a check is written."""
