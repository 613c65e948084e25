# All names that the image gets, one on each line.
references="$BUILD_IMAGE:$BUILD_TAG"
for tag in $BUILD_MORE_TAGS; do references="$references$newline$BUILD_IMAGE:$tag"; done
