"""Stand-ins of cosign 3.1.1 and Trivy 0.75.0, which refuse what these refuse."""

_COSIGN_KNOWS = {
    "sign": "--yes --recursive --signing-config -a",
    "attest": "--yes --type --predicate --signing-config",
    "verify": "--certificate-identity-regexp --certificate-oidc-issuer --insecure-ignore-tlog -a",
    "verify-attestation": (
        "--certificate-identity-regexp --certificate-oidc-issuer --insecure-ignore-tlog --type"
    ),
}
_TRIVY_KNOWS = {
    "image": "--format --output --ignore-unfixed --scanners",
    "convert": "--format --output --template --severity --exit-code",
}
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
"""The type of what ``cosign sign`` leaves."""


def _tool(knows: dict[str, str], common: str, does: str) -> str:
    known = "\n".join(f"{command}) known=' {common} {more} ' ;;" for command, more in knows.items())
    return f"""\
#!/bin/sh
{{ printf '%s' "${{0##*/}}"; printf '|%s' "$@"; echo; }} >>"$CALLS"
if [ "$TOOL_STATUS" != 0 ]; then exit "$TOOL_STATUS"; fi
command=$1 && shift
for last in "$@"; do :; done
case "$command" in
{known}
esac
while [ $# -gt 1 ]; do
  case "$1" in
  -*) case "$known" in *" ${{1%%=*}} "*) ;; *) echo "unknown flag: $1" >&2 && exit 1 ;; esac ;;
  esac
  case "$1" in
{does}
"""


COSIGN = _tool(
    _COSIGN_KNOWS,
    "--key --allow-http-registry --trusted-root",
    f"""\
  --signing-config | --trusted-root) grep -q '"mediaType"' "$2" || exit 1 ;;
  --predicate) [ -s "$2" ] || exit 1 ;;
  --key)
    case "$command" in
    # It would read the password from standard input, to its end.
    sign | attest) [ -n "${{COSIGN_PASSWORD+set}}" ] || exit 1 ;;
    esac
    ;;
  esac
  shift
done
if [ "$command" = verify ]; then
  echo '[{{"critical":{{"type":"'"${{FOUND:-{SIGNATURE}}}"'"}},"optional":{{}}}}]'
fi
""",
)
"""Verifies all; ``FOUND`` is the type of what it finds."""

TRIVY = _tool(
    _TRIVY_KNOWS,
    "",
    """\
  --output) output=$2 ;;
  --format) format=$2 ;;
  --exit-code) code=$2 ;;
  --template) case "$2" in @*.tpl) ;; *) exit 1 ;; esac ;;
  --severity)
    case ",$2" in
    *,[!CHLMU]*) echo "invalid argument \\"$2\\" for \\"--severity\\" flag" >&2 && exit 1 ;;
    esac
    ;;
  esac
  shift
done
case "$command $format" in
'image json')
  if [ -n "${NO_DATABASE:-}" ]; then exit 1; fi
  mkdir -p "$TRIVY_CACHE_DIR/db" && echo '{}' >"$TRIVY_CACHE_DIR/db/metadata.json"
  ;;
convert*) [ -s "$last" ] || exit 1 ;;
esac
if [ -n "${output:-}" ]; then
  printf '{\\n  "specVersion": "1.7"\\n}\\n' >"$output"
fi
if [ -n "${FOUND:-}" ]; then exit "${code:-0}"; fi
""",
)
"""Has no database with ``NO_DATABASE``; with ``FOUND`` an image has what a scan looks for."""
