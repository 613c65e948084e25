"""The ways in which an import is written."""
