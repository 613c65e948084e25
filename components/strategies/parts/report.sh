# Says where the image is: to people, to later jobs by variables, and as a file of each job.
report() {
  case "$1" in
  sha256:*) ;;
  *)
    echo "The tool gave no digest of $BUILD_IMAGE:$BUILD_TAG, so later jobs cannot find it" >&2
    exit 1
    ;;
  esac
  echo "$BUILD_IMAGE@$1"
  mkdir -p "$CI_PROJECT_DIR/image-builds"
  echo "$BUILD_IMAGE@$1" >"$CI_PROJECT_DIR/image-builds/${CI_JOB_NAME_SLUG:-image}"
  printf "${BUILD_OUTPUT}_%s\n" "TAG=$BUILD_IMAGE:$BUILD_TAG" "DIGEST=$1" \
    "REFERENCE=$BUILD_IMAGE@$1" >"$CI_PROJECT_DIR/image.env"
}
