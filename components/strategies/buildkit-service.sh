#!/bin/sh
. ./parts/buildctl.sh
# shellcheck disable=SC2086 # one word for each flag, as the runner sets them
buildctl ${BUILDKIT_FLAGS:-} build ${BUILDCTL_FLAGS:-} "$@" --frontend dockerfile.v0 \
  --local "context=$BUILD_CONTEXT" --local "dockerfile=$(dirname "$BUILD_DOCKERFILE")" \
  --opt "filename=$(basename "$BUILD_DOCKERFILE")" --metadata-file "$metadata" --output "$output"
report_metadata
