# Refuses several platforms, for tools that build for one at a time.
case "$BUILD_PLATFORMS" in
*,*)
  echo "platforms: this tool builds for one platform at a time; name one, or use buildkit" >&2
  exit 1
  ;;
esac
