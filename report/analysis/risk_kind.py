"""What a kind of risk is: its severity, how a report says it, and why it matters."""

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

from report.model import RiskSeverity

RiskName: TypeAlias = Literal[
    "podSecurity",
    "privileged",
    "hostPath",
    "writablePath",
    "hostNamespace",
    "hostPort",
    "userNamespace",
    "unconfined",
    "noProfile",
    "nodeProfile",
    "capability",
    "defaultCapabilities",
    "root",
    "escalation",
    "writableRoot",
    "sharedDaemon",
    "sharedProcesses",
    "runtime",
    "priority",
    "placement",
    "names",
    "volume",
    "unlimited",
    "place",
    "probe",
    "encrypted",
    "accountToken",
    "lastingToken",
    "account",
    "cloudIdentity",
    "cacheStore",
    "sharedCache",
    "extra",
    "device",
    "permission",
    "podCreator",
    "holder",
    "secretReader",
    "mountedSecret",
    "pullSecret",
    "clusterWide",
    "customResource",
    "exposed",
    "reach",
    "unfiltered",
    "unjudged",
    "override",
    "anyImage",
    "cachedImages",
    "openTo",
    "script",
    "variable",
    "elsewhere",
    "unpinned",
    "undigested",
    "imageSource",
    "helperImage",
    "command",
    "gitlab",
    "chartSource",
    "cluster",
    "login",
    "foreignLogin",
    "mirror",
    "layerCache",
    "plainHttp",
    "authority",
    "entitlement",
    "controlPlane",
    "nodes",
    "tolerates",
    "production",
    "kept",
    "takesOver",
    "systemNamespace",
    "safeguard",
    "workload",
    "sidecar",
    "leads",
    "labels",
    "unknown",
    "prepare",
    "plainVariable",
    "environment",
    "daemonAddress",
    "values",
    "startScript",
    "contents",
    "secretType",
    "swapped",
    "concurrent",
    "cpu",
    "disk",
    "memory",
    "olderChart",
    "olderImage",
    "chartContents",
    "acceptance",
    "added",
    "anyUser",
    "cacheLogin",
    "chartDigest",
    "declaration",
    "ends",
    "gone",
    "home",
    "imageContents",
    "imageVariant",
    "less",
    "logLevel",
    "loginUser",
    "lost",
    "metrics",
    "more",
    "otherInputs",
    "output",
    "program",
    "reads",
    "restarts",
    "settings",
    "stackFile",
    "tag",
]
RisksOf: TypeAlias = tuple[tuple[RiskName, str], Iterable[str]]
"""A kind of risk, the name of its subject, and the risks of that kind."""


class RiskKind(NamedTuple):
    """A kind of risk: its severity, the sentences for it, and why it matters.

    ``raised`` and ``lowered`` take the name of the subject and the risk; a report does not mention
    a change whose sentence is empty. A new subject may have the ``ordinary`` risks without a
    mention, and with ``fresh`` any risk: always, or without a wildcard in a new namespace. From the
    ``widest`` risk no change raises another. ``of_the_job`` is False for what no acceptance of a
    strategy covers. A ``safeguard`` raises a risk when it is lost, and something ``measured`` when
    it grows, when it falls for a version, or when it shrinks; its risk is a quantity. ``by_switch``
    is the severity where the runner changes its strategy, which says more; with ``quiet`` the
    runner is new then.
    """

    severity: RiskSeverity
    raised: str
    lowered: str
    reason: str
    ordinary: frozenset[str] = frozenset()
    fresh: Literal["never", "namespace", "always"] = "never"
    of_the_job: bool = True
    widest: str = ""
    safeguard: bool = False
    measured: Literal["grows", "falls", "shrinks"] | None = None
    by_switch: Literal["quiet", "minor", "info"] | None = None
