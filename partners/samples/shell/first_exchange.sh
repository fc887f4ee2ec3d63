#!/bin/sh
# A first exchange by hand: a token, a signed message, its signed answer, and its receipt checked offline.
#
#     first_exchange.sh [--wrong-body] DIR [CLIENT [EVENT]]   with a running `onechannel demo --dir DIR`
#     first_exchange.sh vectors FILE                          with the test vectors, without a network
#
# Needs curl, OpenSSL 3 and what every POSIX system has. Signs by ES256, or by Ed25519 if the client's key is one.
# --wrong-body changes the body after signing, so that the gateway refuses it.
set -euf
LC_ALL=C
export LC_ALL
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fails PART WHY: says what does not hold; for `check || …`.
fails() { part=$1 why=$2; return 1; }

# --- Bytes and JSON ---------------------------------------------------------------------------------------------------

hex() { od -An -v -tx1 | tr -d ' \n'; }
unhex() {
    printf '%b' "$(printf %s "$1" | awk '
        function digit(c) { return index("0123456789abcdef", c) - 1 }
        { for (i = 1; i < length($0); i += 2) printf "\\0%03o", digit(substr($0, i, 1)) * 16 + digit(substr($0, i + 1, 1)) }')"
}
unbase64() { printf %s "$1" | openssl base64 -d -A; }
unbase64url() { unbase64 "$(printf %s "$1" | tr '_-' '/+')="; } # of 32 bytes
sha256() { openssl dgst -sha256 -binary; }

# flat: every member of the JSON on the standard input as PATH, a tab and the value as written, a line each.
flat() {
    awk '
        function token(  found) {
            sub(/^[ \t\r\n]+/, "", text)
            match(text, /^("([^"\\]|\\.)*"|[][{}:,]|[^][{}:, \t\r\n"]+)/)
            found = substr(text, 1, RLENGTH); text = substr(text, RLENGTH + 1); return found
        }
        function value(path,  t, n) {
            t = token()
            if (t == "{") {
                while ((t = token()) != "}") if (t != ",") { token(); value(path "." substr(t, 2, length(t) - 2)) }
            } else if (t == "[") {
                for (n = 0; ; n++) {
                    sub(/^[ \t\r\n,]+/, "", text)
                    if (substr(text, 1, 1) == "]") break
                    value(path "." n)
                }
                token()
            } else print path "\t" t
        }
        { text = text $0 "\n" }
        END { value("") }'
}

