# Where BuildKit pushes the image and keeps its layers, whichever client calls it.
output="type=image,name=$BUILD_IMAGE:$BUILD_TAG,push=true"
cache="type=registry,ref=$BUILD_IMAGE:cache"
if [ "$BUILD_INSECURE" = true ]; then
  output="$output,registry.insecure=true"
  cache="$cache,registry.insecure=true"
fi
