#!/usr/bin/env node
// A first exchange in TypeScript: a token, a signed message, its signed answer, and its receipt checked offline.
//
//     node first_exchange.mts [--wrong-body] DIR [CLIENT [EVENT]]   with a running `onechannel demo --dir DIR`
//     node first_exchange.mts vectors FILE                          with the test vectors, without a network
//
// Needs Node 22.18 or later, which runs TypeScript as it is, and no package; Node 22.6 to 22.17 with the option
// --experimental-strip-types. Node 20 does not: first_exchange.mjs beside this file is what the compiler makes of it.
// --wrong-body changes the body after signing, so that the gateway refuses it.

import { createHash, createHmac, createPrivateKey, createPublicKey, randomBytes, timingSafeEqual } from "node:crypto";
import { sign as signBytes, verify as verifyBytes, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent, request as send } from "node:https";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

type Headers = Record<string, string>;
type Request = { method: string; targetUri: string; headers: Headers };
type Answer = { status: number; headers: Headers; body: Buffer };
type Receipt = {
  receipt: string; message: string; outcome: string; corridor: string; assurance: string;
  entry: string; index: number; proof: string[]; checkpoint: string; opening?: string;
};

const EVENT = fileURLToPath(new URL("../../../schemas/examples/valid/movement.arrived.v1.json", import.meta.url));

/** A part that does not hold, and why. */
class Failed extends Error {
  readonly part: string;
  constructor(part: string, why: string) {
    super(`${part}: ${why}`);
    this.part = part;
  }
}

const sha256 = (...parts: (Buffer | string)[]): Buffer =>
  parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
const json = (file: string) => JSON.parse(readFileSync(file, "utf8"));

// Signing a request ---------------------------------------------------------------------------------------------------

/** RFC 9530. */
const contentDigest = (body: Buffer): string => `sha-256=:${sha256(body).toString("base64")}:`;

/** RFC 9421 section 2.5: a line for each covered component, then the parameters without a newline. */
const signatureBase = (components: [string, string][], params: string): string =>
  components.map(([name, value]) => `${name}: ${value}\n`).join("") + `"@signature-params": ${params}`;

/** The parameters of the request's signature, and its base. */
function requestBase(request: Request, created: number, keyid: string, nonce: string): [string, string] {
  const components: [string, string][] = [['"@method"', request.method], ['"@target-uri"', request.targetUri]];
  for (const name of ["authorization", "content-type", "content-digest"]) {
    components.push([`"${name}"`, request.headers[name]]);
  }
  const covered = components.map(([name]) => name).join(" ");
  const params = `(${covered});created=${created};keyid="${keyid}";nonce="${nonce}";tag="fapi-2-request"`;
  return [params, signatureBase(components, params)];
}

// ES256 as RFC 9421 section 3.3.4 wants it: r and s of 32 bytes each, not DER.
const sign = (key: KeyObject, base: string): string =>
  signBytes("sha256", Buffer.from(base), { key, dsaEncoding: "ieee-p1363" }).toString("base64");
const es256Holds = (key: KeyObject, base: string, signature: Buffer): boolean =>
  signature.length === 64 && verifyBytes("sha256", Buffer.from(base), { key, dsaEncoding: "ieee-p1363" }, signature);

// Checking the answer -------------------------------------------------------------------------------------------------

/** The base of the answer's signature, and its parameters. All of the answer and of our request must be covered. */
function answerBase(request: Request, answer: Answer): [string, string] {
  const known = new Map<string, string>([
    ['"@status"', String(answer.status)],
    ['"content-type"', answer.headers["content-type"]],
    ['"content-digest"', answer.headers["content-digest"]],
    ['"@method";req', request.method],
    ['"@target-uri";req', request.targetUri],
    ['"content-digest";req', request.headers["content-digest"]],
    ['"signature";req;key="sig"', request.headers["signature"].replace("sig=", "")],
  ]);
  const found = /^sig=(\((.*)\);.*)$/.exec(answer.headers["signature-input"] ?? "");
  const covered = found ? found[2].split(" ") : [];
  if (!found || covered.toSorted().join() !== [...known.keys()].toSorted().join()) {
    throw new Failed("signature", "it does not cover the answer and our request");
  }
  return [signatureBase(covered.map((name) => [name, known.get(name)!]), found[1]), found[1]];
}

/** The digest of the body, then the signature that binds the answer to our request. */
function checkAnswer(request: Request, answer: Answer, kid: string, key: KeyObject, now: number): void {
  if (answer.headers["content-digest"] !== contentDigest(answer.body)) {
    throw new Failed("digest", "Content-Digest is not that of the answer's body");
  }
  const [base, params] = answerBase(request, answer);
  const found = /\);created=(\d+);keyid="([^"]*)";tag="fapi-2-response"$/.exec(params);
  if (!found || found[2] !== kid || Number(found[1]) < now - 60 || Number(found[1]) > now + 10) {
    throw new Failed("signature", "it is not of this minute, or not by the gateway's key");
  }
  const value = /^sig=:(.*):$/.exec(answer.headers["signature"] ?? "");
  if (!value || !verifyBytes(null, Buffer.from(base), key, Buffer.from(value[1], "base64"))) {
    throw new Failed("signature", "it does not verify over the signature base");
  }
}

