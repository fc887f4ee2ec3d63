#!/bin/sh
# A first exchange by hand, with curl and openssl: a token, a signed message, its receipt, and the receipt checked offline.
#
#   tests/first_exchange.sh DIR [CLIENT [EVENT]]
#
# DIR     folder of a running demo (cargo demo --dir DIR)
# CLIENT  whose credentials to use; kp2mi-system by default
# EVENT   file with one CloudEvent; a nomination by default
#
# Needs onechannel on the PATH (or in $ONECHANNEL) for the last step only.
set -eu
dir=$1
client=${2:-kp2mi-system}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
base=$(sed -n 's/^external = "\(.*\)"/\1/p' "$dir/gateway.toml")
key="$dir/pki/$client-sign.key"

# Every call shows our certificate and believes the demo's authority only.
call() {
    curl --silent --show-error --cacert "$dir/pki/gateway-ca.pem" --cert "$dir/pki/$client.pem" --key "$dir/pki/$client.key" "$@"
}

# A signature over a file: Ed25519 as it is, ECDSA P-256 as r and s of 32 bytes each (RFC 9421 section 3.3).
sign() {
    if openssl pkey -in "$key" -noout -text | grep -qi ed25519; then
        openssl pkeyutl -sign -rawin -inkey "$key" -in "$1" | openssl base64 -A
    else
        octal=$(openssl dgst -sha256 -sign "$key" "$1" | openssl asn1parse -inform DER | sed -n 's/.*INTEGER *://p' | awk '
            function digit(c) { return index("0123456789ABCDEF", toupper(c)) - 1 }
            {
                s = sprintf("%64s", $0); gsub(/ /, "0", s)
                for (i = length(s) - 63; i < length(s); i += 2)
                    printf "\\0%03o", digit(substr(s, i, 1)) * 16 + digit(substr(s, i + 1, 1))
            }')
        printf '%b' "$octal" | openssl base64 -A
    fi
}

# signed METHOD PATH [BODY]: signs by RFC 9421 over the RFC 9530 digest of the body, and calls.
signed() {
    created=$(date +%s)
    nonce=$(openssl rand -hex 16)
    covered='"@method" "@target-uri" "authorization"'
    : >"$work/fields"
    if [ $# -gt 2 ]; then
        covered="$covered \"content-type\" \"content-digest\""
        digest="sha-256=:$(openssl dgst -sha256 -binary "$3" | openssl base64 -A):"
    fi
    params="($covered);created=$created;keyid=\"$client-sign-1\";nonce=\"$nonce\";tag=\"fapi-2-request\""
    {
        printf '"@method": %s\n"@target-uri": %s\n"authorization": Bearer %s\n' "$1" "$base$2" "$token"
        [ $# -gt 2 ] && printf '"content-type": application/cloudevents+json\n"content-digest": %s\n' "$digest"
        printf '"@signature-params": %s' "$params"
    } >"$work/base"
    set -- "$@" "$(sign "$work/base")"
    if [ $# -gt 3 ]; then
        call -X "$1" "$base$2" -H "authorization: Bearer $token" -H "content-type: application/cloudevents+json" \
            -H "content-digest: $digest" -H "signature-input: sig1=$params" -H "signature: sig1=:$4:" --data-binary "@$3"
    else
        call -X "$1" "$base$2" -H "authorization: Bearer $token" -H "signature-input: sig1=$params" -H "signature: sig1=:$3:"
    fi
}

field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" | head -n 1; }

token=$(call -d grant_type=client_credentials -d "client_id=$client" "$base/oauth2/token" | field access_token)
[ -n "$token" ] || { echo "no token" >&2; exit 1; }
echo "token: bound to our certificate, 5 minutes"

if [ $# -gt 2 ]; then
    cp "$3" "$work/event"
else
    id=$(openssl rand -hex 8)
    now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    passport=$(openssl rand -hex 4 | tr a-f A-F)
    cat >"$work/event" <<JSON
{"specversion":"1.0","id":"first-$id","source":"urn:example:first-exchange","type":"placement.nominated.v1","time":"$now",
 "authority":"KP2MI","corridor":"my","data":{"placement":{"reference":"FIRST-$id"},
 "worker":{"name":{"full":"SITI CONTOH"},"birthDate":{"value":"1996-02-29","precision":"DAY"},"sex":"F","nationality":"IDN"},
 "travelDocument":{"number":"$passport","issuer":"IDN"},"jobOrder":{"reference":"JO-FIRST-$id"}}}
JSON
fi
signed POST /v1/messages "$work/event" >"$work/answer"
echo "answer: $(cat "$work/answer")"
message=$(grep -o '"message":"[0-9a-f-]*"' "$work/answer" | head -n 1 | field message)
[ -n "$message" ] || { echo "the message was not stored" >&2; exit 1; }
signed GET "/v1/messages/$message/receipt" >"$work/receipt.json"
"${ONECHANNEL:-onechannel}" receipt verify "$work/receipt.json" --keys "$dir/logs.keys" --message "$work/event"
