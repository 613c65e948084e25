"""Reads what a site has: files, objects and live releases, as trees of text."""
