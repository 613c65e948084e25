# The options of buildctl, which has its own for build arguments, labels, platforms and attestations.
. ./parts/start.sh
. ./parts/output.sh
. ./parts/secrets.sh
for argument in $arguments; do set -- "$@" --opt "build-arg:$argument"; done
for label in $labels; do set -- "$@" --opt "label:$label"; done
if [ -n "$BUILD_TARGET" ]; then set -- "$@" --opt "target=$BUILD_TARGET"; fi
if [ -n "$BUILD_PLATFORMS" ]; then set -- "$@" --opt "platform=$BUILD_PLATFORMS"; fi
if [ "$BUILD_PROVENANCE" != false ]; then
  set -- "$@" --opt "attest:provenance=mode=$BUILD_PROVENANCE"
fi
if [ "$BUILD_SBOM" = true ]; then set -- "$@" --opt attest:sbom=; fi
if [ "$BUILD_CACHE" = true ]; then
  set -- "$@" --import-cache "$cache" --export-cache "$cache,$mode"
fi
for flag in $BUILD_FLAGS; do set -- "$@" "$flag"; done
unset IFS
