#!/bin/sh
# Does what docker-library/docker documents of its entrypoint, as far as plans rely on it: flags
# alone start the engine, on 2376 with certificates made in DOCKER_TLS_CERTDIR, or on 2375 without
# where that is empty, and at the socket that DOCKER_HOST names; as another user than root the engine
# runs rootless.
set -eu

certificates() {
  mkdir -p "$1/ca" "$1/server" "$1/client"
  if [ ! -s "$1/client/cert.pem" ]; then
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ca \
      -keyout "$1/ca/key.pem" -out "$1/ca/cert.pem"
    names="DNS:docker,DNS:localhost,DNS:$(hostname),IP:127.0.0.1"
    for side in server client; do
      openssl req -newkey rsa:2048 -nodes -subj "/CN=$side" \
        -keyout "$1/$side/key.pem" -out "$1/$side/csr.pem"
      printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$names" >"$1/ext"
      openssl x509 -req -days 30 -in "$1/$side/csr.pem" -CA "$1/ca/cert.pem" \
        -CAkey "$1/ca/key.pem" -CAcreateserial -extfile "$1/ext" -out "$1/$side/cert.pem"
      cp "$1/ca/cert.pem" "$1/$side/ca.pem"
    done
    # The folder may be a volume, which is another's.
    chmod a+r "$1"/client/*
  fi
}

user=$(id -u)
if [ $# -eq 0 ] || [ "${1#-}" != "$1" ]; then
  set -- dockerd "$@"
  if [ "$user" != 0 ]; then
    socket="unix://$XDG_RUNTIME_DIR/docker.sock"
  else
    socket=unix:///var/run/docker.sock
  fi
  case "${DOCKER_HOST:-}" in unix://*) socket="$DOCKER_HOST" ;; esac
  if [ -n "${DOCKER_TLS_CERTDIR:-}" ]; then
    certificates "$DOCKER_TLS_CERTDIR" >/dev/null 2>&1
    server="$DOCKER_TLS_CERTDIR/server"
    shift
    set -- dockerd "--host=$socket" --host=tcp://0.0.0.0:2376 --tlsverify \
      "--tlscacert=$server/ca.pem" "--tlscert=$server/cert.pem" "--tlskey=$server/key.pem" "$@"
  else
    shift
    set -- dockerd "--host=$socket" --host=tcp://0.0.0.0:2375 "$@"
  fi
fi
if [ "$1" = dockerd ]; then
  rm -f /var/run/docker.pid 2>/dev/null || true
  if [ "$user" != 0 ]; then
    shift
    set -- dockerd-rootless.sh "$@"
  fi
fi
exec "$@"
