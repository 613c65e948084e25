# The options that Docker, Buildah and Kaniko call alike.
for argument in $arguments; do set -- "$@" --build-arg "$argument"; done
for label in $labels; do set -- "$@" --label "$label"; done
if [ -n "$BUILD_TARGET" ]; then set -- "$@" --target "$BUILD_TARGET"; fi
for flag in $BUILD_FLAGS; do set -- "$@" "$flag"; done
