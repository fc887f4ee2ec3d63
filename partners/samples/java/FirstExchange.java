// A first exchange in Java: a token, a signed message, its signed answer, and its receipt checked offline.
//
//     java FirstExchange.java [--wrong-body] DIR [CLIENT [EVENT]]   with a running `onechannel demo --dir DIR`
//     java FirstExchange.java vectors FILE                          with the test vectors, without a network
//
// Needs a JDK 17 or later and nothing else; the small JSON reader at the end is here for that reason only.
// --wrong-body changes the body after signing, so that the gateway refuses it.

import java.math.BigDecimal;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.*;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.time.Instant;
import java.util.*;
import java.util.regex.*;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import javax.net.ssl.*;

public class FirstExchange {
    static final String EVENT = "schemas/examples/valid/movement.arrived.v1.json";
    static final Base64.Encoder B64 = Base64.getEncoder();
    static final HexFormat HEX = HexFormat.of();

    /** A part that does not hold, and why. */
    static class Failed extends Exception {
        final String part;

        Failed(String part, String why) {
            super(part + ": " + why);
            this.part = part;
        }
    }

    record Request(String method, String targetUri, Map<String, String> headers) {}

    record Answer(int status, Map<String, String> headers, byte[] body) {}

    record Signed(String params, String base) {}

    record Checkpoint(String origin, long size, byte[] root) {}

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static byte[] unbase64(String text) {
        return Base64.getDecoder().decode(text);
    }

    static byte[] sha256(byte[]... parts) throws GeneralSecurityException {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        for (byte[] part : parts) digest.update(part);
        return digest.digest();
    }

    // Signing a request -----------------------------------------------------------------------------------------------

    /** RFC 9530. */
    static String contentDigest(byte[] body) throws GeneralSecurityException {
        return "sha-256=:" + B64.encodeToString(sha256(body)) + ":";
    }

    /** RFC 9421 section 2.5: a line for each covered component, then the parameters without a newline. */
    static Signed signatureBase(Map<String, String> components, String params) {
        StringBuilder base = new StringBuilder();
        components.forEach((name, value) -> base.append(name).append(": ").append(value).append('\n'));
        return new Signed(params, base + "\"@signature-params\": " + params);
    }

    static Signed requestBase(Request request, long created, String keyid, String nonce) {
        Map<String, String> components = new LinkedHashMap<>();
        components.put("\"@method\"", request.method);
        components.put("\"@target-uri\"", request.targetUri);
        for (String name : List.of("authorization", "content-type", "content-digest")) {
            components.put('"' + name + '"', request.headers.get(name));
        }
        String covered = String.join(" ", components.keySet());
        return signatureBase(components, "(%s);created=%d;keyid=\"%s\";nonce=\"%s\";tag=\"fapi-2-request\""
                .formatted(covered, created, keyid, nonce));
    }

    /** ES256 as RFC 9421 section 3.3.4 wants it: r and s of 32 bytes each (P1363), not DER. */
    static final String ES256 = "SHA256withECDSAinP1363Format";

    static byte[] sign(PrivateKey key, String base) throws GeneralSecurityException {
        Signature signature = Signature.getInstance(ES256);
        signature.initSign(key);
        signature.update(bytes(base));
        return signature.sign();
    }

    static boolean verifies(String algorithm, PublicKey key, String text, byte[] signature)
            throws GeneralSecurityException {
        Signature verifier = Signature.getInstance(algorithm);
        verifier.initVerify(key);
        verifier.update(bytes(text));
        try {
            return signature.length == 64 && verifier.verify(signature);
        } catch (SignatureException malformed) {
            return false;
        }
    }

    // Checking the answer ---------------------------------------------------------------------------------------------

    /** The base of the answer's signature. All of the answer and of our request must be covered. */
    static Signed answerBase(Request request, Answer answer) throws Failed {
        Map<String, String> known = new HashMap<>();
        known.put("\"@status\"", Integer.toString(answer.status));
        known.put("\"content-type\"", answer.headers.get("content-type"));
        known.put("\"content-digest\"", answer.headers.get("content-digest"));
        known.put("\"@method\";req", request.method);
        known.put("\"@target-uri\";req", request.targetUri);
        known.put("\"content-digest\";req", request.headers.get("content-digest"));
        known.put("\"signature\";req;key=\"sig\"", request.headers.get("signature").substring("sig=".length()));
        String input = answer.headers.getOrDefault("signature-input", "");
        Matcher found = Pattern.compile("sig=(\\((.*)\\);.*)").matcher(input);
        List<String> covered = found.matches() ? List.of(found.group(2).split(" ")) : List.of();
        if (covered.size() != known.size() || !known.keySet().equals(new HashSet<>(covered))) {
            throw new Failed("signature", "it does not cover the answer and our request");
        }
        Map<String, String> components = new LinkedHashMap<>();
        for (String name : covered) components.put(name, known.get(name));
        return signatureBase(components, found.group(1));
    }

