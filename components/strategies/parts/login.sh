# Logs in to GitLab's registry and dependency proxy with the job's own token, unless the job has a
# login there. Builtins alone see a password: it is no argument of a program.
log_in() {
  if [ -z "$1" ] || [ -z "$3" ]; then return; fi
  folder="${DOCKER_CONFIG:-${HOME:-}/.docker}"
  config='{}'
  if [ -s "$folder/config.json" ]; then config=$(tr -d '\n\r\t' <"$folder/config.json"); fi
  case "$config" in *"\"$1\""*) return ;; esac
  entry="\"$1\":{\"auth\":\"$(printf '%s:%s' "$2" "$3" | base64 | tr -d '\n')\"}"
  case "$config" in
  *'"auths"'*)
    after=${config#*\"auths\"}
    before="${config%"$after"}:{"
    after=${after#*\{}
    ;;
  *)
    before='{"auths":{'
    entry="$entry}"
    after=${config#*\{}
    ;;
  esac
  after=${after#"${after%%[! ]*}"}
  case "$after" in '}'*) ;; *) entry="$entry," ;; esac
  if ! (
    umask 077
    mkdir -p "$folder" && printf '%s' "$before$entry$after" >"$folder/config.json"
  ); then
    echo "The login to $1 could not be written to $folder/config.json" >&2
    exit 1
  fi
}
log_in "${CI_REGISTRY:-}" "${CI_REGISTRY_USER:-}" "${CI_REGISTRY_PASSWORD:-}"
log_in "${CI_DEPENDENCY_PROXY_SERVER:-}" "${CI_DEPENDENCY_PROXY_USER:-}" \
  "${CI_DEPENDENCY_PROXY_PASSWORD:-}"
