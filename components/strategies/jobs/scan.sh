#!/bin/sh
. ./parts/trivy.sh
result=$(mktemp)
trivy image "$@" --format json --output "$result" "$BUILD_IMAGE" || {
  status=$?
  if [ ! -e "$TRIVY_CACHE_DIR/db/metadata.json" ]; then
    echo "Trivy has no database of vulnerabilities: let the job reach mirror.gcr.io or ghcr.io, or" \
      "name a copy of ghcr.io/aquasecurity/trivy-db:2 in the variable TRIVY_DB_REPOSITORY" >&2
  fi
  exit "$status"
}
trivy convert --format template --template @/contrib/gitlab.tpl \
  --output gl-container-scanning-report.json "$result"
trivy convert --format table "$result"
if [ -n "$BUILD_SEVERITY" ]; then
  status=0
  trivy convert --format table --severity "$BUILD_SEVERITY" --exit-code 3 "$result" >/dev/null ||
    status=$?
  # With another status Trivy itself failed, and says why.
  if [ "$status" = 3 ]; then
    echo "severity: the table above has a finding that is $BUILD_SEVERITY" >&2
  fi
  if [ "$status" != 0 ]; then exit "$status"; fi
fi