# member FLAT PATH: one value; a text without its quotes and escapes (\u for control characters does not occur here).
member() {
    awk -F '\t' -v path="$2" '$1 == path {
        value = $2
        if (sub(/^"/, "", value)) {
            sub(/"$/, "", value); gsub(/\\\\/, "\001", value); gsub(/\\n/, "\n", value)
            gsub(/\\"/, "\"", value); gsub("\001", "\\\\", value)
        }
        printf "%s", value; exit
    }' "$1"
}

# --- Signing a request ------------------------------------------------------------------------------------------------

# RFC 9530.
content_digest() { printf 'sha-256=:%s:' "$(sha256 <"$1" | openssl base64 -A)"; }

# request_base CREATED KEYID NONCE: from $method, $uri, $authorization, $type and $digest makes $params and the file base
# (RFC 9421 section 2.5: a line for each covered component, then the parameters without a newline).
request_base() {
    params='("@method" "@target-uri" "authorization" "content-type" "content-digest")'
    params="$params;created=$1;keyid=\"$2\";nonce=\"$3\";tag=\"fapi-2-request\""
    printf '"@method": %s\n"@target-uri": %s\n"authorization": %s\n' "$method" "$uri" "$authorization" >"$work/base"
    printf '"content-type": %s\n"content-digest": %s\n' "$type" "$digest" >>"$work/base"
    printf '"@signature-params": %s' "$params" >>"$work/base"
}

# sign KEY: Ed25519 as it is; ECDSA, which OpenSSL gives in DER, as r and s of 32 bytes each (RFC 9421 section 3.3.4).
sign() {
    if openssl pkey -in "$1" -noout -text | grep -qi ed25519; then
        openssl pkeyutl -sign -rawin -inkey "$1" -in "$work/base" | openssl base64 -A
        return
    fi
    openssl dgst -sha256 -sign "$1" "$work/base" >"$work/der"
    both=$(openssl asn1parse -inform DER -in "$work/der" | sed -n 's/.*INTEGER *://p' | tr A-F a-f |
        awk '{ s = sprintf("%64s", $0); gsub(/ /, "0", s); printf "%s", s }')
    unhex "$both" | openssl base64 -A
}

# es256_holds KEY SIGNATURE: whether SIGNATURE (r || s, base64) is one over the file base.
es256_holds() {
    unbase64 "$2" | hex >"$work/signature"
    [ "$(wc -c <"$work/signature")" -eq 128 ] || return 1
    der=
    for integer in $(sed 's/^.\{64\}/& /' "$work/signature"); do
        integer=$(printf %s "$integer" | sed 's/^\(00\)*//')
        case $integer in [89a-f]* | '') integer=00$integer ;; esac
        der=$der$(printf '02%02x%s' $((${#integer} / 2)) "$integer")
    done
    unhex "$(printf '30%02x%s' $((${#der} / 2)) "$der")" >"$work/der"
    openssl dgst -sha256 -verify "$1" -signature "$work/der" "$work/base" >/dev/null 2>&1
}

# ed25519_holds KEY FILE SIGNATURE-FILE
ed25519_holds() { openssl pkeyutl -verify -rawin -pubin -inkey "$1" -in "$2" -sigfile "$3" >/dev/null 2>&1; }

# --- Checking the answer ----------------------------------------------------------------------------------------------

# answer_base: from the request's $method, $uri, $digest and $signature and the answer's $status, $answer_type,
# $answer_digest and $answer_input makes $answer_params and the file answer_base. Each component must be covered once.
answer_base() {
    answer_params=$(printf %s "$answer_input" | sed -n 's/^sig=\((.*);.*\)$/\1/p')
    covered=$(printf %s "$answer_params" | sed 's/^(\([^)]*\)).*/\1/')
    : >"$work/answer_base"
    for name in $covered; do
        case $name in
        '"@status"') value=$status ;;
        '"content-type"') value=$answer_type ;;
        '"content-digest"') value=$answer_digest ;;
        '"@method";req') value=$method ;;
        '"@target-uri";req') value=$uri ;;
        '"content-digest";req') value=$digest ;;
        '"signature";req;key="sig"') value=$signature ;;
        *) return 1 ;;
        esac
        printf '%s: %s\n' "$name" "$value" >>"$work/answer_base"
    done
    [ "$(sort -u "$work/answer_base" | wc -l)" -eq 7 ] && [ "$(wc -l <"$work/answer_base")" -eq 7 ] || return 1
    printf '"@signature-params": %s' "$answer_params" >>"$work/answer_base"
}

