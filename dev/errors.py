"""The errors that a command of dev reports in one line."""


class DevError(Exception):
    """Something is missing or failed; the message says what, why and what to do."""
