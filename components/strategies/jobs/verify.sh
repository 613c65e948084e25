#!/bin/sh
. ./parts/cosign.sh
if [ -z "$BUILD_KEY" ]; then
  set -- "$@" --certificate-identity-regexp "$BUILD_IDENTITY" \
    --certificate-oidc-issuer "$BUILD_ISSUER"
fi
cosign verify "$@" "$BUILD_IMAGE"
for type in $BUILD_ATTESTATIONS; do
  cosign verify-attestation --type "$type" "$@" "$BUILD_IMAGE" >/dev/null
  echo "$BUILD_IMAGE has a signed attestation $type"
done
