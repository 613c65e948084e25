# How Trivy reaches the registry, and reads the image.
. ./parts/job.sh
. ./parts/by-digest.sh
if [ "$BUILD_INSECURE" = true ]; then export TRIVY_NON_SSL=true; fi
. ./parts/flags.sh
