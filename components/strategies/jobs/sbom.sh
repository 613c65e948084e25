#!/bin/sh
. ./parts/trivy.sh
trivy image "$@" --format cyclonedx --output gl-sbom-image.cdx.json "$BUILD_IMAGE"
# Older GitLabs read CycloneDX up to 1.6, and what Trivy writes has nothing that 1.7 added.
sed -i '1,9s/"specVersion": "1\.7"/"specVersion": "1.6"/; 1,9s/bom-1\.7\./bom-1.6./' gl-sbom-image.cdx.json
