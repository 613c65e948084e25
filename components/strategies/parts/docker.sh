# Builds and pushes with a Docker engine, the node's or the job's.
. ./parts/start.sh
refuse insecure_registry "${BUILD_INSECURE:-}" \
  "only the engine can allow it; set registries[].insecure"
refuse cache_mode "${BUILD_CACHE_MODE:-}" \
  "Docker keeps the layers of the last stage alone, inside the image; use buildkit or buildx"
. ./parts/one-platform.sh
. ./parts/secrets.sh
. ./parts/attestations.sh
if [ -n "$BUILD_PLATFORMS" ]; then set -- "$@" --platform "$BUILD_PLATFORMS"; fi
cache="${BUILD_CACHE_REFERENCE:-$BUILD_IMAGE:cache}"
if [ "$BUILD_CACHE" = true ]; then
  set -- "$@" --cache-from "type=registry,ref=$cache" --cache-to type=inline
  references="$references$newline$cache"
fi
for reference in $references; do set -- "$@" --tag "$reference"; done
. ./parts/options.sh
docker build "$@" --file "$BUILD_DOCKERFILE" "$BUILD_CONTEXT"
for reference in $references; do docker push "$reference"; done
digest=
# Docker leaves out the host of Docker Hub.
known=$(docker image inspect --format '{{join .RepoDigests "\n"}}' "$BUILD_IMAGE:$BUILD_TAG")
for found in $known; do
  case "$found" in "${BUILD_IMAGE#docker.io/}@"*) digest=${found#*@} ;; esac
done
report "$digest"
