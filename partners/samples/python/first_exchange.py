#!/usr/bin/env python3
"""A first exchange in Python: a token, a signed message, its signed answer, and its receipt checked offline.

    first_exchange.py [--wrong-body] DIR [CLIENT [EVENT]]   with a running `onechannel demo --dir DIR`
    first_exchange.py vectors FILE                          with the test vectors, without a network

Needs Python 3.11 and the package `cryptography` (ECDSA and Ed25519); all else is the standard library.
--wrong-body changes the body after signing, so that the gateway refuses it.
"""

import base64
import datetime
import hashlib
import hmac
import http.client
import json
import re
import secrets
import ssl
import sys
import time
import urllib.parse
from pathlib import Path

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
except ImportError:
    sys.exit("needs the package cryptography: pip install cryptography")

EVENT = Path(__file__).parents[3] / "schemas/examples/valid/movement.arrived.v1.json"


class Failed(Exception):
    """A part that does not hold, and why."""

    def __init__(self, part, why):
        super().__init__(f"{part}: {why}")
        self.part = part


def sha256(data):
    return hashlib.sha256(data).digest()


def from_b64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# Signing a request ----------------------------------------------------------------------------------------------------


def content_digest(body):
    """RFC 9530."""
    return f"sha-256=:{base64.b64encode(sha256(body)).decode()}:"


def signature_base(components, params):
    """RFC 9421 section 2.5: a line for each covered component, then the parameters without a newline."""
    return "".join(f"{name}: {value}\n" for name, value in components.items()) + f'"@signature-params": {params}'


def request_base(request, created, keyid, nonce):
    """The parameters of the request's signature, and its base."""
    components = {'"@method"': request["method"], '"@target-uri"': request["targetUri"]}
    for name in ("authorization", "content-type", "content-digest"):
        components[f'"{name}"'] = request["headers"][name]
    params = f'({" ".join(components)});created={created};keyid="{keyid}";nonce="{nonce}";tag="fapi-2-request"'
    return params, signature_base(components, params)


def sign(key, base):
    """ES256. The library gives DER; RFC 9421 section 3.3.4 wants r and s of 32 bytes each."""
    r, s = utils.decode_dss_signature(key.sign(base.encode(), ec.ECDSA(hashes.SHA256())))
    return base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode()


def holds(verify, *arguments):
    try:
        verify(*arguments)
    except InvalidSignature:
        return False
    return True


def es256_holds(key, base, signature):
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    algorithm = ec.ECDSA(hashes.SHA256())
    return len(signature) == 64 and holds(key.verify, utils.encode_dss_signature(r, s), base.encode(), algorithm)


# Checking the answer --------------------------------------------------------------------------------------------------


def answer_base(request, answer):
    """The base of the answer's signature, and its parameters. All of the answer and of our request must be covered."""
    known = {
        '"@status"': answer["status"],
        '"content-type"': answer["headers"].get("content-type"),
        '"content-digest"': answer["headers"].get("content-digest"),
        '"@method";req': request["method"],
        '"@target-uri";req': request["targetUri"],
        '"content-digest";req': request["headers"]["content-digest"],
        '"signature";req;key="sig"': request["headers"]["signature"].removeprefix("sig="),
    }
    found = re.fullmatch(r"sig=(\((.*)\);.*)", answer["headers"].get("signature-input", ""))
    covered = found[2].split(" ") if found else []
    if sorted(covered) != sorted(known):
        raise Failed("signature", "it does not cover the answer and our request")
    return signature_base({name: known[name] for name in covered}, found[1]), found[1]


def check_answer(request, answer, kid, key, now):
    """The digest of the body, then the signature that binds the answer to our request."""
    if answer["headers"].get("content-digest") != content_digest(answer["body"]):
        raise Failed("digest", "Content-Digest is not that of the answer's body")
    base, params = answer_base(request, answer)
    found = re.search(r'\);created=(\d+);keyid="([^"]*)";tag="fapi-2-response"$', params)
    if not found or found[2] != kid or not now - 60 <= int(found[1]) <= now + 10:
        raise Failed("signature", "it is not of this minute, or not by the gateway's key")
    value = re.fullmatch(r"sig=:(.*):", answer["headers"].get("signature", ""))
    if not value or not holds(key.verify, base64.b64decode(value[1]), base.encode()):
        raise Failed("signature", "it does not verify over the signature base")


