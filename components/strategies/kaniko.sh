#!/bin/sh
. ./parts/start.sh
for argument in $BUILD_ARGS; do set -- "$@" --build-arg "$argument"; done
unset IFS
. ./parts/one-platform.sh
if [ -n "$BUILD_PLATFORMS" ]; then set -- "$@" --custom-platform "$BUILD_PLATFORMS"; fi
if [ "$BUILD_CACHE" = true ]; then
  set -- "$@" --cache=true --cache-repo "$BUILD_IMAGE/cache"
fi
if [ "$BUILD_INSECURE" = true ]; then set -- "$@" --insecure --insecure-pull; fi
# shellcheck disable=SC2086 # one word for each flag, as the runner sets them
/kaniko/executor ${KANIKO_FLAGS:-} "$@" --context "$BUILD_CONTEXT" \
  --dockerfile "$BUILD_DOCKERFILE" --destination "$BUILD_IMAGE:$BUILD_TAG"
