#!/bin/sh
. ./parts/cosign.sh
if [ -z "$BUILD_KEY" ]; then
  set -- "$@" --certificate-identity-regexp "$BUILD_IDENTITY" \
    --certificate-oidc-issuer "$BUILD_ISSUER"
elif [ "$BUILD_TRANSPARENCY_LOG" != true ]; then
  set -- "$@" --insecure-ignore-tlog
fi
. ./parts/flags.sh
found=$(cosign verify "$@" "$BUILD_IMAGE")
echo "$found"
# Cosign takes an attestation by the same signer for a signature; the second type is that of cosign 2.
case "$found" in
*'"type":"https://sigstore.dev/cosign/sign/v1"'* | *'"type":"cosign container image signature"'*) ;;
*)
  echo "image: $BUILD_IMAGE has signed attestations, but is not signed itself" >&2
  exit 1
  ;;
esac
for type in $BUILD_ATTESTATIONS; do
  cosign verify-attestation --type "$type" "$@" "$BUILD_IMAGE" >/dev/null
  echo "$BUILD_IMAGE has a signed attestation $type"
done
