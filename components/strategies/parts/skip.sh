# Builds nothing where the component exists has found the image.
if [ "$BUILD_SKIP_EXISTING" = true ] && [ "$(printenv "${BUILD_OUTPUT}_EXISTS")" = true ]; then
  echo "$BUILD_IMAGE:$BUILD_TAG is there already"
  report "$(printenv "${BUILD_OUTPUT}_DIGEST")"
  exit 0
fi
