#!/bin/sh
. ./parts/signing.sh
if [ "$BUILD_RECURSIVE" = true ]; then set -- "$@" --recursive; fi
sign sign --yes "$@" "$BUILD_IMAGE"
