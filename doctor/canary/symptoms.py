"""What the log of a build that fails is about: the check whose page says what to do."""

import re
from collections.abc import Sequence

NAMES = (
    "build-engine",
    "build-user-namespaces",
    "build-profile",
    "build-architecture",
    "build-limit",
    "build-plain",
    "build-tls",
    "build-certificate",
    "build-disk",
    "build-quota",
    "build-size",
    "build-memory",
    "build-proxy",
    "build-login",
    "build-image",
    "build-reach",
    "build-overlay",
    "build-hangs",
    "build",
)
"""The checks; the last but one is for a build without an end, the last for what nobody knows."""

# In the words of the tools, which docs/how-to/troubleshoot.md lists; the first that fits counts.
_WORDS: Sequence[tuple[str, str]] = (
    (
        "build-engine",
        r"cannot connect to the docker daemon|did not answer within|no engine answers"
        r"|trying to connect to the docker (daemon|api)",
    ),
    (
        "build-user-namespaces",
        r"newuidmap|clone_newuser|unshare.*not permitted|cannot clone|max_user_namespaces"
        r"|user namespaces|fork/exec /proc/self/exe: |insufficient uids or gids"
        r"|reading subuid mappings",
    ),
    ("build-profile", r"failed to share mount point|mount proc:/proc.*not permitted"),
    (
        "build-architecture",
        r"exec format error|no match for platform|no matching manifest for|no image found in .*"
        r"for architecture",
    ),
    ("build-limit", r"toomanyrequests|too many requests"),
    ("build-plain", r"server gave http response to https client"),
    # The second is of an answer without a body, to what asks whether a layer is there.
    ("build-tls", r"http request to an https server|request to http://\S+: 400 bad request"),
    ("build-certificate", r"x509: |certificate signed by unknown|certificate verify failed"),
    ("build-disk", r"no space left on device|disk quota exceeded"),
    # Of Harbor, of the registries of clouds, and of any that runs out of disk.
    (
        "build-quota",
        r"exceed the configured upper limit|(storage|registry) quota|quota (has been )?exceeded"
        r"|limitexceeded|507 insufficient storage",
    ),
    ("build-size", r"(request entity|payload|content) too large|status code:? 413"),
    ("build-memory", r"signal: killed|out of memory"),
    ("build-proxy", r"proxy authentication required|proxyconnect tcp"),
    (
        "build-login",
        r"\b40[13]\b|unauthorized|authentication required|no basic auth credentials"
        r"|\bdenied|insufficient_scope|405 method not allowed",
    ),
    (
        "build-image",
        r"manifest[ _]unknown|name[ _]unknown|repository name not known|\S+/\S+:\S+: not found$",
    ),
    (
        "build-reach",
        r"no such host|connection refused|connection reset|i/o timeout|handshake timeout"
        r"|network is unreachable|no route to host|deadline exceeded|server misbehaving"
        r"|temporary failure in name resolution|broken pipe|use of closed network connection"
        r"|unexpected eof|: eof$|internal server error|bad gateway|service unavailable"
        r"|gateway time-?out",
    ),
    # Last, since tools try an overlay first, and go on without one.
    (
        "build-overlay",
        r"/dev/fuse|fuse: device not found|without d_type"
        r"|overlay.{0,60}(not supported|no such device|operation not permitted|invalid argument)",
    ),
)
_KILLED = 137


def symptom(status: int, log: str) -> str:
    """Return the name of the check."""
    if status == _KILLED:
        return "build-memory"
    return next(
        (name for name, words in _WORDS if re.search(words, log, re.IGNORECASE | re.MULTILINE)),
        "build",
    )
