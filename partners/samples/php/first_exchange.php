#!/usr/bin/env php
<?php
// A first exchange in PHP: a token, a signed message, its signed answer, and its receipt checked offline.
//
//     php first_exchange.php [--wrong-body] DIR [CLIENT [EVENT]]   with a running `onechannel demo --dir DIR`
//     php first_exchange.php vectors FILE                          with the test vectors, without a network
//
// Needs PHP 8 with the extensions openssl (ES256), curl (over OpenSSL, for TLS 1.3) and sodium (Ed25519; part of PHP since 7.2).
// --wrong-body changes the body after signing, so that the gateway refuses it.

declare(strict_types=1);

const EVENT = __DIR__ . '/../../../schemas/examples/valid/movement.arrived.v1.json';

/** A part that does not hold, and why. */
final class Failed extends RuntimeException
{
    public function __construct(public readonly string $part, string $why)
    {
        parent::__construct("$part: $why");
    }
}

function sha256(string $data): string
{
    return hash('sha256', $data, true);
}

function from_base64url(string $text): string
{
    return (string) base64_decode(strtr($text, '-_', '+/'));
}

function read_json(string $file): array
{
    $text = is_readable($file) ? file_get_contents($file) : throw new Failed(basename($file), "cannot read $file");
    return json_decode($text, true, flags: JSON_THROW_ON_ERROR);
}

// Signing a request ----------------------------------------------------------------------------------------------------

/** RFC 9530. */
function content_digest(string $body): string
{
    return 'sha-256=:' . base64_encode(sha256($body)) . ':';
}

/** RFC 9421 section 2.5: a line for each covered component, then the parameters without a newline. */
function signature_base(array $components, string $params): string
{
    $lines = array_map(fn ($name, $value) => "$name: $value\n", array_keys($components), $components);
    return implode('', $lines) . "\"@signature-params\": $params";
}

/** The parameters of the request's signature, and its base. */
function request_base(array $request, int $created, string $keyid, string $nonce): array
{
    $components = ['"@method"' => $request['method'], '"@target-uri"' => $request['targetUri']];
    foreach (['authorization', 'content-type', 'content-digest'] as $name) {
        $components["\"$name\""] = $request['headers'][$name];
    }
    $covered = implode(' ', array_keys($components));
    $params = "($covered);created=$created;keyid=\"$keyid\";nonce=\"$nonce\";tag=\"fapi-2-request\"";
    return [$params, signature_base($components, $params)];
}

/** ES256. OpenSSL gives DER: SEQUENCE { INTEGER r, INTEGER s }; RFC 9421 section 3.3.4 wants r and s of 32 bytes each. */
function es256_sign(OpenSSLAsymmetricKey $key, string $base): string
{
    openssl_sign($base, $der, $key, OPENSSL_ALGO_SHA256);
    $r = substr($der, 4, ord($der[3]));
    $s = substr($der, 6 + strlen($r));
    $fixed = fn ($integer) => str_pad(ltrim($integer, "\0"), 32, "\0", STR_PAD_LEFT);
    return $fixed($r) . $fixed($s);
}

function es256_holds(OpenSSLAsymmetricKey $key, string $base, string $signature): bool
{
    if (strlen($signature) !== 64) {
        return false;
    }
    $der = '';
    foreach (str_split($signature, 32) as $integer) {
        $integer = ltrim($integer, "\0");
        $integer = ord($integer) >= 0x80 || $integer === '' ? "\0$integer" : $integer;
        $der .= "\2" . chr(strlen($integer)) . $integer;
    }
    return openssl_verify($base, "\x30" . chr(strlen($der)) . $der, $key, OPENSSL_ALGO_SHA256) === 1;
}

/** The raw 32 bytes at the end of an Ed25519 key in SubjectPublicKeyInfo; `$pem` may be bare base64. */
function ed25519_public(string $pem): string
{
    return substr(base64_decode(preg_replace('/-----[^-]+-----/', '', $pem)), -32);
}

function ed25519_holds(string $public, string $data, string $signature): bool
{
    return strlen($signature) === 64 && sodium_crypto_sign_verify_detached($signature, $data, $public);
}

// Checking the answer --------------------------------------------------------------------------------------------------

