# What cosign signs and verifies with: a key, or without one the identity of GitLab's token.
. ./parts/job.sh
. ./parts/by-digest.sh
if [ -n "$BUILD_KEY" ]; then set -- "$@" --key "$BUILD_KEY"; fi
if [ "$BUILD_INSECURE" = true ]; then set -- "$@" --allow-http-registry; fi
for flag in $BUILD_FLAGS; do set -- "$@" "$flag"; done
