#!/bin/sh
. ./parts/start.sh
refuse secrets "${BUILD_SECRETS:-}" \
  "Kaniko has no build secrets; use buildkit-service, buildkit, buildah, buildx or dind"
refuse ssh "${BUILD_SSH:-}" \
  "Kaniko lends steps no SSH agent; use buildkit-service, buildkit, buildah, buildx or dind"
refuse provenance "${BUILD_PROVENANCE:-}" \
  "Kaniko writes none; use the component attest, or buildkit-service, buildkit or buildx"
refuse sbom "${BUILD_SBOM:-}" \
  "Kaniko writes none; use the component sbom, or buildkit-service, buildkit or buildx"
refuse cache_mode "${BUILD_CACHE_MODE:-}" \
  "Kaniko keeps the layers of all stages; leave it out, or use buildkit"
. ./parts/one-platform.sh
if [ -n "$BUILD_PLATFORMS" ]; then set -- "$@" --custom-platform "$BUILD_PLATFORMS"; fi
if [ "$BUILD_CACHE" = true ]; then
  set -- "$@" --cache=true --cache-repo "${BUILD_CACHE_REFERENCE:-$BUILD_IMAGE/cache}"
fi
if [ "$BUILD_INSECURE" = true ]; then set -- "$@" --insecure --insecure-pull; fi
for reference in $references; do set -- "$@" --destination "$reference"; done
. ./parts/options.sh
unset IFS
# Of all folders, Kaniko leaves its own alone.
digest="${KANIKO_DIR:-/kaniko}/image-digest"
# shellcheck disable=SC2086 # one word for each flag, as the runner sets them
/kaniko/executor ${KANIKO_FLAGS:-} "$@" --context "$BUILD_CONTEXT" \
  --dockerfile "$BUILD_DOCKERFILE" --digest-file "$digest"
report "$(cat "$digest")"
