#!/bin/sh
. ./parts/job.sh
. ./parts/report.sh
. ./parts/regctl.sh
said=$(mktemp)
if digest=$(regctl image digest "$BUILD_IMAGE:$BUILD_TAG" 2>"$said"); then
  report "$digest"
  echo "${BUILD_OUTPUT}_EXISTS=true" >>"$CI_PROJECT_DIR/image.env"
elif grep -qi 'not found' "$said"; then
  echo "$BUILD_IMAGE:$BUILD_TAG is not there"
  echo "${BUILD_OUTPUT}_EXISTS=false" >"$CI_PROJECT_DIR/image.env"
else
  cat "$said" >&2
  exit 1
fi
