#!/bin/sh
. ./parts/start.sh
. ./parts/output.sh
. ./parts/secrets.sh
. ./parts/attestations.sh
if [ -n "$BUILD_PLATFORMS" ]; then set -- "$@" --platform "$BUILD_PLATFORMS"; fi
if [ "$BUILD_CACHE" = true ]; then
  set -- "$@" --cache-from "$cache" --cache-to "$cache,$mode"
fi
. ./parts/options.sh
docker buildx build "$@" --file "$BUILD_DOCKERFILE" --metadata-file "$metadata" \
  --output "$output" "$BUILD_CONTEXT"
report_metadata
