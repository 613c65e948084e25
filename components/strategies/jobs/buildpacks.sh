#!/bin/sh
. ./parts/job.sh
. ./parts/report.sh
. ./parts/skip.sh
for flag in $BUILD_FLAGS; do set -- "$@" "$flag"; done
if [ "$BUILD_CACHE" = true ]; then
  set -- "$@" -cache-image "${BUILD_CACHE_REFERENCE:-$BUILD_IMAGE:cache}"
fi
if [ "$BUILD_INSECURE" = true ]; then set -- "$@" -insecure-registry "${BUILD_IMAGE%%/*}"; fi
for tag in $BUILD_MORE_TAGS; do set -- "$@" -tag "$BUILD_IMAGE:$tag"; done
platform=$(mktemp -d)
mkdir "$platform/env"
for variable in $BUILD_ENVIRONMENT; do
  printf '%s' "${variable#*=}" >"$platform/env/${variable%%=*}"
done
# The image has the path of the folder that it is built in, and all that is there.
app="${CNB_APP_DIR:-/workspace}"
cp -R "$BUILD_CONTEXT/." "$app"
rm -rf "$app/.git"
# Where root starts it, it goes on as the user of the builder.
if [ "$(id -u)" = 0 ]; then chown -R "$CNB_USER_ID:$CNB_GROUP_ID" "$app" "$platform"; fi
/cnb/lifecycle/creator "$@" -app "$app" -platform "$platform" -report "$platform/report.toml" \
  "$BUILD_IMAGE:$BUILD_TAG"
report "$(sed -n 's/^ *digest = "\([^"]*\)".*/\1/p' "$platform/report.toml")"
