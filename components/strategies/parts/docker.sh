# Builds and pushes with a Docker engine, the node's or the job's.
. ./parts/start.sh
for argument in $BUILD_ARGS; do set -- "$@" --build-arg "$argument"; done
unset IFS
. ./parts/one-platform.sh
if [ "$BUILD_INSECURE" = true ]; then
  echo "insecure_registry: only the engine can allow it; set registries[].insecure" >&2
  exit 1
fi
if [ -n "$BUILD_PLATFORMS" ]; then set -- "$@" --platform "$BUILD_PLATFORMS"; fi
if [ "$BUILD_CACHE" = true ]; then
  set -- "$@" --cache-from "type=registry,ref=$BUILD_IMAGE:cache" --cache-to type=inline
  set -- "$@" --tag "$BUILD_IMAGE:cache"
fi
docker build "$@" --file "$BUILD_DOCKERFILE" --tag "$BUILD_IMAGE:$BUILD_TAG" "$BUILD_CONTEXT"
docker push "$BUILD_IMAGE:$BUILD_TAG"
if [ "$BUILD_CACHE" = true ]; then docker push "$BUILD_IMAGE:cache"; fi
