//! RFC 9530 `Content-Digest`: built over what we send, checked over the bytes that were received, before any parsing.
//!
//! Does not read bodies and does not negotiate (`Want-Content-Digest`).

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use base64::{Engine, prelude::BASE64_STANDARD as B64};
use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// The field's name.
pub const CONTENT_DIGEST: &str = "content-digest";

faults! {
    /// Why the digest of a body is not accepted.
    DigestFault {
        Missing = "digest-missing", "the request has a body and no Content-Digest field";
        Malformed = "digest-malformed", "the Content-Digest field is not a dictionary of byte sequences";
        Unsupported = "digest-unsupported", "the Content-Digest field has neither sha-256 nor sha-512";
        Mismatch = "digest-mismatch", "the digest is not that of the received bytes";
    }
}

/// The field value for `body` by SHA-256 (RFC 9530 §2).
pub fn content_digest(body: &[u8]) -> String {
    let mut value = String::with_capacity(54);
    value.push_str("sha-256=:");
    B64.encode_string(digest(&SHA256, body), &mut value);
    value.push(':');
    value
}

/// Whether a field value that was kept is that of `body`.
pub fn is_of(value: &str, body: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_str(value) else { return false };
    verify(&HeaderMap::from_iter([(HeaderName::from_static(CONTENT_DIGEST), value)]), body).is_ok()
}

/// Checks every sha-256 and sha-512 member against `body`; members of other algorithms are ignored (RFC 9530 §2).
///
/// # Errors
/// [`DigestFault`]; one wrong member among several is a mismatch.
pub fn verify(headers: &HeaderMap, body: &[u8]) -> Result<(), DigestFault> {
    let mut lines = headers.get_all(CONTENT_DIGEST).iter();
    let first = lines.next().ok_or(DigestFault::Missing)?;
    // The usual form, one sha-256 member, needs no parser: it equals what we would have written ourselves.
    if lines.next().is_none() && first.len() == 54 && first.as_bytes() == content_digest(body).as_bytes() {
        return Ok(());
    }
    let joined =
        headers.get_all(CONTENT_DIGEST).iter().map(|line| line.as_bytes()).collect::<Vec<_>>().join(&b", "[..]);
    let members: Dictionary = Parser::new(&joined).parse().map_err(|_| DigestFault::Malformed)?;
    let mut known = false;
    for (name, member) in &members {
        let algorithm = match name.as_str() {
            "sha-256" => &SHA256,
            "sha-512" => &SHA512,
            _ => continue,
        };
        let ListEntry::Item(item) = member else {
            return Err(DigestFault::Malformed);
        };
        let BareItem::ByteSequence(claimed) = &item.bare_item else {
            return Err(DigestFault::Malformed);
        };
        if claimed.as_slice() != digest(algorithm, body).as_ref() {
            return Err(DigestFault::Mismatch);
        }
        known = true;
    }
    if known { Ok(()) } else { Err(DigestFault::Unsupported) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9530 B.1 and the RFC 9421 B.2 request.
    const BODY: &[u8] = b"{\"hello\": \"world\"}";
    const SHA512_OF_BODY: &str =
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";

    fn check(lines: &[&str], body: &[u8]) -> Result<(), DigestFault> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CONTENT_DIGEST, line.parse().unwrap());
        }
        verify(&headers, body)
    }

    #[test]
    fn the_rfc_values() {
        assert_eq!(
            content_digest(b"{\"hello\": \"world\"}\n"),
            "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
        );
        assert_eq!(check(&["sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"], BODY), Ok(()));
        assert_eq!(check(&[SHA512_OF_BODY], BODY), Ok(()));
    }

    #[test]
    fn all_known_members_must_agree_and_others_are_ignored() {
        let sha256 = content_digest(BODY);
        assert_eq!(check(&[&format!("md5=:AAAA:, {sha256}, {SHA512_OF_BODY}")], BODY), Ok(()));
        assert_eq!(check(&[&sha256, SHA512_OF_BODY], BODY), Ok(()));
        assert_eq!(check(&[&content_digest(b"other"), SHA512_OF_BODY], BODY), Err(DigestFault::Mismatch));
    }

    #[test]
    fn refusals() {
        assert_eq!(check(&[], BODY), Err(DigestFault::Missing));
        assert_eq!(check(&[&content_digest(BODY)], b"{\"hello\": \"World\"}"), Err(DigestFault::Mismatch));
        assert_eq!(check(&["md5=:AAAA:"], BODY), Err(DigestFault::Unsupported));
        assert_eq!(check(&["sha-256=AAAA"], BODY), Err(DigestFault::Malformed));
        assert_eq!(check(&["sha-256=:!:"], BODY), Err(DigestFault::Malformed));
        assert_eq!(check(&[""], BODY), Err(DigestFault::Unsupported));
        assert_eq!(DigestFault::Mismatch.reason(), "digest-mismatch");
    }
}