    /** The digest of the body, then the signature that binds the answer to our request. */
    static void checkAnswer(Request request, Answer answer, String kid, PublicKey key, long now)
            throws Failed, GeneralSecurityException {
        if (!contentDigest(answer.body).equals(answer.headers.get("content-digest"))) {
            throw new Failed("digest", "Content-Digest is not that of the answer's body");
        }
        Signed signed = answerBase(request, answer);
        Matcher found = Pattern.compile(".*\\);created=(\\d{1,12});keyid=\"([^\"]*)\";tag=\"fapi-2-response\"")
                .matcher(signed.params);
        long created = found.matches() ? Long.parseLong(found.group(1)) : 0;
        if (created < now - 60 || created > now + 10 || !found.group(2).equals(kid)) {
            throw new Failed("signature", "it is not of this minute, or not by the gateway's key");
        }
        Matcher value = Pattern.compile("sig=:(.*):").matcher(answer.headers.getOrDefault("signature", ""));
        if (!value.matches() || !verifies("Ed25519", key, signed.base, unbase64(value.group(1)))) {
            throw new Failed("signature", "it does not verify over the signature base");
        }
    }

    // Checking the receipt, offline -----------------------------------------------------------------------------------

    /** C2SP signed-note and tlog-checkpoint: origin, size and root, if the log's key signed them. */
    static Checkpoint openCheckpoint(String note, List<String> verifiers) throws Failed, GeneralSecurityException {
        int split = note.lastIndexOf("\n\n");
        String text = note.substring(0, split + 1);
        String[] checkpoint = text.split("\n");
        for (String verifier : verifiers) {
            String[] parts = verifier.split("\\+", 3);
            String name = parts[0], id = parts[1];
            byte[] key = unbase64(parts[2]); // 0x01 for Ed25519, then the public key
            String made = HEX.formatHex(sha256(bytes(name + "\n"), key), 0, 4);
            if (!name.equals(checkpoint[0]) || !made.equals(id) || key[0] != 1) continue;
            for (String line : note.substring(split + 2).split("\n")) {
                byte[] signature = unbase64(line.substring(line.lastIndexOf(' ') + 1));
                if (!line.startsWith("\u2014 " + name + " ") || !HEX.formatHex(signature, 0, 4).equals(id)) continue;
                // An Ed25519 key as SubjectPublicKeyInfo (RFC 8410): a fixed head, then its 32 bytes.
                byte[] spki = HEX.parseHex("302a300506032b6570032100" + HEX.formatHex(key, 1, key.length));
                byte[] value = Arrays.copyOfRange(signature, 4, signature.length);
                if (!verifies("Ed25519", publicKey("Ed25519", spki), text, value)) {
                    throw new Failed("checkpoint", "the log's signature does not verify");
                }
                return new Checkpoint(name, Long.parseLong(checkpoint[1]), unbase64(checkpoint[2]));
            }
        }
        throw new Failed("checkpoint", "no signature by a known key of this log");
    }

    /** RFC 9162 section 2.1.3.2: the root to which an inclusion proof leads. */
    static byte[] rootOf(long index, long size, byte[] node, List<byte[]> proof) throws GeneralSecurityException {
        long at = index, last = size - 1;
        for (byte[] sibling : proof) {
            if (last == 0) return null;
            if ((at & 1) == 1 || at == last) {
                node = sha256(new byte[] {1}, sibling, node);
                for (; at != 0 && (at & 1) == 0; at >>= 1) last >>= 1;
            } else {
                node = sha256(new byte[] {1}, node, sibling);
            }
            at >>= 1;
            last >>= 1;
        }
        return last == 0 && index < size ? node : null;
    }

