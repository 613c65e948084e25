#!/bin/sh
. ./parts/start.sh
for argument in $BUILD_ARGS; do set -- "$@" --build-arg "$argument"; done
unset IFS
. ./parts/output.sh
if [ -n "$BUILD_PLATFORMS" ]; then set -- "$@" --platform "$BUILD_PLATFORMS"; fi
if [ "$BUILD_CACHE" = true ]; then
  set -- "$@" --cache-from "$cache" --cache-to "$cache,mode=max"
fi
docker buildx build "$@" --file "$BUILD_DOCKERFILE" --output "$output" "$BUILD_CONTEXT"
