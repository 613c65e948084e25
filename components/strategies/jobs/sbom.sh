#!/bin/sh
. ./parts/trivy.sh
trivy image "$@" --format cyclonedx --output gl-sbom-image.cdx.json "$BUILD_IMAGE"
