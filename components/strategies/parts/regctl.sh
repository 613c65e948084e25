# How regctl reaches the registry of the image.
REGCTL_CONFIG=$(mktemp)
export REGCTL_CONFIG
if [ "$BUILD_INSECURE" = true ]; then
  printf '{"hosts":{"%s":{"tls":"disabled"}}}' "${BUILD_IMAGE%%/*}" >"$REGCTL_CONFIG"
else
  echo '{}' >"$REGCTL_CONFIG"
fi
