#!/bin/sh
. ./parts/trivy.sh
result=$(mktemp)
trivy image "$@" --format json --output "$result" "$BUILD_IMAGE"
trivy convert --format template --template @/contrib/gitlab.tpl \
  --output gl-container-scanning-report.json "$result"
trivy convert --format table "$result"
if [ -n "$BUILD_SEVERITY" ]; then
  trivy convert --format table --severity "$BUILD_SEVERITY" --exit-code 1 "$result" >/dev/null || {
    echo "severity: the image has a vulnerability that is $BUILD_SEVERITY" >&2
    exit 1
  }
fi
