# Where BuildKit pushes the image, keeps its layers and says its digest, whichever client calls it.
names=
for reference in $references; do names="$names,$reference"; done
output="type=image,\"name=${names#,}\",push=true"
cache="type=registry,ref=${BUILD_CACHE_REFERENCE:-$BUILD_IMAGE:cache}"
if [ "$BUILD_INSECURE" = true ]; then
  output="$output,registry.insecure=true"
  cache="$cache,registry.insecure=true"
fi
mode="mode=${BUILD_CACHE_MODE:-max}"
metadata=$(mktemp)
report_metadata() {
  report "$(sed -n 's/.*"containerimage.digest": *"\([^"]*\)".*/\1/p' "$metadata")"
}
