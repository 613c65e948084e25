# The user's own options, after those of the job, since the last one wins.
for flag in $BUILD_FLAGS; do set -- "$@" "$flag"; done
