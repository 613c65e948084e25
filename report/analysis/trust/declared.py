"""What a change does beside resources: to what the stack file declares, and to the program.

The outputs of a stack have what its file declared when it was deployed (``components.outputs``).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from report.analysis.risk_kind import RiskKind, RiskName
from report.analysis.trust.subjects import Origin, RiskFacts, Subject
from report.model import RiskChange
from report.tree import Tree, flat, inside, texts

DECLARED_KINDS: dict[RiskName, RiskKind] = {
    "stackFile": RiskKind(
        "major",
        "the stack file has {risk}",
        "",
        "it decides who decrypts the secrets of the stack, which config counts, and where tokens "
        "and logins go",
        of_the_job=False,
        fresh="always",
    ),
    "declaration": RiskKind(
        "minor",
        "the stack file declares {risk}",
        "the stack file no longer declares {risk}",
        "a strategy that the cluster is not for may then no longer be refused",
        of_the_job=False,
        fresh="always",
    ),
    "cacheLogin": RiskKind(
        "minor",
        "{name} signs addresses of caches by {risk}",
        "",
        "jobs reach what that login may read and write",
        of_the_job=False,
        fresh="always",
    ),
    "program": RiskKind(
        "minor",
        "the program differs from that of the base in {risk}",
        "",
        "it runs with the credentials of the deployment, and a report shows only its resources",
        of_the_job=False,
    ),
    "loginUser": RiskKind(
        "minor",
        "the login {name} is that of another user ({risk})",
        "",
        "anyone who has the login may do what that user may",
        of_the_job=False,
        fresh="always",
    ),
    "output": RiskKind(
        "minor",
        "the stack shows the output {risk}",
        "the stack no longer shows the output {risk}",
        "everyone who may read the stack reads it",
        of_the_job=False,
    ),
    "reads": RiskKind(
        "major",
        "{name} reads {risk}",
        "{name} no longer reads {risk}",
        "what it reads can end in jobs, logs and outputs",
        of_the_job=False,
    ),
    "acceptance": RiskKind(
        "minor",
        "the stack file accepts {risk} before it is there",
        "",
        "a later change that raises it stops nobody",
        of_the_job=False,
    ),
}
_LEVELS = ("baseline", "privileged")
"""The Pod Security levels beyond the strictest, in their order."""
_OFF = {"", "false", "null"}
_OUTPUTS = {"declared", "namespace", "production", "runners"}
"""The outputs of the program (``components.outputs``)."""
# Each is another one whenever the passphrase or the key is; some stacks have neither.
_OF_KEYS = {"encryptedkey", "encryptionsalt"}
_EXPECTED = ("environment", "gitlab:baseUrl", "kubernetes:kubeconfig", "secretsprovider")
"""The options whose absence says something too."""
# Rules about what a comparison of stack files does not see.
_UNSEEN = ("predictable-charts/",)


def add_declared(collected: RiskFacts, outputs: Tree) -> None:
    """Add what the stack file declares; earlier versions had no output for it."""
    shown = Subject("output", "the stack", "")
    collected.add(shown, outputs.keys() - _OUTPUTS, Origin((), None))
    declared = inside(outputs, "declared")
    if not declared:
        return
    facts = Subject("declaration", "the cluster", "")
    collected.add(facts, _facts(inside(declared, "cluster")), Origin(("cluster",), None))
    for runner, login in inside(declared, "cacheLogins").items():
        subject = Subject("cacheLogin", f"the manager of runner {runner}", "")
        how = f"the login {login}" if login else "its identity in the cloud"
        collected.add(subject, {how}, Origin(("runners", runner, "cache"), runner))
    for login, user in inside(declared, "users").items():
        collected.add(Subject("loginUser", login, ""), {str(user)}, Origin(("registries",), None))
    options = inside(declared, "options")
    said = {f"{key}: {value}" for key, value in options.items() if key not in _OF_KEYS}
    said |= {f"no {key}" for key in _EXPECTED if key not in options}
    collected.add(Subject("stackFile", "the stack", ""), said, Origin((), None))
    for key in _OF_KEYS & options.keys():
        risks = {f"another {key} ({options[key]})"}
        collected.add(Subject("stackFile", key, ""), risks, Origin((), None))


def _facts(cluster: Tree) -> Iterator[str]:
    """Yield each fact by which a strategy may be admitted; what is off admits none."""
    limit = str(cluster.get("podSecurityLimit"))
    if limit in _LEVELS:
        yield from (f"podSecurityLimit: {it}" for it in _LEVELS[: _LEVELS.index(limit) + 1])
    for path, value in flat(cluster).items():
        if path != "podSecurityLimit" and value not in _OFF:
            yield f"{path}: {value}"


def noted(kind: RiskName, risks: Sequence[str], key: str = "") -> tuple[RiskChange, ...]:
    """Return risks that no resource shows, with the key of the stack file if it has one."""
    rule = DECLARED_KINDS[kind]
    return tuple(
        RiskChange(
            identity=f"{kind}/the-stack/{risk}".replace(" ", "-"),
            direction="raised",
            severity=rule.severity,
            what=rule.raised.format(risk=risk),
            reason=rule.reason,
            key=key,
            line=None,
            accepted="",
        )
        for risk in risks
    )


def listed(files: Sequence[str]) -> tuple[str, ...]:
    """Return files in one text, without those that would make it too long, and none for none."""
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return (f"{', '.join(files[:3])}{more}",) if files else ()


def early_acceptances(
    before: Tree, after: Mapping[str, str], needed: Collection[str]
) -> tuple[str, ...]:
    """Return the risks that the stack file begins to accept although nothing raises them.

    ``before`` are the outputs of what is deployed, and ``needed`` what this change raises.
    """
    declared = inside(before, "declared")
    if "accepted" not in declared:
        return ()
    known = {*texts(declared, "accepted"), *needed}
    return tuple(it for it in sorted(after) if it not in known and not it.startswith(_UNSEEN))
