#!/bin/sh
. ./parts/start.sh
refuse provenance "${BUILD_PROVENANCE:-}" \
  "Buildah writes none; use the component attest, or buildkit-service, buildkit or buildx"
refuse sbom "${BUILD_SBOM:-}" \
  "Buildah attaches none; use the component sbom, or buildkit-service, buildkit or buildx"
refuse cache_mode "${BUILD_CACHE_MODE:-}" \
  "Buildah keeps the layers of all stages; leave it out, or use buildkit"
. ./parts/secrets.sh
if [ -n "$BUILD_PLATFORMS" ]; then set -- "$@" --platform "$BUILD_PLATFORMS"; fi
if [ "$BUILD_CACHE" = true ]; then
  cache="${BUILD_CACHE_REFERENCE:-$BUILD_IMAGE/cache}"
  set -- "$@" --layers --cache-from "$cache" --cache-to "$cache"
fi
# Given at all, the flag outranks what registries.conf says of plain HTTP.
tls=
if [ "$BUILD_INSECURE" = true ]; then tls=--tls-verify=false; fi
. ./parts/options.sh
buildah build "$@" ${tls:+"$tls"} --file "$BUILD_DOCKERFILE" --manifest build-image "$BUILD_CONTEXT"
digest=$(mktemp)
# From the first reference to the last, so that the digest of the first is the one that stays.
for reference in $references; do
  buildah manifest push --all ${tls:+"$tls"} --digestfile "$digest" build-image "docker://$reference"
  # A push that failed ends well and says nothing with this option (buildah:cmd/buildah/manifest.go,
  # manifestPush), but leaves the file empty.
  if [ ! -s "$digest" ]; then
    buildah manifest push --all ${tls:+"$tls"} build-image "docker://$reference"
  fi
done
report "$(cat "$digest")"
