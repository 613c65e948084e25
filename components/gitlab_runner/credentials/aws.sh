#!/bin/sh
. ./start.sh
# The token of the pod's account for keys of its role (STS), and these for a login (ECR).
form='Content-Type: application/x-www-form-urlencoded'
region=${registry#*.ecr*.}
region=${region%%.*}
domain=amazonaws.com
case $registry in *.cn) domain=amazonaws.com.cn ;; esac
encoded() { printf '%s' "$1" | sed 's/%/%25/g; s/+/%2B/g; s/=/%3D/g; s/&/%26/g; s/,/%2C/g'; }
data="Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=image-builds"
data="$data&RoleArn=$(encoded "$AWS_ROLE_ARN")"
data="$data&WebIdentityToken=$(cat "$AWS_WEB_IDENTITY_TOKEN_FILE")"
answer=$(ask "${AWS_ENDPOINT_URL_STS:-https://sts.$region.$domain}/" "$data" "$form")
tagged() { printf '%s' "$answer" | tr -d '\n' | sed -n "s:.*<$1>\([^<]*\)</$1>.*:\1:p"; }
session=$(tagged SessionToken)

# Signature Version 4 (docs.aws.amazon.com: IAM, Create a signed AWS API request). Keys are in hex,
# and bytes are escapes of printf, since no variable can hold a zero.
digest() { sha256sum | cut -c 1-64; }
escape() { escaped="\\0$((${1} >> 6 & 3))$((${1} >> 3 & 7))$((${1} & 7))"; }
hmac() {
  rest=$1 inner='' outer='' count=0
  while [ "$count" -lt 64 ]; do
    byte=${rest%"${rest#??}"}
    rest=${rest#"$byte"}
    escape $((0x${byte:-0} ^ 0x36))
    inner=$inner$escaped
    escape $((0x${byte:-0} ^ 0x5c))
    outer=$outer$escaped
    count=$((count + 1))
  done
  rest=$({ printf '%b' "$inner"; printf '%s' "$2"; } | digest)
  while [ -n "$rest" ]; do
    byte=${rest%"${rest#??}"}
    rest=${rest#"$byte"}
    escape $((0x$byte))
    outer=$outer$escaped
  done
  printf '%b' "$outer" | digest
}
lines() { printf '%s\n' "$@"; }
url=${AWS_ENDPOINT_URL_ECR:-https://api.ecr.$region.$domain}
now=$(date -u +%Y%m%dT%H%M%SZ)
scope="${now%T*}/$region/ecr/aws4_request"
type=application/x-amz-json-1.1
target=AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken
names='content-type;host;x-amz-date;x-amz-security-token;x-amz-target'
asked=$(lines POST / '' "content-type:$type" "host:${url#*://}" "x-amz-date:$now" \
  "x-amz-security-token:$session" "x-amz-target:$target" '' "$names" "$(printf '{}' | digest)")
text=$(lines AWS4-HMAC-SHA256 "$now" "$scope" "$(printf '%s' "$asked" | digest)")
key=$(printf 'AWS4%s' "$(tagged SecretAccessKey)" | od -An -v -tx1 | tr -d ' \n')
for part in "${now%T*}" "$region" ecr aws4_request; do key=$(hmac "$key" "$part"); done
credential="Credential=$(tagged AccessKeyId)/$scope, SignedHeaders=$names"
answer=$(ask "$url/" '{}' "Content-Type: $type" "X-Amz-Date: $now" "X-Amz-Target: $target" \
  "X-Amz-Security-Token: $session" \
  "Authorization: AWS4-HMAC-SHA256 $credential, Signature=$(hmac "$key" "$text")")
pair=$(named authorizationToken "$answer" | base64 -d)
login "${pair%%:*}" "${pair#*:}"