// Checking the receipt, offline ---------------------------------------------------------------------------------------

/** C2SP signed-note and tlog-checkpoint: origin, size and root, if the log's key signed them. */
function openCheckpoint(note: string, verifiers: string[]): [string, number, Buffer] {
  const split = note.lastIndexOf("\n\n");
  const [text, lines] = [note.slice(0, split + 1), note.slice(split + 2).split("\n")];
  const [origin, size, root] = text.split("\n");
  for (const verifier of verifiers) {
    const [, name, id, encoded] = /^([^+]+)\+([^+]+)\+(.+)$/.exec(verifier) ?? [];
    const key = Buffer.from(encoded ?? "", "base64"); // 0x01 for Ed25519, then the public key
    if (name !== origin || key[0] !== 1 || sha256(name, "\n", key).toString("hex", 0, 4) !== id) continue;
    for (const line of lines.filter((line) => line.startsWith(`\u2014 ${name} `))) {
      const signature = Buffer.from(line.slice(line.lastIndexOf(" ")), "base64");
      if (signature.toString("hex", 0, 4) !== id) continue;
      const jwk = { kty: "OKP", crv: "Ed25519", x: key.toString("base64url", 1) };
      const publicKey = createPublicKey({ key: jwk, format: "jwk" });
      if (!verifyBytes(null, Buffer.from(text), publicKey, signature.subarray(4))) {
        throw new Failed("checkpoint", "the log's signature does not verify");
      }
      return [origin, Number(size), Buffer.from(root, "base64")];
    }
  }
  throw new Failed("checkpoint", "no signature by a known key of this log");
}

/** RFC 9162 section 2.1.3.2: the root to which an inclusion proof leads. Indices are halved, not shifted: 53 bits. */
function rootOf(index: number, size: number, leaf: Buffer, proof: Buffer[]): Buffer | null {
  let [at, last, node] = [index, size - 1, leaf];
  const halve = () => { [at, last] = [Math.floor(at / 2), Math.floor(last / 2)]; };
  for (const sibling of proof) {
    if (last === 0) return null;
    if (at % 2 === 1 || at === last) {
      node = sha256("\x01", sibling, node);
      while (at !== 0 && at % 2 === 0) halve();
    } else {
      node = sha256("\x01", node, sibling);
    }
    halve();
  }
  return last === 0 && index < size ? node : null;
}

function opens(opening: string, body: Buffer, commitment: string): boolean {
  const made = createHmac("sha256", Buffer.from(opening, "base64url")).update(body).digest();
  const given = Buffer.from(commitment, "base64url");
  return made.length === given.length && timingSafeEqual(made, given);
}

/** Every link from the bytes sent to the log's signature; gives the log's origin and size. */
function checkReceipt(receipt: Receipt, verifiers: string[], body: Buffer): [string, number] {
  if (receipt.receipt !== "onechannel/1") throw new Failed("format", "not a receipt of format onechannel/1");
  const entry = JSON.parse(receipt.entry);
  if (entry.outcome !== receipt.outcome || entry.assurance !== receipt.assurance) {
    throw new Failed("entry", "the receipt says something else than its entry");
  }
  const [origin, size, root] = openCheckpoint(receipt.checkpoint, verifiers);
  if (origin.split("/").at(-1) !== receipt.corridor) {
    throw new Failed("log", "the checkpoint is of another corridor's log");
  }
  const proof = receipt.proof.map((node) => Buffer.from(node, "base64"));
  if (!rootOf(receipt.index, size, sha256("\x00", receipt.entry), proof)?.equals(root)) {
    throw new Failed("proof", "it does not lead from the entry to the checkpoint's root");
  }
  if (!receipt.opening || !opens(receipt.opening, body, entry.commitment)) {
    throw new Failed("opening", "the entry does not commit to the bytes sent");
  }
  return [origin, size];
}

// The exchange --------------------------------------------------------------------------------------------------------

function post(agent: Agent, uri: string, headers: Headers, body: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = send(uri, { method: "POST", agent, headers: { ...headers, "content-length": body.length } }, (reply) => {
      const parts: Buffer[] = [];
      reply.on("error", reject).on("data", (part: Buffer) => parts.push(part)).on("end", () =>
        resolve({ status: reply.statusCode!, headers: reply.headers as Headers, body: Buffer.concat(parts) }));
    });
    call.on("error", reject).end(body);
  });
}

