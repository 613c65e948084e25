# What cosign signs with, and which services get to know of it: with a key none, unless they are to.
. ./parts/cosign.sh
if [ -n "$BUILD_KEY" ] && [ "$BUILD_TRANSPARENCY_LOG" != true ]; then
  services=$(mktemp)
  trusted=$(mktemp)
  kind=application/vnd.dev.sigstore
  echo "{\"mediaType\":\"$kind.signingconfig.v0.2+json\"}" >"$services"
  echo "{\"mediaType\":\"$kind.trustedroot+json;version=0.1\"}" >"$trusted"
  set -- "$@" --signing-config "$services" --trusted-root "$trusted"
fi
. ./parts/flags.sh
sign() {
  if cosign "$@"; then return; else status=$?; fi
  if [ -z "$BUILD_KEY" ]; then
    echo "key: is empty, so Sigstore must accept the token of this GitLab, and its public services" \
      "accept those of gitlab.com alone; elsewhere name a key, or your own Sigstore" >&2
  fi
  exit "$status"
}
