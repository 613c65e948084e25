#!/bin/sh
. ./parts/signing.sh
predicate="$BUILD_PREDICATE"
text() {
  printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"
}
if [ -z "$predicate" ] && [ "$BUILD_TYPE" = slsaprovenance1 ]; then
  predicate=$(mktemp)
  # https://slsa.dev/spec/v1.0/provenance
  cat >"$predicate" <<END
{
  "buildDefinition": {
    "buildType": "https://docs.gitlab.com/ci/yaml/",
    "externalParameters": {
      "source": $(text "$CI_PROJECT_URL"),
      "ref": $(text "$CI_COMMIT_REF_NAME"),
      "entryPoint": $(text "${CI_CONFIG_PATH:-.gitlab-ci.yml}")
    },
    "internalParameters": {
      "event": $(text "$CI_PIPELINE_SOURCE"),
      "pipeline": $(text "$CI_PIPELINE_URL"),
      "job": $(text "$CI_JOB_URL")
    },
    "resolvedDependencies": [
      {
        "uri": $(text "git+$CI_PROJECT_URL@$CI_COMMIT_REF_NAME"),
        "digest": {"gitCommit": $(text "$CI_COMMIT_SHA")}
      }
    ]
  },
  "runDetails": {
    "builder": {"id": $(text "$CI_SERVER_URL/-/runners/$CI_RUNNER_ID")},
    "metadata": {
      "invocationId": $(text "$CI_PIPELINE_URL"),
      "startedOn": $(text "$CI_PIPELINE_CREATED_AT"),
      "finishedOn": "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    }
  }
}
END
fi
if [ ! -s "$predicate" ]; then
  echo "predicate: must be a file for the type $BUILD_TYPE, but is '$predicate'" >&2
  exit 1
fi
sign attest --yes "$@" --type "$BUILD_TYPE" --predicate "$predicate" "$BUILD_IMAGE"
