"""The official release archives and their SHA-256, for machines that reach them.

A program without an entry for a platform is built from Go modules there: a checksum that could
not be read from a published source is not written down here.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Archive:
    """One file: its address, its SHA-256, and the members to keep (none: it is the program)."""

    url: str
    sha256: str
    members: tuple[str, ...] = ()


ARCHIVES: dict[tuple[str, str], Archive] = {}
