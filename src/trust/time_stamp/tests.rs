//! Tokens that another implementation made (`tests/data/time-stamp`, by `openssl ts`), and every change to them.

use super::*;
use proptest::prelude::*;
use rustls_pki_types::pem::PemObject;
use time::macros::datetime;

/// Fills with one byte.
struct Always(u8);

impl Random for Always {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

const CHECKPOINT: &[u8] = include_bytes!("../../../tests/data/time-stamp/checkpoint");
const RSA: &[u8] = include_bytes!("../../../tests/data/time-stamp/rsa.tsr");
const ECDSA: &[u8] = include_bytes!("../../../tests/data/time-stamp/ecdsa.tsr");

fn roots(of: &str) -> Roots {
    let file = format!("tests/data/time-stamp/{of}.root.pem");
    Roots::new(&[CertificateDer::from_pem_file(file).unwrap()]).unwrap()
}

fn request() -> Request {
    Request::new(CHECKPOINT, None, &Always(7))
}

#[test]
fn a_request_is_what_openssl_reads_and_its_answers_verify() {
    assert_eq!(request().to_der(), include_bytes!("../../../tests/data/time-stamp/request.tsq"));
    let now = datetime!(2026-11-26 01:25 UTC);
    // RSA with SHA-512, an intermediate authority, SHA-256 identifiers, accuracy, the authority's name.
    let rsa = request().open(RSA, now).unwrap();
    assert_eq!((rsa.authority(), rsa.time().date()), ("CN=rsa-tsa,O=Throw-away,C=XA", now.date()));
    assert_eq!(rsa.vouched(&roots("rsa")), Ok(()));
    assert_eq!(rsa.vouched(&roots("ecdsa")), Err(TimeStampFault::UnknownAuthority));
    // ECDSA, a SHA-1 identifier (RFC 2634), fractions of a second.
    let ecdsa = request().open(ECDSA, now).unwrap();
    assert_eq!(ecdsa.time(), datetime!(2026-11-26 01:23:14.803 UTC));
    assert_eq!(ecdsa.vouched(&roots("ecdsa")), Ok(()));
    assert!(ecdsa.is_of(CHECKPOINT) && !ecdsa.is_of(b"another"));
    assert_eq!(Token::read(ecdsa.to_der()), Ok(ecdsa));
}

#[test]
fn an_answer_to_another_question_is_not_taken() {
    let now = datetime!(2026-11-26 01:25 UTC);
    let ask = |bytes, nonce, policy: Option<&str>, now| {
        let request = Request::new(bytes, policy.and_then(Policy::parse), &Always(nonce));
        request.open(RSA, now).map(drop)
    };
    assert_eq!(ask(CHECKPOINT, 7, Some("1.3.6.1.4.1.99999.1"), now), Ok(()));
    assert_eq!(ask(CHECKPOINT, 7, Some("1.3.6.1.4.1.99999.2"), now), Err(TimeStampFault::OtherPolicy));
    assert_eq!(ask(b"another", 7, None, now), Err(TimeStampFault::OtherImprint));
    assert_eq!(ask(CHECKPOINT, 8, None, now), Err(TimeStampFault::OtherNonce));
    assert_eq!(ask(CHECKPOINT, 7, None, now + Duration::HOUR), Err(TimeStampFault::OtherTime));
    let refusal = [0x30, 3 + 2, 0x30, 3, 2, 1, 2];
    assert_eq!(request().open(&refusal, now), Err(TimeStampFault::Refused));
    assert_eq!(request().open(&vec![0; TOKEN_MAX + 1], now), Err(TimeStampFault::Unreadable));
}

/// No signature of the corpus is shorter than this.
const SIGNATURE_LEAST: usize = 60;

/// What a token says, without the bytes that nobody signed.
fn said(token: &Token) -> (Hash, Option<Vec<u8>>, OffsetDateTime, CertificateDer<'static>) {
    (token.imprint, token.nonce.clone(), token.time, token.signer.clone())
}

#[test]
fn no_change_of_a_token_makes_it_say_anything_else() {
    let now = datetime!(2026-11-26 01:25 UTC);
    for (answer, of) in [(RSA, "rsa"), (ECDSA, "ecdsa")] {
        let token = request().open(answer, now).unwrap();
        let mut held = 0;
        for at in 0..token.to_der().len() {
            let mut changed = token.to_der().to_vec();
            changed[at] ^= 1;
            let read = Token::read(&changed);
            if at >= token.to_der().len() - SIGNATURE_LEAST {
                // The signature stands last.
                assert_eq!(read, Err(TimeStampFault::Signature), "{of} {at}");
            }
            let Ok(read) = read else { continue };
            // Bytes that nobody signed, such as the other certificates, may differ: then no root vouches, or it says the same.
            held += 1;
            assert!(said(&read) == said(&token) || read.vouched(&roots(of)).is_err(), "{of} {at}");
        }
        assert!(held < token.to_der().len() / 2, "{of}: {held}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Token::read(&bytes).is_err());
        prop_assert!(request().open(&bytes, datetime!(2026-11-26 01:25 UTC)).is_err());
    }

    #[test]
    fn no_splice_of_a_token_panics(at in 0usize..3_000, to in 0usize..3_000, bytes in proptest::collection::vec(any::<u8>(), 0..8)) {
        let mut answer = RSA.to_vec();
        let (from, until) = (at.min(to).min(answer.len()), at.max(to).min(answer.len()));
        answer.splice(from..until, bytes);
        let _ = request().open(&answer, datetime!(2026-11-26 01:25 UTC));
    }
}