/** The base of the answer's signature, and its parameters. All of the answer and of our request must be covered. */
function answer_base(array $request, array $answer): array
{
    $known = [
        '"@status"' => (string) $answer['status'],
        '"content-type"' => $answer['headers']['content-type'] ?? '',
        '"content-digest"' => $answer['headers']['content-digest'] ?? '',
        '"@method";req' => $request['method'],
        '"@target-uri";req' => $request['targetUri'],
        '"content-digest";req' => $request['headers']['content-digest'],
        '"signature";req;key="sig"' => substr($request['headers']['signature'], strlen('sig=')),
    ];
    $matches = preg_match('/^sig=(\((.*)\);.*)$/D', $answer['headers']['signature-input'] ?? '', $found);
    $covered = $matches ? explode(' ', $found[2]) : [];
    if (count($covered) !== count($known) || array_diff(array_keys($known), $covered)) {
        throw new Failed('signature', 'it does not cover the answer and our request');
    }
    return [signature_base(array_replace(array_flip($covered), $known), $found[1]), $found[1]];
}

/** The digest of the body, then the signature that binds the answer to our request. */
function check_answer(array $request, array $answer, string $kid, string $key, int $now): void
{
    if (($answer['headers']['content-digest'] ?? '') !== content_digest($answer['body'])) {
        throw new Failed('digest', "Content-Digest is not that of the answer's body");
    }
    [$base, $params] = answer_base($request, $answer);
    $matches = preg_match('/\);created=(\d+);keyid="([^"]*)";tag="fapi-2-response"$/D', $params, $found);
    if (!$matches || $found[2] !== $kid || $found[1] < $now - 60 || $found[1] > $now + 10) {
        throw new Failed('signature', "it is not of this minute, or not by the gateway's key");
    }
    $matches = preg_match('/^sig=:(.*):$/D', $answer['headers']['signature'] ?? '', $found);
    if (!$matches || !ed25519_holds($key, $base, base64_decode($found[1]))) {
        throw new Failed('signature', 'it does not verify over the signature base');
    }
}

// Checking the receipt, offline ----------------------------------------------------------------------------------------

/** C2SP signed-note and tlog-checkpoint: origin, size and root, if the log's key signed them. */
function open_checkpoint(string $note, array $verifiers): array
{
    $split = (int) strrpos($note, "\n\n");
    [$text, $lines] = [substr($note, 0, $split + 1), explode("\n", substr($note, $split + 2))];
    [$origin, $size, $root] = explode("\n", $text) + ['', '', ''];
    foreach ($verifiers as $verifier) {
        [$name, $id, $key] = explode('+', $verifier, 3);
        $key = base64_decode($key); // 0x01 for Ed25519, then the public key
        if ($name !== $origin || bin2hex(substr(sha256("$name\n$key"), 0, 4)) !== $id || $key[0] !== "\1") {
            continue;
        }
        foreach ($lines as $line) {
            $signature = base64_decode(substr($line, (int) strrpos($line, ' ')));
            if (str_starts_with($line, "\u{2014} $name ") && bin2hex(substr($signature, 0, 4)) === $id) {
                if (!ed25519_holds(substr($key, 1), $text, substr($signature, 4))) {
                    throw new Failed('checkpoint', "the log's signature does not verify");
                }
                return [$origin, (int) $size, base64_decode($root)];
            }
        }
    }
    throw new Failed('checkpoint', 'no signature by a known key of this log');
}

/** RFC 9162 section 2.1.3.2: the root to which an inclusion proof leads. */
function root_of(int $index, int $size, string $node, array $proof): ?string
{
    [$at, $last] = [$index, $size - 1];
    foreach ($proof as $sibling) {
        if ($last === 0) {
            return null;
        }
        if ($at & 1 || $at === $last) {
            $node = sha256("\1$sibling$node");
            for (; $at !== 0 && !($at & 1); $at >>= 1) {
                $last >>= 1;
            }
        } else {
            $node = sha256("\1$node$sibling");
        }
        [$at, $last] = [$at >> 1, $last >> 1];
    }
    return $last === 0 && $index < $size ? $node : null;
}

function opens(string $opening, string $body, string $commitment): bool
{
    return hash_equals(hash_hmac('sha256', $body, from_base64url($opening), true), from_base64url($commitment));
}

