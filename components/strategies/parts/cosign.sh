# What cosign signs and verifies with: a key, or without one the identity of GitLab's token.
. ./parts/job.sh
. ./parts/by-digest.sh
if [ -n "$BUILD_KEY" ]; then
  set -- "$@" --key "$BUILD_KEY"
  # Without one, cosign waits for a password on standard input.
  export COSIGN_PASSWORD="${COSIGN_PASSWORD:-}"
fi
if [ "$BUILD_INSECURE" = true ]; then set -- "$@" --allow-http-registry; fi