# check_answer BODY KEYID KEY NOW: the digest of the body, then the signature that binds the answer to our request.
check_answer() {
    [ "$answer_digest" = "$(content_digest "$1")" ] || fails digest "Content-Digest is not that of the answer's body" || return
    answer_base || fails signature "it does not cover the answer and our request" || return
    made=$(printf %s "$answer_params" | sed -n 's/.*);created=\([0-9]*\);keyid="\([^"]*\)";tag="fapi-2-response"$/\1 \2/p')
    created=${made% *}
    [ "${made#* }" = "$2" ] && [ "${created:-0}" -ge $(($4 - 60)) ] && [ "$created" -le $(($4 + 10)) ] ||
        fails signature "it is not of this minute, or not by the gateway's key" || return
    value=${answer_signature#sig=:}
    unbase64 "${value%:}" >"$work/signature"
    ed25519_holds "$3" "$work/answer_base" "$work/signature" ||
        fails signature "it does not verify over the signature base"
}

# --- Checking the receipt, offline ------------------------------------------------------------------------------------

# open_checkpoint NOTE KEYS: C2SP signed-note and tlog-checkpoint; gives $origin, $size and $root (hex).
open_checkpoint() {
    sed '/^$/,$d' "$1" >"$work/text"
    sed '1,/^$/d' "$1" >"$work/lines"
    origin=$(sed -n 1p "$work/text") size=$(sed -n 2p "$work/text") root=$(unbase64 "$(sed -n 3p "$work/text")" | hex)
    while IFS= read -r verifier; do
        name=${verifier%%+*} id=${verifier#*+} key=$(unbase64 "${verifier#*+*+}" | hex)
        id=${id%%+*}
        [ "$name" = "$origin" ] && [ "${key%"${key#??}"}" = 01 ] || continue # 01 for Ed25519, then the public key
        made=$({ printf '%s\n' "$name" && unhex "$key"; } | sha256 | hex)
        [ "${made%"${made#????????}"}" = "$id" ] || continue
        while read -r _ who value; do
            unbase64 "$value" >"$work/signature"
            value=$(hex <"$work/signature")
            [ "$who" = "$name" ] && [ "${value%"${value#????????}"}" = "$id" ] || continue
            tail -c +5 "$work/signature" >"$work/signature64"
            # An Ed25519 key as SubjectPublicKeyInfo (RFC 8410): a fixed head, then its 32 bytes.
            unhex "302a300506032b6570032100${key#??}" | openssl pkey -pubin -inform DER -out "$work/log.pem" &&
                ed25519_holds "$work/log.pem" "$work/text" "$work/signature64"
            return
        done <"$work/lines"
    done <"$2"
    return 1
}

# root_of INDEX SIZE LEAF NODE…: the root to which an inclusion proof leads (RFC 9162 section 2.1.3.2); all in hex.
root_of() {
    [ "$1" -lt "$2" ] || return 0
    at=$1 last=$(($2 - 1)) node=$3
    shift 3
    for sibling; do
        [ $last -ne 0 ] || return 0
        if [ $((at & 1)) -eq 1 ] || [ $at -eq $last ]; then
            node=$(unhex "01$sibling$node" | sha256 | hex)
            while [ $at -ne 0 ] && [ $((at & 1)) -eq 0 ]; do at=$((at >> 1)) last=$((last >> 1)); done
        else
            node=$(unhex "01$node$sibling" | sha256 | hex)
        fi
        at=$((at >> 1)) last=$((last >> 1))
    done
    [ $last -ne 0 ] || printf %s "$node"
}

# opens OPENING BODY COMMITMENT: whether HMAC-SHA-256(opening, body) is the commitment.
opens() {
    key=$(unbase64url "$1" | hex)
    made=$(openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary "$2" | hex)
    [ "$made" = "$(unbase64url "$3" | hex)" ]
}

# check_receipt FLAT PATH KEYS BODY: every link from the bytes sent to the log's signature.
check_receipt() {
    of() { member "$flat" "$path.$1"; }
    flat=$1 path=$2
    [ "$(of receipt)" = onechannel/1 ] || fails format "not a receipt of format onechannel/1" || return
    of entry >"$work/entry"
    flat <"$work/entry" >"$work/entry.flat"
    [ "$(member "$work/entry.flat" .outcome)" = "$(of outcome)" ] &&
        [ "$(member "$work/entry.flat" .assurance)" = "$(of assurance)" ] ||
        fails entry "the receipt says something else than its entry" || return
    of checkpoint >"$work/note"
    open_checkpoint "$work/note" "$3" || fails checkpoint "no valid signature by a known key of this log" || return
    [ "${origin##*/}" = "$(of corridor)" ] || fails log "the checkpoint is of another corridor's log" || return
    leaf=$({ printf '\000' && cat "$work/entry"; } | sha256 | hex)
    nodes= n=0
    while node=$(of "proof.$n") && [ -n "$node" ]; do nodes="$nodes $(unbase64 "$node" | hex)" n=$((n + 1)); done
    index=$(of index)
    [ "$(root_of "$index" "$size" "$leaf" $nodes)" = "$root" ] ||
        fails proof "it does not lead from the entry to the checkpoint's root" || return
    opening=$(of opening)
    [ -n "$opening" ] && opens "$opening" "$4" "$(member "$work/entry.flat" .commitment)" ||
        fails opening "the entry does not commit to the bytes sent"
}

# --- The exchange -----------------------------------------------------------------------------------------------------

# header NAME: of the last answer.
header() {
    awk -v name="$1:" 'tolower($1) == name { sub(/^[^ ]* /, ""); sub(/\r$/, ""); printf "%s", $0 }' "$work/headers"
}

stop() { echo "FAILED: $1" >&2; exit 1; }

exchange() {
    [ -r "$1/demo.json" ] || stop "demo.json: not in $1; a running demo or mock gateway with this folder writes it"
    flat <"$1/demo.json" >"$work/demo"
    client=$(awk -F '\t' -v id="\"$2\"" '$1 ~ /client_id$/ && $2 == id { sub(/\.client_id$/, "", $1); print $1 }' "$work/demo")
    [ -n "$client" ] || stop "client: $2 is not in demo.json"
    ours() { member "$work/demo" "$client.$1"; }
    api=$(member "$work/demo" .channel_api)
    # TLS 1.3 with our certificate; the gateway's must come from the authority that we were given.
    call() {
        curl --silent --show-error --tlsv1.3 --cacert "$(ours ca)" --cert "$(ours client_cert)" --key "$(ours client_key)" "$@"
    }

    call -d grant_type=client_credentials -d "client_id=$2" "$api/oauth2/token" | flat >"$work/token"
    token=$(member "$work/token" .access_token)
    [ -n "$token" ] || stop "token: none was given $(member "$work/token" .error) $(member "$work/token" .title)"
    echo "token    bound to our certificate, $(member "$work/token" .expires_in) s"

    # The event under a fresh id and the time of now.
    awk -v id="first-$(openssl rand -hex 8)" -v now="$(date -u +%Y-%m-%dT%H:%M:%SZ)" '
        !given { given = sub(/"id" *: *"[^"]*"/, "\"id\":\"" id "\"") }
        !timed { timed = sub(/"time" *: *"[^"]*"/, "\"time\":\"" now "\"") }
        { print }' "$3" >"$work/body"
    method=POST uri=$api/v1/messages authorization="Bearer $token" type=application/cloudevents+json
    digest=$(content_digest "$work/body")
    request_base "$(date +%s)" "$(ours key_id)" "$(openssl rand -hex 16)"
    signature=":$(sign "$(ours signing_key)"):"
    cp "$work/body" "$work/sent"
    [ -z "$wrong_body" ] || echo >>"$work/sent"
    status=$(call -D "$work/headers" -o "$work/answer" -w '%{http_code}' -H "authorization: $authorization" \
        -H "content-type: $type" -H "content-digest: $digest" -H "signature-input: sig=$params" \
        -H "signature: sig=$signature" --data-binary "@$work/sent" "$uri")

    answer_type=$(header content-type) answer_digest=$(header content-digest)
    answer_input=$(header signature-input) answer_signature=$(header signature)
    kid=$(member "$work/demo" .gateway_key_id)
    check_answer "$work/answer" "$kid" "$(member "$work/demo" .gateway_signing_key)" "$(date +%s)" || stop "$part: $why"
    echo "answer   digest and signature by $kid hold, bound to our request"
    flat <"$work/answer" >"$work/said"
    case $status in
    200 | 201) echo "message  $status $(member "$work/said" .outcome), $(member "$work/said" .message)" ;;
    *)
        reason=$(member "$work/said" .reason)
        broken=$(awk -F '\t' '$1 ~ /^\.violations\..*\.(pointer|rule)$/ { gsub(/"/, "", $2); printf " %s", $2 }' "$work/said")
        stop "message: $status ${reason:-$(member "$work/said" .title)}$broken"
        ;;
    esac

    check_receipt "$work/said" .receipt "$(member "$work/demo" .log_keys)" "$work/body" || stop "$part: $why"
    echo "receipt  leaf $index of $size in $origin: proof, checkpoint and opening hold"
    echo "all holds"
}

# --- The test vectors -------------------------------------------------------------------------------------------------

# tell PART ABOUT FOUND EXPECTED
tell() {
    if [ "$3" = "$4" ]; then echo "ok: $1: $2"; else echo "FAILED: $1: $2" && faults=1; fi
}
# verdict COMMAND…: true or false; failing COMMAND…: the part that does not hold, or null.
verdict() { if "$@"; then echo true; else echo false; fi; }
failing() { if "$@"; then echo null; else echo "$part"; fi; }
given() { member "$work/vectors" "$1"; }
# each LIST MEMBER: calls the function LIST for each of its items.
each() { n=0; while [ -n "$(given ".$1.$n.$2")" ]; do "$1" "$n" ".$1.$n"; n=$((n + 1)); done; }

digests() {
    given "$2.body" >"$work/body"
    tell "digest $1" body "$(content_digest "$work/body")" "$(given "$2.contentDigest")"
}
signatures() {
    found=$(verdict es256_holds "$work/client.pem" "$(given "$2.signature")")
    tell "signature $1" "$(given "$2.about")" "$found" "$(given "$2.holds")"
}
answers() {
    given "$2.body" >"$work/answer"
    status=$(given "$2.status") answer_type=$(given "$2.headers.content-type")
    answer_digest=$(given "$2.headers.content-digest") answer_input=$(given "$2.headers.signature-input")
    answer_signature=$(given "$2.headers.signature")
    if [ "$1" -eq 0 ]; then
        answer_base
        tell "base answer" "as signed" "$(cat "$work/answer_base")" "$(given "$2.base")"
    fi
    found=$(failing check_answer "$work/answer" "$(given .keys.gateway.kid)" "$work/gateway.pem" "$(given "$2.now")")
    tell "answer $1" "$(given "$2.about")" "$found" "$(given "$2.fails")"
}
openings() {
    given "$2.body" >"$work/body"
    found=$(verdict opens "$(given "$2.opening")" "$work/body" "$(given "$2.commitment")")
    tell "opening $1" "$(given "$2.about")" "$found" "$(given "$2.holds")"
}
receipts() {
    given "$2.body" >"$work/body"
    found=$(failing check_receipt "$work/vectors" "$2.receipt" "$work/keys" "$work/body")
    tell "receipt $1" "$(given "$2.about")" "$found" "$(given "$2.fails")"
}

vectors() {
    faults=0
    flat <"$1" >"$work/vectors"
    given .keys.log.verifier >"$work/keys" && echo >>"$work/keys"
    for name in client gateway; do
        unbase64 "$(given ".keys.$name.spki")" | openssl pkey -pubin -inform DER -out "$work/$name.pem"
    done
    each digests contentDigest
    method=$(given .request.method) uri=$(given .request.targetUri) authorization=$(given .request.headers.authorization)
    type=$(given .request.headers.content-type) digest=$(given .request.headers.content-digest)
    request_base "$(given .request.created)" "$(given .request.keyid)" "$(given .request.nonce)"
    tell "base request" "$params" "sig=$params$(cat "$work/base")" "$(given .request.signatureInput)$(given .request.base)"
    each signatures about
    signature=":$(given .signatures.0.signature):"
    each answers about
    each openings about
    each receipts about
    [ $faults -eq 0 ] && echo "all vectors hold"
}

wrong_body=
[ "${1-}" != --wrong-body ] || { wrong_body=yes && shift; }
case ${1-} in
'') echo "usage: $0 [--wrong-body] DIR [CLIENT [EVENT]] | vectors FILE" >&2 && exit 2 ;;
vectors) vectors "$2" ;;
*) exchange "$1" "${2:-my-gateway}" "${3:-$here/../../../schemas/examples/valid/movement.arrived.v1.json}" ;;
esac
