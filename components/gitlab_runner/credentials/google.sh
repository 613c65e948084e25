#!/bin/sh
. ./start.sh
# The metadata server has a token of the pod's identity; no proxy leads there.
unset http_proxy HTTP_PROXY
path=computeMetadata/v1/instance/service-accounts/default/token
answer=$(ask "http://${GCE_METADATA_HOST:-metadata.google.internal}/$path" '' \
  'Metadata-Flavor: Google')
login oauth2accesstoken "$(named access_token "$answer")"
