# Logs in to GitLab's registry and dependency proxy with the job's own token, unless the job has a
# login there. Builtins alone see a password: it is never an argument of a program.
logins="${DOCKER_CONFIG:-${HOME:-}/.docker}"
if ! mkdir -p "$logins" 2>/dev/null || [ ! -w "$logins" ]; then
  # The runner's folder is for the user of another image; what it copies there is here.
  logins=$(mktemp -d)
  if [ -r /etc/image-builds/docker/config.json ]; then
    cp /etc/image-builds/docker/config.json "$logins"
  fi
  export DOCKER_CONFIG="$logins"
fi
log_in() {
  if [ -z "$1" ] || [ -z "$3" ]; then return; fi
  config='{}'
  if [ -s "$logins/config.json" ]; then config=$(tr -d '\n\r\t' <"$logins/config.json"); fi
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
  (umask 077 && printf '%s' "$before$entry$after" >"$logins/config.json")
}
log_in "${CI_REGISTRY:-}" "${CI_REGISTRY_USER:-}" "${CI_REGISTRY_PASSWORD:-}"
log_in "${CI_DEPENDENCY_PROXY_SERVER:-}" "${CI_DEPENDENCY_PROXY_USER:-}" \
  "${CI_DEPENDENCY_PROXY_PASSWORD:-}"
