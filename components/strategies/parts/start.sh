# Begins every build: no option but ours, and a build argument on each line of $BUILD_ARGS.
set -euf
set --
newline='
'
IFS="$newline"
