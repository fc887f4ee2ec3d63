//! What is kept of a party's answer: a line of JSON about its signature, the exact bytes that it answered, and its body. The entry that
//! settles a delivery commits to all of it.
//!
//! An answer's signature covers the digest of its own body and that of the request's (`"content-digest";req`, RFC 9421 §2.4), so that
//! with the bytes of both at hand it says who answered what to what.

use serde::{Deserialize, Serialize};

/// The first line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Status of the answer; an acknowledgement, which is a request of the party's own, has none.
    #[serde(default)]
    pub status: Option<u16>,
    /// Its `Signature` field.
    #[serde(default)]
    pub signature: Option<String>,
    /// The signature base that was verified.
    #[serde(default)]
    pub signature_base: Option<String>,
    /// How many bytes of the request stand before the body.
    #[serde(default)]
    pub sent: Option<usize>,
}

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanged<'a> {
    /// The first line; `None` where it cannot be read.
    pub head: Option<Head>,
    /// The exact body of the request; `None` where it was not kept.
    pub sent: Option<&'a [u8]>,
    /// The body of the answer.
    pub body: &'a [u8],
}

/// Writes what [`read`] reads; `head.sent` is the length of `sent`, if any was.
pub fn write(head: &Head, sent: &[u8], body: &[u8]) -> Vec<u8> {
    let head = serde_json::to_vec(head).unwrap_or_default();
    [&head, b"\n".as_slice(), sent, body].concat()
}

/// Reads what was kept. More bytes said to have been sent than there are is no reading of it.
pub fn read(kept: &[u8]) -> Exchanged<'_> {
    let (head, rest) = kept.split_at(kept.iter().position(|byte| *byte == b'\n').unwrap_or(kept.len()));
    let rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    let head: Option<Head> = serde_json::from_slice(head).ok();
    match head.as_ref().and_then(|head| head.sent) {
        None => Exchanged { head, sent: None, body: rest },
        Some(length) => match rest.split_at_checked(length) {
            Some((sent, body)) => Exchanged { head, sent: Some(sent), body },
            None => Exchanged { head: None, sent: None, body: rest },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(sent in proptest::collection::vec(any::<u8>(), 0..40), body in ".{0,40}", base in ".{0,40}") {
            let head = Head { status: Some(200), signature_base: Some(base), sent: Some(sent.len()), ..Head::default() };
            let kept = write(&head, &sent, body.as_bytes());
            prop_assert_eq!(read(&kept), Exchanged { head: Some(head), sent: Some(&sent[..]), body: body.as_bytes() });
        }

        #[test]
        fn no_bytes_break_it(kept in proptest::collection::vec(any::<u8>(), 0..80), sent in 0..90usize) {
            read(&kept);
            let kept = [format!("{{\"sent\":{sent}}}\n").as_bytes(), &kept].concat();
            let read = read(&kept);
            prop_assert!(read.sent.is_none_or(|bytes| bytes.len() == sent));
        }
    }
}