async function exchange(wrongBody: boolean, dir: string, clientId = "my-gateway", eventFile = EVENT): Promise<void> {
  const demo = json(join(dir, "demo.json"));
  const client = demo.clients.find((one: { client_id: string }) => one.client_id === clientId);
  const [ca, cert, key] = [client.ca, client.client_cert, client.client_key].map((file) => readFileSync(file));
  const agent = new Agent({ ca, cert, key, minVersion: "TLSv1.3", keepAlive: false });

  const form = new URLSearchParams({ grant_type: "client_credentials", client_id: clientId });
  const formType = { "content-type": "application/x-www-form-urlencoded" };
  const granted = await post(agent, `${demo.channel_api}/oauth2/token`, formType, Buffer.from(form.toString()));
  const token = JSON.parse(granted.body.toString());
  if (!token.access_token) throw new Failed("token", granted.body.toString());
  console.log(`token    bound to our certificate, ${token.expires_in} s`);

  const event = { ...json(eventFile), id: `first-${randomBytes(8).toString("hex")}`, time: new Date().toISOString() };
  const body = Buffer.from(JSON.stringify(event));
  const headers: Headers = {
    "authorization": `Bearer ${token.access_token}`,
    "content-type": "application/cloudevents+json",
    "content-digest": contentDigest(body),
  };
  const request: Request = { method: "POST", targetUri: `${demo.channel_api}/v1/messages`, headers };
  const now = () => Math.floor(Date.now() / 1000);
  const [params, base] = requestBase(request, now(), client.key_id, randomBytes(16).toString("base64url"));
  headers["signature-input"] = `sig=${params}`;
  headers["signature"] = `sig=:${sign(createPrivateKey(readFileSync(client.signing_key)), base)}:`;
  const sent = wrongBody ? Buffer.concat([body, Buffer.from(" ")]) : body;
  const answer = await post(agent, request.targetUri, headers, sent);

  checkAnswer(request, answer, demo.gateway_key_id, createPublicKey(readFileSync(demo.gateway_signing_key)), now());
  console.log(`answer   digest and signature by ${demo.gateway_key_id} hold, bound to our request`);
  const said = JSON.parse(answer.body.toString());
  if (answer.status !== 200 && answer.status !== 201) {
    const broken = (said.violations ?? []).map((one: { pointer: string; rule: string }) => `${one.pointer} ${one.rule}`);
    throw new Failed("message", [answer.status, said.reason ?? said.title, ...broken].join(" "));
  }
  console.log(`message  ${answer.status} ${said.outcome}, ${said.message}`);

  const verifiers = readFileSync(demo.log_keys, "utf8").split("\n");
  const [origin, size] = checkReceipt(said.receipt, verifiers, body);
  console.log(`receipt  leaf ${said.receipt.index} of ${size} in ${origin}: proof, checkpoint and opening hold`);
  console.log("all holds");
}

// The test vectors ----------------------------------------------------------------------------------------------------

function vectors(file: string): void {
  const given = json(file);
  const publicKey = (name: string) =>
    createPublicKey({ key: Buffer.from(given.keys[name].spki, "base64"), format: "der", type: "spki" });
  const tell = (part: string, about: string, agrees: boolean) => {
    console.log(`${agrees ? "ok" : "FAILED"}: ${part}: ${about}`);
    if (!agrees) process.exitCode = 1;
  };
  const failing = (check: () => unknown): string | null => {
    try {
      check();
      return null;
    } catch (fault) {
      if (fault instanceof Failed) return fault.part;
      throw fault;
    }
  };

  for (const [n, { body, contentDigest: digest }] of given.digests.entries()) {
    tell(`digest ${n}`, digest, contentDigest(Buffer.from(body)) === digest);
  }
  const request = given.request;
  const [params, base] = requestBase(request, request.created, request.keyid, request.nonce);
  tell("base request", params, `sig=${params}` === request.signatureInput && base === request.base);
  for (const [n, one] of given.signatures.entries()) {
    const verdict = es256Holds(publicKey("client"), base, Buffer.from(one.signature, "base64"));
    tell(`signature ${n}`, one.about, verdict === one.holds);
  }
  request.headers.signature = `sig=:${given.signatures[0].signature}:`;
  tell("base answer", "as signed", answerBase(request, given.answers[0])[0] === given.answers[0].base);
  for (const [n, one] of given.answers.entries()) {
    const answer = { ...one, body: Buffer.from(one.body) };
    const check = () => checkAnswer(request, answer, given.keys.gateway.kid, publicKey("gateway"), one.now);
    tell(`answer ${n}`, one.about, failing(check) === one.fails);
  }
  for (const [n, one] of given.openings.entries()) {
    tell(`opening ${n}`, one.about, opens(one.opening, Buffer.from(one.body), one.commitment) === one.holds);
  }
  for (const [n, one] of given.receipts.entries()) {
    const check = () => checkReceipt(one.receipt, [given.keys.log.verifier], Buffer.from(one.body));
    tell(`receipt ${n}`, one.about, failing(check) === one.fails);
  }
  if (!process.exitCode) console.log("all vectors hold");
}

const given = process.argv.slice(2);
const wrongBody = given[0] === "--wrong-body";
const [dir, ...rest] = wrongBody ? given.slice(1) : given;
try {
  if (!dir) throw new Error("usage: first_exchange [--wrong-body] DIR [CLIENT [EVENT]] | vectors FILE");
  if (dir === "vectors") vectors(rest[0]);
  else await exchange(wrongBody, dir, ...rest);
} catch (fault) {
  console.error(`FAILED: ${(fault as Error).message}`);
  process.exitCode = 1;
}
