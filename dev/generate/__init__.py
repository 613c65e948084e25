"""Writes the committed files that follow from code."""
