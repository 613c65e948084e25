"""Whom and what a stack relies on: addresses, logins, certificates, and what protects others."""