/** Every link from the bytes sent to the log's signature; gives the log's origin and size. */
function check_receipt(array $receipt, array $verifiers, string $body): array
{
    if ($receipt['receipt'] !== 'onechannel/1') {
        throw new Failed('format', 'not a receipt of format onechannel/1');
    }
    $entry = json_decode($receipt['entry'], true);
    if ([$entry['outcome'], $entry['assurance']] !== [$receipt['outcome'], $receipt['assurance']]) {
        throw new Failed('entry', 'the receipt says something else than its entry');
    }
    [$origin, $size, $root] = open_checkpoint($receipt['checkpoint'], $verifiers);
    if (basename($origin) !== $receipt['corridor']) {
        throw new Failed('log', "the checkpoint is of another corridor's log");
    }
    $proof = array_map('base64_decode', $receipt['proof']);
    if (root_of($receipt['index'], $size, sha256("\0" . $receipt['entry']), $proof) !== $root) {
        throw new Failed('proof', "it does not lead from the entry to the checkpoint's root");
    }
    if (!isset($receipt['opening']) || !opens($receipt['opening'], $body, $entry['commitment'])) {
        throw new Failed('opening', 'the entry does not commit to the bytes sent');
    }
    return [$origin, $size];
}

// The exchange ---------------------------------------------------------------------------------------------------------

/** TLS 1.3 with our certificate; the gateway's must come from the authority that we were given. */
function post(array $client, string $uri, array $headers, string $body): array
{
    $fields = [];
    $handle = curl_init($uri);
    curl_setopt_array($handle, [
        CURLOPT_CAINFO => $client['ca'],
        CURLOPT_SSLCERT => $client['client_cert'],
        CURLOPT_SSLKEY => $client['client_key'],
        CURLOPT_SSLVERSION => CURL_SSLVERSION_TLSv1_3,
        CURLOPT_POSTFIELDS => $body,
        CURLOPT_HTTPHEADER => array_map(fn ($name, $value) => "$name: $value", array_keys($headers), $headers),
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_HEADERFUNCTION => function ($_, string $line) use (&$fields): int {
            [$name, $value] = explode(':', $line, 2) + ['', ''];
            $fields[strtolower($name)] = trim($value);
            return strlen($line);
        },
    ]);
    $answer = curl_exec($handle);
    if ($answer === false) {
        throw new Failed('connection', curl_error($handle));
    }
    return ['status' => curl_getinfo($handle, CURLINFO_RESPONSE_CODE), 'headers' => $fields, 'body' => $answer];
}

function exchange(bool $wrong_body, string $dir, string $client_id = 'my-gateway', string $event_file = EVENT): int
{
    $demo = read_json("$dir/demo.json");
    $client = array_column($demo['clients'], null, 'client_id')[$client_id];
    $form = http_build_query(['grant_type' => 'client_credentials', 'client_id' => $client_id]);
    $token = json_decode(post($client, "{$demo['channel_api']}/oauth2/token", [], $form)['body'], true);
    if (!isset($token['access_token'])) {
        throw new Failed('token', json_encode($token));
    }
    echo "token    bound to our certificate, {$token['expires_in']} s\n";

    $event = json_decode(file_get_contents($event_file), flags: JSON_THROW_ON_ERROR);
    $event->id = 'first-' . bin2hex(random_bytes(8));
    $event->time = gmdate('Y-m-d\TH:i:s\Z');
    $body = json_encode($event);
    $request = ['method' => 'POST', 'targetUri' => "{$demo['channel_api']}/v1/messages", 'headers' => [
        'authorization' => "Bearer {$token['access_token']}",
        'content-type' => 'application/cloudevents+json',
        'content-digest' => content_digest($body),
    ]];
    [$params, $base] = request_base($request, time(), $client['key_id'], bin2hex(random_bytes(16)));
    $key = openssl_pkey_get_private(file_get_contents($client['signing_key']));
    $request['headers']['signature-input'] = "sig=$params";
    $request['headers']['signature'] = 'sig=:' . base64_encode(es256_sign($key, $base)) . ':';
    $answer = post($client, $request['targetUri'], $request['headers'], $wrong_body ? "$body " : $body);

    $gateway_key = ed25519_public(file_get_contents($demo['gateway_signing_key']));
    check_answer($request, $answer, $demo['gateway_key_id'], $gateway_key, time());
    echo "answer   digest and signature by {$demo['gateway_key_id']} hold, bound to our request\n";
    $said = json_decode($answer['body'], true);
    if (!in_array($answer['status'], [200, 201], true)) {
        $broken = array_map(fn ($one) => " {$one['pointer']} {$one['rule']}", $said['violations'] ?? []);
        throw new Failed('message', "{$answer['status']} " . ($said['reason'] ?? $said['title']) . implode('', $broken));
    }
    echo "message  {$answer['status']} {$said['outcome']}, {$said['message']}\n";

    $verifiers = file($demo['log_keys'], FILE_IGNORE_NEW_LINES | FILE_SKIP_EMPTY_LINES);
    [$origin, $size] = check_receipt($said['receipt'], $verifiers, $body);
    echo "receipt  leaf {$said['receipt']['index']} of $size in $origin: proof, checkpoint and opening hold\n";
    echo "all holds\n";
    return 0;
}

