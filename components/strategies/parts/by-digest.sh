# A tag may be another image by the time that a later job reads it.
case "$BUILD_IMAGE" in
*@sha256:*) ;;
*)
  echo "image: must end in a digest, as \$IMAGE_REFERENCE of a build does, but is '$BUILD_IMAGE';" \
    "does the job run after the build, and in the same pipeline?" >&2
  exit 1
  ;;
esac
