#!/bin/sh
. ./parts/job.sh
. ./parts/report.sh
. ./parts/references.sh
. ./parts/regctl.sh
sources="$BUILD_SOURCES"
if [ -z "$sources" ] && [ -d "$CI_PROJECT_DIR/image-builds" ]; then
  sources=$(cd "$CI_PROJECT_DIR/image-builds" && set +f && cat -- *)
fi
if [ -z "$sources" ]; then
  echo "sources: must name the images, or run after their builds: none left the folder image-builds" >&2
  exit 1
fi
for source in $sources; do set -- "$@" --ref "$source"; done
IFS=,
# Of a source that is a list itself, as Buildah's are, or BuildKit's with attestations.
for platform in $BUILD_PLATFORMS; do set -- "$@" --platform "$platform"; done
digest=$(regctl index create --by-digest "$BUILD_IMAGE" "$@")
for platform in $BUILD_PLATFORMS; do
  if ! regctl image digest --platform "$platform" "$BUILD_IMAGE@$digest" >/dev/null; then
    echo "platforms: none of the sources is for $platform" >&2
    exit 1
  fi
done
IFS="$newline"
for reference in $references; do regctl image copy "$BUILD_IMAGE@$digest" "$reference"; done
report "$digest"
