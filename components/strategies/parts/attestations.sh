# Attestations only where they are asked for: not every registry and tool takes the index of one image.
export BUILDX_NO_DEFAULT_ATTESTATIONS=1
if [ "$BUILD_PROVENANCE" != false ]; then set -- "$@" --provenance "mode=$BUILD_PROVENANCE"; fi
if [ "$BUILD_SBOM" = true ]; then set -- "$@" --sbom true; fi
