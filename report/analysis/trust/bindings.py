"""Who may do what in the cluster, by the roles and bindings that a stack makes."""

from collections.abc import Sequence

from components.workloads import creates_pods
from report.analysis.kubernetes import namespace_of
from report.analysis.trust.subjects import Placed, RiskFacts, Subject
from report.tree import Tree, entries, identity, inside, texts

_READ = {"get", "list", "watch", "*"}


def add_readers(collected: RiskFacts, objects: Sequence[Placed]) -> None:
    """Add the accounts that can read Secrets, by the roles and bindings of each namespace."""
    reading = {
        (item.get("kind"), namespace_of(item), _name(item))
        for item, _, _ in objects
        if any(map(_reads_secrets, entries(item, "rules")))
    }
    for item, origin, _ in objects:
        if item.get("kind") not in {"RoleBinding", "ClusterRoleBinding"}:
            continue
        namespace = namespace_of(item)
        role = inside(item, "roleRef")
        where = namespace if role.get("kind") == "Role" else ""
        known = (role.get("kind"), where, role.get("name")) in reading
        # Default roles of every cluster that read Secrets
        # (kubernetes: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go).
        if known or role.get("name") in {"admin", "edit", "cluster-admin"}:
            name = f"namespace {namespace}" if namespace else "all namespaces"
            accounts = map(_account, entries(item, "subjects"))
            collected.add(Subject("secretReader", name, namespace), accounts, origin)


def add_holders(collected: RiskFacts, objects: Sequence[Placed]) -> None:
    """Add who has the permissions of each role, by the bindings.

    A role or an account that the stack does not make reaches beyond the binding's namespace.
    """
    made = {(item.get("kind"), namespace_of(item), _name(item)) for item, _, _ in objects}
    for item, origin, _ in objects:
        if item.get("kind") not in {"RoleBinding", "ClusterRoleBinding"}:
            continue
        namespace, role = namespace_of(item), inside(item, "roleRef")
        kind, called = str(role.get("kind")), str(role.get("name"))
        own = kind == "Role"
        where = f"in namespace {namespace}" if namespace else "in all namespaces"
        name = f"Role {namespace}/{called}" if own else f"{kind} {called} {where}"
        known = (kind, namespace if own else "", called) in made
        for account in entries(item, "subjects"):
            home = str(account.get("namespace") or "")
            ours = known and (account.get("kind"), home, account.get("name")) in made
            subject = Subject("holder", name, namespace if ours else "")
            collected.add(subject, {_account(account)}, origin)


def add_pod_creators(collected: RiskFacts, objects: Sequence[Placed]) -> None:
    """Add who may create pods in namespaces of others, whose Pod Security level is not known."""
    for item, origin, _ in objects:
        if item.get("kind") not in {"Role", "ClusterRole"}:
            continue
        namespace = namespace_of(item)
        creates = namespace not in collected.namespaces and any(
            creates_pods(verb, resource)
            for rule in entries(item, "rules")
            for resource in texts(rule, "resources")
            for verb in texts(rule, "verbs")
        )
        place = f"in namespace {namespace}" if namespace else "in all namespaces"
        risks = {f"{place}, whose Pod Security level is not known"} if creates else ()
        collected.add(Subject("podCreator", identity(item), namespace), risks, origin)


def _name(item: Tree) -> str:
    return str(inside(item, "metadata").get("name"))


def _account(account: Tree) -> str:
    namespace = account.get("namespace")
    return f"{account.get('kind')} {f'{namespace}/' if namespace else ''}{account.get('name')}"


def _reads_secrets(rule: Tree) -> bool:
    return bool(
        {"", "*"} & set(texts(rule, "apiGroups"))
        and {"secrets", "*"} & set(texts(rule, "resources"))
        and _READ & set(texts(rule, "verbs"))
    )
