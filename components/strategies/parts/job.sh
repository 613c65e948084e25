# Begins every job that comes before or after a build: one value on each line of a list, a login,
# and the CA that programs written in Go trust beside those of their image.
set -euf
set --
newline='
'
IFS="$newline"
if [ -n "$BUILD_CA_FILE" ]; then export SSL_CERT_FILE="$BUILD_CA_FILE"; fi
. ./parts/login.sh
