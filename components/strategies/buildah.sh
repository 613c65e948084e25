#!/bin/sh
. ./parts/start.sh
for argument in $BUILD_ARGS; do set -- "$@" --build-arg "$argument"; done
unset IFS
if [ -n "$BUILD_PLATFORMS" ]; then set -- "$@" --platform "$BUILD_PLATFORMS"; fi
if [ "$BUILD_CACHE" = true ]; then
  set -- "$@" --layers --cache-from "$BUILD_IMAGE/cache" --cache-to "$BUILD_IMAGE/cache"
fi
# Given at all, the flag outranks what registries.conf says of plain HTTP.
tls=
if [ "$BUILD_INSECURE" = true ]; then tls=--tls-verify=false; fi
buildah build "$@" ${tls:+"$tls"} --file "$BUILD_DOCKERFILE" --manifest build-image "$BUILD_CONTEXT"
buildah manifest push --all ${tls:+"$tls"} build-image "docker://$BUILD_IMAGE:$BUILD_TAG"