    static boolean opens(String opening, byte[] body, String commitment) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(Base64.getUrlDecoder().decode(opening), "HmacSHA256"));
        return MessageDigest.isEqual(mac.doFinal(body), Base64.getUrlDecoder().decode(commitment));
    }

    /** Every link from the bytes sent to the log's signature. */
    static Checkpoint checkReceipt(Json receipt, List<String> verifiers, byte[] body)
            throws Failed, GeneralSecurityException {
        if (!receipt.text("receipt").equals("onechannel/1")) {
            throw new Failed("format", "not a receipt of format onechannel/1");
        }
        Json entry = Json.parse(receipt.text("entry"));
        for (String member : List.of("outcome", "assurance")) {
            if (!entry.text(member).equals(receipt.text(member))) {
                throw new Failed("entry", "the receipt says something else than its entry");
            }
        }
        Checkpoint checkpoint = openCheckpoint(receipt.text("checkpoint"), verifiers);
        if (!checkpoint.origin.endsWith("/" + receipt.text("corridor"))) {
            throw new Failed("log", "the checkpoint is of another corridor's log");
        }
        byte[] leaf = sha256(new byte[] {0}, bytes(receipt.text("entry")));
        List<byte[]> proof = receipt.at("proof").list().stream().map(node -> unbase64((String) node.value)).toList();
        if (!Arrays.equals(checkpoint.root, rootOf(receipt.number("index"), checkpoint.size, leaf, proof))) {
            throw new Failed("proof", "it does not lead from the entry to the checkpoint's root");
        }
        if (receipt.text("opening") == null || !opens(receipt.text("opening"), body, entry.text("commitment"))) {
            throw new Failed("opening", "the entry does not commit to the bytes sent");
        }
        return checkpoint;
    }

    // The exchange ----------------------------------------------------------------------------------------------------

    static byte[] pem(String file) throws Exception {
        return unbase64(Files.readString(Path.of(file)).replaceAll("-----[^-]+-----|\\s", ""));
    }

    static PublicKey publicKey(String algorithm, byte[] spki) throws GeneralSecurityException {
        return KeyFactory.getInstance(algorithm).generatePublic(new X509EncodedKeySpec(spki));
    }

    static PrivateKey ecKey(String file) throws Exception {
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(pem(file)));
    }

    /** TLS 1.3 with our certificate; the gateway's must come from the authority that we were given. */
    static HttpClient client(Json client) throws Exception {
        CertificateFactory x509 = CertificateFactory.getInstance("X.509");
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        store.setCertificateEntry("ca", x509.generateCertificate(Files.newInputStream(Path.of(client.text("ca")))));
        var chain = x509.generateCertificates(Files.newInputStream(Path.of(client.text("client_cert"))));
        store.setKeyEntry("own", ecKey(client.text("client_key")), new char[0], chain.toArray(new Certificate[0]));
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(store, new char[0]);
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLSv1.3");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        SSLParameters only = new SSLParameters(null, new String[] {"TLSv1.3"});
        return HttpClient.newBuilder().sslContext(context).sslParameters(only).build();
    }

    static Answer post(HttpClient http, String uri, Map<String, String> headers, byte[] body) throws Exception {
        var call = java.net.http.HttpRequest.newBuilder(URI.create(uri)).POST(BodyPublishers.ofByteArray(body));
        headers.forEach(call::header);
        HttpResponse<byte[]> reply = http.send(call.build(), BodyHandlers.ofByteArray());
        Map<String, String> fields = new HashMap<>();
        reply.headers().map().forEach((name, values) -> fields.put(name.toLowerCase(), String.join(", ", values)));
        return new Answer(reply.statusCode(), fields, reply.body());
    }

    static String random() {
        return new BigInteger(128, new SecureRandom()).toString(36);
    }

    static void exchange(boolean wrongBody, String dir, String clientId, String eventFile) throws Exception {
        Json demo = Json.parse(Files.readString(Path.of(dir, "demo.json")));
        Json client = demo.at("clients").list().stream()
                .filter(one -> one.text("client_id").equals(clientId)).findFirst().orElseThrow();
        HttpClient http = client(client);
        String base = demo.text("channel_api");

        byte[] form = bytes("grant_type=client_credentials&client_id=" + clientId);
        Map<String, String> formType = Map.of("content-type", "application/x-www-form-urlencoded");
        Answer granted = post(http, base + "/oauth2/token", formType, form);
        Json token = Json.parse(new String(granted.body, StandardCharsets.UTF_8));
        if (token.text("access_token") == null) throw new Failed("token", token.toString());
        System.out.printf("token    bound to our certificate, %d s%n", token.number("expires_in"));

        // An example of the catalogue under a fresh id and the time of now.
        byte[] body = bytes(Files.readString(Path.of(eventFile))
                .replaceFirst("\"id\"\\s*:\\s*\"[^\"]*\"", "\"id\":\"first-" + random() + "\"")
                .replaceFirst("\"time\"\\s*:\\s*\"[^\"]*\"", "\"time\":\"" + Instant.now() + "\""));
        Map<String, String> headers = new LinkedHashMap<>();
        headers.put("authorization", "Bearer " + token.text("access_token"));
        headers.put("content-type", "application/cloudevents+json");
        headers.put("content-digest", contentDigest(body));
        Request request = new Request("POST", base + "/v1/messages", headers);
        Signed signed = requestBase(request, Instant.now().getEpochSecond(), client.text("key_id"), random());
        headers.put("signature-input", "sig=" + signed.params);
        byte[] signature = sign(ecKey(client.text("signing_key")), signed.base);
        headers.put("signature", "sig=:" + B64.encodeToString(signature) + ":");
        byte[] sent = wrongBody ? Arrays.copyOf(body, body.length - 1) : body;
        Answer answer = post(http, request.targetUri, headers, sent);

        String kid = demo.text("gateway_key_id");
        PublicKey gatewayKey = publicKey("Ed25519", pem(demo.text("gateway_signing_key")));
        checkAnswer(request, answer, kid, gatewayKey, Instant.now().getEpochSecond());
        System.out.printf("answer   digest and signature by %s hold, bound to our request%n", kid);
        Json said = Json.parse(new String(answer.body, StandardCharsets.UTF_8));
        if (answer.status != 200 && answer.status != 201) {
            String why = answer.status + " " + said.text(said.text("reason") != null ? "reason" : "title");
            for (Json one : said.at("violations").list()) why += " " + one.text("pointer") + " " + one.text("rule");
            throw new Failed("message", why);
        }
        System.out.printf("message  %d %s, %s%n", answer.status, said.text("outcome"), said.text("message"));

        List<String> verifiers = Files.readAllLines(Path.of(demo.text("log_keys")));
        Checkpoint checkpoint = checkReceipt(said.at("receipt"), verifiers, body);
        System.out.printf("receipt  leaf %d of %d in %s: proof, checkpoint and opening hold%n",
                said.at("receipt").number("index"), checkpoint.size, checkpoint.origin);
        System.out.println("all holds");
    }

    // The test vectors ------------------------------------------------------------------------------------------------

    static boolean allHold = true;

    static void tell(String part, String about, boolean agrees) {
        System.out.printf("%s: %s: %s%n", agrees ? "ok" : "FAILED", part, about);
        allHold &= agrees;
    }

    interface Check {
        void run() throws Exception;
    }

    static String failing(Check check) throws Exception {
        try {
            check.run();
            return null;
        } catch (Failed fault) {
            return fault.part;
        }
    }

    static Answer answer(Json one) {
        return new Answer((int) one.number("status"), one.at("headers").texts(), bytes(one.text("body")));
    }

    static void vectors(String file) throws Exception {
        Json given = Json.parse(Files.readString(Path.of(file)));
        PublicKey client = publicKey("EC", unbase64(given.at("keys").at("client").text("spki")));
        PublicKey gateway = publicKey("Ed25519", unbase64(given.at("keys").at("gateway").text("spki")));
        String kid = given.at("keys").at("gateway").text("kid");
        List<String> verifiers = List.of(given.at("keys").at("log").text("verifier"));
        int n = 0;
        for (Json one : given.at("digests").list()) {
            String digest = one.text("contentDigest");
            tell("digest " + n++, digest, contentDigest(bytes(one.text("body"))).equals(digest));
        }
        Json asked = given.at("request");
        Request request = new Request(asked.text("method"), asked.text("targetUri"), asked.at("headers").texts());
        Signed signed = requestBase(request, asked.number("created"), asked.text("keyid"), asked.text("nonce"));
        boolean same = asked.text("signatureInput").equals("sig=" + signed.params);
        tell("base request", signed.params, same && asked.text("base").equals(signed.base));
        n = 0;
        for (Json one : given.at("signatures").list()) {
            boolean verdict = verifies(ES256, client, signed.base, unbase64(one.text("signature")));
            tell("signature " + n++, one.text("about"), verdict == one.flag("holds"));
        }
        request.headers.put("signature", "sig=:" + given.at("signatures").list().get(0).text("signature") + ":");
        Json first = given.at("answers").list().get(0);
        tell("base answer", first.text("about"), answerBase(request, answer(first)).base.equals(first.text("base")));
        n = 0;
        for (Json one : given.at("answers").list()) {
            String part = failing(() -> checkAnswer(request, answer(one), kid, gateway, one.number("now")));
            tell("answer " + n++, one.text("about"), Objects.equals(part, one.text("fails")));
        }
        n = 0;
        for (Json one : given.at("openings").list()) {
            boolean verdict = opens(one.text("opening"), bytes(one.text("body")), one.text("commitment"));
            tell("opening " + n++, one.text("about"), verdict == one.flag("holds"));
        }
        n = 0;
        for (Json one : given.at("receipts").list()) {
            String part = failing(() -> checkReceipt(one.at("receipt"), verifiers, bytes(one.text("body"))));
            tell("receipt " + n++, one.text("about"), Objects.equals(part, one.text("fails")));
        }
        if (!allHold) System.exit(1);
        System.out.println("all vectors hold");
    }

    public static void main(String[] arguments) throws Exception {
        List<String> given = new ArrayList<>(List.of(arguments));
        boolean wrongBody = given.remove("--wrong-body");
        if (given.isEmpty()) {
            System.err.println("usage: FirstExchange.java [--wrong-body] DIR [CLIENT [EVENT]] | vectors FILE");
            System.exit(2);
        }
        if (given.get(0).equals("vectors")) {
            vectors(given.get(1));
            return;
        }
        try {
            String client = given.size() > 1 ? given.get(1) : "my-gateway";
            exchange(wrongBody, given.get(0), client, given.size() > 2 ? given.get(2) : EVENT);
        } catch (Failed | java.io.IOException fault) {
            System.err.println("FAILED: " + fault.getMessage());
            System.exit(1);
        }
    }

    /** Just enough JSON to read well-formed text; an integrator would use a library. */
    record Json(Object value) {
        static final Pattern TOKEN =
                Pattern.compile("\"[^\"\\\\]*+(?:\\\\.[^\"\\\\]*+)*+\"|[\\[\\]{}:,]|[^\\s\\[\\]{}:,\"]+");
        static final Pattern ESCAPE = Pattern.compile("\\\\(?:u(\\p{XDigit}{4})|(.))");

        static Json parse(String text) {
            return read(new ArrayDeque<>(TOKEN.matcher(text).results().map(MatchResult::group).toList()));
        }

        private static Json read(Deque<String> tokens) {
            String token = tokens.remove();
            if (token.equals("{") || token.equals("[")) {
                Map<String, Json> members = new LinkedHashMap<>();
                List<Json> items = new ArrayList<>();
                while (!"]}".contains(tokens.element())) {
                    if (tokens.element().equals(",")) tokens.remove();
                    Json one = read(tokens);
                    if (token.equals("[")) items.add(one);
                    else if (tokens.remove().equals(":")) members.put((String) one.value, read(tokens));
                }
                tokens.remove();
                return new Json(token.equals("{") ? members : items);
            }
            return new Json(switch (token.charAt(0)) {
                case '"' -> unescape(token.substring(1, token.length() - 1));
                case 't', 'f' -> Boolean.valueOf(token);
                case 'n' -> null;
                default -> new BigDecimal(token);
            });
        }

        private static String unescape(String text) {
            return ESCAPE.matcher(text).replaceAll(found -> {
                String hex = found.group(1), letter = found.group(2);
                if (hex != null) return Matcher.quoteReplacement("" + (char) Integer.parseInt(hex, 16));
                int known = "bfnrt".indexOf(letter);
                return Matcher.quoteReplacement(known < 0 ? letter : "\b\f\n\r\t".substring(known, known + 1));
            });
        }

        @SuppressWarnings("unchecked")
        Json at(String member) {
            return ((Map<String, Json>) value).getOrDefault(member, new Json(null));
        }

        @SuppressWarnings("unchecked")
        List<Json> list() {
            return value == null ? List.of() : (List<Json>) value;
        }

        @SuppressWarnings("unchecked")
        Map<String, String> texts() {
            Map<String, String> texts = new HashMap<>();
            ((Map<String, Json>) value).forEach((name, text) -> texts.put(name, (String) text.value));
            return texts;
        }

        String text(String member) {
            return (String) at(member).value;
        }

        long number(String member) {
            return ((BigDecimal) at(member).value).longValueExact();
        }

        boolean flag(String member) {
            return (Boolean) at(member).value;
        }
    }
}
