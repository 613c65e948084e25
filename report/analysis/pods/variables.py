"""Which variables make programs trust, show or run more, and which name a daemon."""

import re
from collections.abc import Iterable

from components.workloads import DAEMON_VARIABLES
from report.analysis.pods.containers import digest

# By these every job trusts, shows or runs more than it says itself, or fetches it from elsewhere.
_RISKY = re.compile(
    r"BASH_ENV|ENV|SHELL|PATH|LD_\w+|CI_\w+|FF_\w+|SECURE_\w+|"
    r"GIT_(ASKPASS|CONFIG_\w+|EXEC_PATH|PROXY_COMMAND|SSH|SSH_COMMAND|SSL_\w+|TEMPLATE_DIR)|"
    r"((ALL|FTP|HTTPS?)_PROXY|(all|ftp|https?)_proxy)|"
    r"SSL_CERT_FILE|(AWS|CURL|REQUESTS)_CA_BUNDLE|AWS_ENDPOINT_URL\w*|GCE_METADATA_HOST|"
    r"NODE_(EXTRA_CA_CERTS|OPTIONS|TLS_REJECT_UNAUTHORIZED)|(NPM_CONFIG|npm_config|YARN)_\w+|"
    r"PIP_\w+|UV_\w*INDEX\w*|PYTHON(HTTPSVERIFY|PATH|STARTUP|HOME)|"
    r"GO(FLAGS|INSECURE|NOSUMDB|NOSUMCHECK|PRIVATE|PROXY|SUMDB)|CARGO_\w+|RUSTC_WRAPPER|"
    r"(_JAVA|JDK_JAVA|JAVA_TOOL)_OPTIONS|(GRADLE|MAVEN)_(ARGS|OPTS)|"
    r"PERL5(LIB|OPT)|RUBY(LIB|OPT)|(BUNDLE|GEM|COMPOSER)_\w+|"
    r"KUBECONFIG|KUBERNETES_\w+|HELM_\w+|REGISTRY_AUTH_FILE"
)


def risky(environment: Iterable[str]) -> set[str]:
    """Return the variables, as NAME=value, that make programs trust, show or run more."""
    return {entry for entry in environment if _RISKY.fullmatch(entry.partition("=")[0])}


def daemons(environment: Iterable[str]) -> set[str]:
    """Return the variables, as NAME=value, by which a job finds its daemon."""
    return {entry for entry in environment if entry.partition("=")[0] in DAEMON_VARIABLES}


def plain(environment: Iterable[str]) -> set[str]:
    """Return all others by their names, each with a digest of its value."""
    entries = set(environment)
    return {
        f"{entry.partition('=')[0]} (digest {digest(entry)})"
        for entry in entries - risky(entries) - daemons(entries)
    }


def names_of(environment: Iterable[str]) -> set[str]:
    """Return the names of variables that are given as NAME=value."""
    return {entry.partition("=")[0] for entry in environment}
