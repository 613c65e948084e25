# What steps of the build may read and the image does not keep. BuildKit takes a variable that is
# not there for an empty secret.
for secret in $BUILD_SECRETS; do
  case "$secret" in
  *,env=*)
    variable=${secret#*,env=}
    if ! printenv "${variable%%,*}" >/dev/null; then
      echo "secrets: the job does not have the variable of ${secret%%,*};" \
        "it may be protected, or limited to an environment" >&2
      exit 1
    fi
    ;;
  esac
  set -- "$@" --secret "$secret"
done
for agent in $BUILD_SSH; do set -- "$@" --ssh "$agent"; done
