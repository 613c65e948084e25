"""What looks like a secret, and so must not be copied into a file."""

import re

from components.settings.plain_text import has_login

_NAMED = re.compile(
    r"(?:^|[_.-])(?:pass|passwd|password|passphrase|secret|token|credentials?|auth|"
    r"(?:private|api|access|secret|signing|account|storage|encryption)_?key)(?:$|[_.-])|"
    r"(?:password|secret|token|apikey|accesskey|privatekey)$",
    re.IGNORECASE,
)
_NAMES = ("vault.hashicorp.com/", "secret.reloader.stakater.com/")
"""How annotations begin that name secrets: of Vault's injector and of Reloader."""
_VALUE = re.compile(
    # GitLab's and GitHub's tokens, keys of AWS, Google and Slack, JSON Web Tokens, private keys.
    r"\bgl[a-z]{2,6}-[\w.-]{8,}|\bGR1348941[\w-]{5,}|\bgh[oprsu]_\w{20,}|\bgithub_pat_\w{20,}|"
    r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\bAIza[\w-]{30,}|\bxox[abprs]-[\w-]{10,}|"
    r"\beyJ[\w-]{10,}\.[\w-]{10,}\.|-----BEGIN [A-Z ]*PRIVATE KEY|\bhvs\.\w{20,}|"
    r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|(?i:\b(?:bearer|basic) [\w+/=.-]{16,})"
)
_ASSIGNED = re.compile(
    r"(?i:(?:password|passwd|secret|token|api_?key|access_?key)[\"']?\s*[=:]\s*"
    r"[\"']?(?!\$)[^\s\"'$]{6,})|\"auths?\"\s*:|"
    # Programs that take one as an option: docker login -p, sshpass -p, curl -u user:password.
    r"\b(?:login|sshpass)\b[^\n|;&]{0,200}\s(?:-p|--password)[ =]?[\"']?(?!\$)"
    r"[^\s\"'$-][^\s\"'$]{3,}|"
    r"\bcurl\b[^\n|;&]{0,200}\s(?:-u|--user)[ =]?[\"']?[^\s\"'$:]+:(?!\$)[^\s\"'$]{4,}"
)


def is_secret_name(name: str) -> bool:
    """Whether what has such a name is a secret, and not the name or path of one."""
    return bool(_NAMED.search(name)) and not name.startswith(_NAMES)


def is_secret(text: str) -> bool:
    """Whether a text is, or contains, what looks like a secret."""
    return bool(_VALUE.search(text) or _ASSIGNED.search(text)) or has_login(text)


def scrub(text: str) -> str:
    """Return a text without what has the form of a secret."""
    return _VALUE.sub("[secret]", text)
