#!/bin/sh
. ./parts/job.sh
. ./parts/report.sh
. ./parts/references.sh
. ./parts/regctl.sh
digest=$(regctl image digest "$BUILD_SOURCE")
if [ "$BUILD_OVERWRITE" = false ] &&
  found=$(regctl image digest "$BUILD_IMAGE:$BUILD_TAG" 2>/dev/null) && [ "$found" != "$digest" ]; then
  echo "tag: $BUILD_IMAGE:$BUILD_TAG is another image, $found; name another tag, or set overwrite" >&2
  exit 1
fi
# With what is attached to the image: signatures and attestations.
for reference in $references; do
  regctl image copy --referrers --digest-tags "${BUILD_SOURCE%@*}@$digest" "$reference"
done
report "$digest"
