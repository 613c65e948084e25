#!/bin/sh
. ./parts/cosign.sh
if [ "$BUILD_RECURSIVE" = true ]; then set -- "$@" --recursive; fi
cosign sign --yes "$@" "$BUILD_IMAGE"
