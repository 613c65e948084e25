"""The checks: each asks about one thing, and names its faults by the catalogue."""
