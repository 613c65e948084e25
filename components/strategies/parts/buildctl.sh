# The options of buildctl, which has its own for build arguments and platforms.
. ./parts/start.sh
for argument in $BUILD_ARGS; do set -- "$@" --opt "build-arg:$argument"; done
unset IFS
. ./parts/output.sh
if [ -n "$BUILD_PLATFORMS" ]; then set -- "$@" --opt "platform=$BUILD_PLATFORMS"; fi
if [ "$BUILD_CACHE" = true ]; then
  set -- "$@" --import-cache "$cache" --export-cache "$cache,mode=max"
fi
