# Begins every build: no option but ours, one value on each line of a list, and what later parts call.
set -euf
set --
newline='
'
IFS="$newline"

# Ends the job where an input has a value for which the tool has no use: input, value, the way out.
refuse() {
  case "$2" in
  '' | false) ;;
  *)
    echo "$1: $3" >&2
    exit 1
    ;;
  esac
}

. ./parts/report.sh
. ./parts/skip.sh
. ./parts/login.sh

. ./parts/references.sh
references="$references$newline$BUILD_DESTINATIONS"

# A build argument for each proxy of the job; Dockerfiles know them without ARG.
arguments=
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
  eval "value=\${$name:-}"
  if [ -n "$value" ]; then arguments="$arguments$newline$name=$value"; fi
done
arguments="$arguments$newline$BUILD_ARGS"

# No time: the same commit gives the same image, whose configuration has the time of its build.
labels=
label() {
  if [ -n "$2" ]; then labels="$labels${newline}org.opencontainers.image.$1=$2"; fi
}
if [ "$BUILD_OCI_LABELS" = true ]; then
  label revision "${CI_COMMIT_SHA:-}"
  label source "${CI_PROJECT_URL:-}"
  label title "${CI_PROJECT_TITLE:-}"
  label url "${CI_PROJECT_URL:-}"
  label version "${CI_COMMIT_REF_NAME:-}"
fi
labels="$labels$newline$BUILD_LABELS"
