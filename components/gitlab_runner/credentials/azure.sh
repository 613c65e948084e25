#!/bin/sh
. ./start.sh
# The token of the pod's account for one of its identity (Entra), and that for one of the registry.
form='Content-Type: application/x-www-form-urlencoded'
scope='https%3A%2F%2Fcontainerregistry.azure.net%2F.default'
kind='urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer'
data="grant_type=client_credentials&client_id=$AZURE_CLIENT_ID&scope=$scope"
data="$data&client_assertion_type=$kind&client_assertion=$(cat "$AZURE_FEDERATED_TOKEN_FILE")"
answer=$(ask "$AZURE_AUTHORITY_HOST$AZURE_TENANT_ID/oauth2/v2.0/token" "$data" "$form")
data="grant_type=access_token&service=$registry&tenant=$AZURE_TENANT_ID"
data="$data&access_token=$(named access_token "$answer")"
answer=$(ask "https://$registry/oauth2/exchange" "$data" "$form")
login 00000000-0000-0000-0000-000000000000 "$(named refresh_token "$answer")"
