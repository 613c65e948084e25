"""The error that ends a command."""


class ReportError(Exception):
    """A report cannot be made; the message says where, why and what to do."""