# Checking the receipt, offline ----------------------------------------------------------------------------------------


def open_checkpoint(note, verifiers):
    """C2SP signed-note and tlog-checkpoint: origin, size and root, if the log's key signed them."""
    text, _, lines = note.rpartition("\n\n")
    text += "\n"
    origin, size, root = text.split("\n")[:3]
    for verifier in verifiers:
        name, key_id, key = verifier.split("+", 2)
        key = base64.b64decode(key)  # 0x01 for Ed25519, then the public key
        if name != origin or sha256(name.encode() + b"\n" + key)[:4].hex() != key_id or key[0] != 1:
            continue
        for line in lines.splitlines():
            signature = base64.b64decode(line.rpartition(" ")[2])
            if line.startswith(f"\u2014 {name} ") and signature[:4].hex() == key_id:
                public = ed25519.Ed25519PublicKey.from_public_bytes(key[1:])
                if not holds(public.verify, signature[4:], text.encode()):
                    raise Failed("checkpoint", "the log's signature does not verify")
                return origin, int(size), base64.b64decode(root)
    raise Failed("checkpoint", "no signature by a known key of this log")


def root_of(index, size, node, proof):
    """RFC 9162 section 2.1.3.2: the root to which an inclusion proof leads."""
    at, last = index, size - 1
    for sibling in proof:
        if last == 0:
            return None
        if at & 1 or at == last:
            node = sha256(b"\1" + sibling + node)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = sha256(b"\1" + node + sibling)
        at, last = at >> 1, last >> 1
    return node if last == 0 and index < size else None


def opens(opening, body, commitment):
    return hmac.compare_digest(hmac.digest(from_b64url(opening), body, "sha256"), from_b64url(commitment))


def check_receipt(receipt, verifiers, body):
    """Every link from the bytes sent to the log's signature; gives the log's origin and size."""
    if receipt["receipt"] != "onechannel/1":
        raise Failed("format", "not a receipt of format onechannel/1")
    entry = json.loads(receipt["entry"])
    if (entry["outcome"], entry["assurance"]) != (receipt["outcome"], receipt["assurance"]):
        raise Failed("entry", "the receipt says something else than its entry")
    origin, size, root = open_checkpoint(receipt["checkpoint"], verifiers)
    if origin.split("/")[-1] != receipt["corridor"]:
        raise Failed("log", "the checkpoint is of another corridor's log")
    leaf = sha256(b"\0" + receipt["entry"].encode())
    if root_of(receipt["index"], size, leaf, [base64.b64decode(node) for node in receipt["proof"]]) != root:
        raise Failed("proof", "it does not lead from the entry to the checkpoint's root")
    if "opening" not in receipt or not opens(receipt["opening"], body, entry["commitment"]):
        raise Failed("opening", "the entry does not commit to the bytes sent")
    return origin, size


# The exchange ---------------------------------------------------------------------------------------------------------