// The test vectors -----------------------------------------------------------------------------------------------------

function vectors(string $file): int
{
    $given = read_json($file);
    ['client' => $client, 'gateway' => $gateway, 'log' => $log] = $given['keys'];
    $client_key = openssl_pkey_get_public("-----BEGIN PUBLIC KEY-----\n{$client['spki']}\n-----END PUBLIC KEY-----\n");
    $gateway_key = ed25519_public($gateway['spki']);
    $faults = 0;
    $tell = function (string $part, string $about, bool $agrees) use (&$faults): void {
        $faults += $agrees ? 0 : 1;
        echo $agrees ? 'ok' : 'FAILED', ": $part: $about\n";
    };
    $failing = function (callable $check): ?string {
        try {
            $check();
            return null;
        } catch (Failed $fault) {
            return $fault->part;
        }
    };

    foreach ($given['digests'] as $n => $one) {
        $tell("digest $n", $one['contentDigest'], content_digest($one['body']) === $one['contentDigest']);
    }
    $request = $given['request'];
    [$params, $base] = request_base($request, $request['created'], $request['keyid'], $request['nonce']);
    $tell('base request', $params, ["sig=$params", $base] === [$request['signatureInput'], $request['base']]);
    foreach ($given['signatures'] as $n => $one) {
        $verdict = es256_holds($client_key, $base, base64_decode($one['signature']));
        $tell("signature $n", $one['about'], $verdict === $one['holds']);
    }
    $request['headers']['signature'] = "sig=:{$given['signatures'][0]['signature']}:";
    $first = $given['answers'][0];
    $tell('base answer', $first['about'], answer_base($request, $first)[0] === $first['base']);
    foreach ($given['answers'] as $n => $one) {
        $part = $failing(fn () => check_answer($request, $one, $gateway['kid'], $gateway_key, $one['now']));
        $tell("answer $n", $one['about'], $part === $one['fails']);
    }
    foreach ($given['openings'] as $n => $one) {
        $tell("opening $n", $one['about'], opens($one['opening'], $one['body'], $one['commitment']) === $one['holds']);
    }
    foreach ($given['receipts'] as $n => $one) {
        $part = $failing(fn () => check_receipt($one['receipt'], [$log['verifier']], $one['body']));
        $tell("receipt $n", $one['about'], $part === $one['fails']);
    }
    echo $faults ? '' : "all vectors hold\n";
    return $faults ? 1 : 0;
}

$arguments = array_slice($argv, 1);
$wrong_body = ($arguments[0] ?? '') === '--wrong-body';
$arguments = array_slice($arguments, $wrong_body ? 1 : 0);
if ($arguments === []) {
    fwrite(STDERR, "usage: first_exchange.php [--wrong-body] DIR [CLIENT [EVENT]] | vectors FILE\n");
    exit(2);
}
try {
    exit($arguments[0] === 'vectors' ? vectors($arguments[1]) : exchange($wrong_body, ...$arguments));
} catch (Failed $fault) {
    fwrite(STDERR, "FAILED: {$fault->getMessage()}\n");
    exit(1);
}