def exchange(folder, client_id="my-gateway", event_file=EVENT, wrong_body=False):
    demo = json.loads(Path(folder, "demo.json").read_text())
    client = next(one for one in demo["clients"] if one["client_id"] == client_id)
    context = ssl.create_default_context(cafile=client["ca"])
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(client["client_cert"], client["client_key"])
    link = http.client.HTTPSConnection(demo["channel_api"].removeprefix("https://"), context=context, timeout=30)

    form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": client_id})
    link.request("POST", "/oauth2/token", form, {"content-type": "application/x-www-form-urlencoded"})
    token = json.load(link.getresponse())
    if "access_token" not in token:
        raise Failed("token", token)
    print(f'token    bound to our certificate, {token["expires_in"]} s')

    event = json.loads(Path(event_file).read_text())
    event["id"] = f"first-{secrets.token_hex(8)}"
    event["time"] = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    body = json.dumps(event).encode()
    headers = {"authorization": f'Bearer {token["access_token"]}', "content-type": "application/cloudevents+json"}
    headers["content-digest"] = content_digest(body)
    request = {"method": "POST", "targetUri": demo["channel_api"] + "/v1/messages", "headers": headers}
    params, base = request_base(request, int(time.time()), client["key_id"], secrets.token_urlsafe(16))
    key = serialization.load_pem_private_key(Path(client["signing_key"]).read_bytes(), None)
    headers |= {"signature-input": f"sig={params}", "signature": f"sig=:{sign(key, base)}:"}
    link.request("POST", "/v1/messages", body + b" " if wrong_body else body, headers)
    reply = link.getresponse()
    fields = {name.lower(): value for name, value in reply.getheaders()}
    answer = {"status": reply.status, "headers": fields, "body": reply.read()}

    gateway_key = serialization.load_pem_public_key(Path(demo["gateway_signing_key"]).read_bytes())
    check_answer(request, answer, demo["gateway_key_id"], gateway_key, int(time.time()))
    print(f'answer   digest and signature by {demo["gateway_key_id"]} hold, bound to our request')
    said = json.loads(answer["body"])
    if reply.status not in (200, 201):
        broken = [f'{one["pointer"]} {one["rule"]}' for one in said.get("violations", [])]
        raise Failed("message", " ".join([str(reply.status), said.get("reason", said["title"]), *broken]))
    print(f'message  {reply.status} {said["outcome"]}, {said["message"]}')

    origin, size = check_receipt(said["receipt"], Path(demo["log_keys"]).read_text().split(), body)
    print(f'receipt  leaf {said["receipt"]["index"]} of {size} in {origin}: proof, checkpoint and opening hold')
    print("all holds")


# The test vectors -----------------------------------------------------------------------------------------------------


def vectors(file):
    given = json.loads(Path(file).read_text())
    spki = [base64.b64decode(given["keys"][name]["spki"]) for name in ("client", "gateway")]
    client, gateway = map(serialization.load_der_public_key, spki)
    results = []

    def tell(part, about, agrees):
        results.append(agrees)
        print(f'{"ok" if agrees else "FAILED"}: {part}: {about}')

    def failing(check, *arguments):
        try:
            check(*arguments)
        except Failed as fault:
            return fault.part

    for n, one in enumerate(given["digests"]):
        tell(f"digest {n}", one["contentDigest"], content_digest(one["body"].encode()) == one["contentDigest"])
    request = given["request"]
    params, base = request_base(request, request["created"], request["keyid"], request["nonce"])
    tell("base request", params, f"sig={params}" == request["signatureInput"] and base == request["base"])
    for n, one in enumerate(given["signatures"]):
        verdict = es256_holds(client, base, base64.b64decode(one["signature"]))
        tell(f"signature {n}", one["about"], verdict == one["holds"])
    request["headers"]["signature"] = f'sig=:{given["signatures"][0]["signature"]}:'
    tell("base answer", "as signed", answer_base(request, given["answers"][0])[0] == given["answers"][0]["base"])
    for n, one in enumerate(given["answers"]):
        one["body"] = one["body"].encode()
        part = failing(check_answer, request, one, given["keys"]["gateway"]["kid"], gateway, one["now"])
        tell(f"answer {n}", one["about"], part == one["fails"])
    for n, one in enumerate(given["openings"]):
        verdict = opens(one["opening"], one["body"].encode(), one["commitment"])
        tell(f"opening {n}", one["about"], verdict == one["holds"])
    for n, one in enumerate(given["receipts"]):
        part = failing(check_receipt, one["receipt"], [given["keys"]["log"]["verifier"]], one["body"].encode())
        tell(f"receipt {n}", one["about"], part == one["fails"])
    if not all(results):
        sys.exit(1)
    print("all vectors hold")


def main(arguments):
    wrong_body = arguments[:1] == ["--wrong-body"]
    arguments = arguments[wrong_body:]
    if not arguments:
        sys.exit(__doc__)
    if arguments[0] == "vectors":
        return vectors(arguments[1])
    try:
        exchange(*arguments, wrong_body=wrong_body)
    except (Failed, OSError) as fault:
        sys.exit(f"FAILED: {fault}")


if __name__ == "__main__":
    main(sys.argv[1:])
