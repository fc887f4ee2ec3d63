//! Time-stamps (RFC 3161, with the certificate identifiers of RFC 5816): what is asked of an authority, and what its token proves.
//!
//! A token is read in three steps, each of which may be all that its reader can do. By itself: it is one CMS SignedData (RFC 5652) by
//! one signer, whose certificate is in it, is bound by the signed attributes and is for time-stamping alone. Against what was asked:
//! imprint, nonce, policy, and a time near our own. Against roots that somebody trusts: the chain, at the time that the token tells.
//!
//! Only DER is read, bounded in length. Whether a certificate was revoked is not looked at: a token tells of a time at which its
//! authority was sound, and authorities answer for keys that they lose. It opens no connection.

mod token;

use crate::{domain::clock::Random, ledger::tree::Hash, vault::sha256};
use cmpv2::status::PkiStatus;
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use der::{
    Any, Decode, Encode,
    asn1::{Int, ObjectIdentifier, OctetString},
};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use time::{Duration, OffsetDateTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_tsp::{MessageImprint, TimeStampReq, TimeStampResp, TspVersion};

/// Longest answer or token that is read: one with a few certificates has some 6 kB.
pub const TOKEN_MAX: usize = 64 << 10;
/// How far the time of a fresh token may be from ours.
const CLOCKS_APART: Duration = Duration::minutes(5);

const SHA_256: &str = "2.16.840.1.101.3.4.2.1";
/// id-kp-timeStamping, as webpki wants it: the content of the OBJECT IDENTIFIER.
const TIME_STAMPING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 8];

faults! {
    /// Why a token, or an answer with one, does not count.
    TimeStampFault {
        Unreadable = "unreadable", "It is not the DER of a time-stamp, or is too long.";
        Refused = "request-refused", "The authority refused the request.";
        NotATimeStamp = "not-a-time-stamp", "It is signed data of another kind, or by several signers.";
        Algorithm = "algorithm-unknown", "It is signed or hashed by an algorithm that is not taken.";
        Attributes = "attributes-wrong", "Its signed attributes are not those of a time-stamp, or each is not there once.";
        Digest = "digest-wrong", "Its signed attributes are of another content.";
        NoCertificate = "certificate-not-bound", "The certificate that its signed attributes bind is not in it.";
        Usage = "certificate-of-another-use", "The signer's certificate is not, by a critical extension, for time-stamping alone.";
        Signature = "signature-wrong", "Its signature does not verify.";
        OtherImprint = "other-imprint", "It is of something else.";
        OtherNonce = "other-nonce", "It answers another request.";
        OtherPolicy = "other-policy", "It was given under another policy than was asked for.";
        OtherTime = "other-time", "Its time is far from ours.";
        Expired = "certificate-expired", "A certificate was not valid at the time that it tells.";
        UnknownAuthority = "authority-unknown", "No root that is trusted vouches for its authority.";
    }
}

/// A policy under which an authority gives time-stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy(ObjectIdentifier);

impl Policy {
    /// From its dotted form; `None` for what is no object identifier.
    pub fn parse(text: &str) -> Option<Self> {
        ObjectIdentifier::new(text).ok().map(Self)
    }
}

/// A request that waits for its answer.
#[derive(Debug, Clone)]
pub struct Request {
    imprint: Hash,
    nonce: [u8; 16],
    policy: Option<Policy>,
}

impl Request {
    /// Asks for a time-stamp of `bytes`.
    pub fn new(bytes: &[u8], policy: Option<Policy>, random: &dyn Random) -> Self {
        let mut nonce = [0; 16];
        random.fill(&mut nonce);
        // A positive INTEGER that begins with no zeroes: every authority gives it back as it came.
        nonce[0] = nonce[0] & 0x3f | 0x40;
        Self { imprint: sha256(bytes), nonce, policy }
    }

    /// The TimeStampReq (RFC 3161 §2.4.1), which asks for the signer's certificate too.
    pub fn to_der(&self) -> Vec<u8> {
        let octets = |bytes: &[u8]| OctetString::new(bytes).expect("32 bytes are not too long");
        let request = TimeStampReq {
            version: TspVersion::V1,
            message_imprint: MessageImprint {
                hash_algorithm: AlgorithmIdentifierOwned {
                    oid: ObjectIdentifier::new_unwrap(SHA_256),
                    parameters: Some(Any::null()),
                },
                hashed_message: octets(&self.imprint),
            },
            req_policy: self.policy.map(|policy| policy.0),
            nonce: Some(Int::new(&self.nonce).expect("16 bytes are not too long")),
            cert_req: true,
            extensions: None,
        };
        request.to_der().expect("a request of these few bytes has a DER")
    }

    /// The token of an answer (RFC 3161 §2.4.2), if it is what was asked for at `now`. Who vouches for it is another question:
    /// [`Token::vouched`].
    ///
    /// # Errors
    /// [`TimeStampFault`].
    pub fn open(&self, answer: &[u8], now: OffsetDateTime) -> Result<Token, TimeStampFault> {
        if answer.len() > TOKEN_MAX {
            return Err(TimeStampFault::Unreadable);
        }
        let answer = TimeStampResp::from_der(answer).map_err(|_| TimeStampFault::Unreadable)?;
        if !matches!(answer.status.status, PkiStatus::Accepted | PkiStatus::GrantedWithMods) {
            return Err(TimeStampFault::Refused);
        }
        let token = answer.time_stamp_token.and_then(|token| token.to_der().ok()).ok_or(TimeStampFault::Unreadable)?;
        let token = Token::read(&token)?;
        if token.imprint != self.imprint {
            return Err(TimeStampFault::OtherImprint);
        }
        if token.nonce.as_deref() != Some(&self.nonce[..]) {
            return Err(TimeStampFault::OtherNonce);
        }
        if self.policy.is_some_and(|policy| policy.0 != token.policy) {
            return Err(TimeStampFault::OtherPolicy);
        }
        if (token.time - now).abs() > CLOCKS_APART {
            return Err(TimeStampFault::OtherTime);
        }
        Ok(token)
    }
}

/// A token whose signature verifies under the certificate in it. Whether that certificate is anybody's is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// As it came.
    der: Vec<u8>,
    imprint: Hash,
    policy: ObjectIdentifier,
    nonce: Option<Vec<u8>>,
    time: OffsetDateTime,
    authority: String,
    signer: CertificateDer<'static>,
    others: Vec<CertificateDer<'static>>,
}

impl Token {
    /// Reads a TimeStampToken (RFC 3161 §2.4.2) and verifies it by itself.
    ///
    /// # Errors
    /// [`TimeStampFault`].
    pub fn read(der: &[u8]) -> Result<Self, TimeStampFault> {
        token::read(der)
    }

    /// Reads a token of `bytes`; where roots are given, one of them vouches for it.
    ///
    /// # Errors
    /// [`TimeStampFault`].
    pub fn of(bytes: &[u8], der: &[u8], roots: Option<&Roots>) -> Result<Self, TimeStampFault> {
        let token = Self::read(der)?;
        if !token.is_of(bytes) {
            return Err(TimeStampFault::OtherImprint);
        }
        roots.map_or(Ok(()), |roots| token.vouched(roots)).map(|()| token)
    }

    /// The token.
    pub fn to_der(&self) -> &[u8] {
        &self.der
    }

    /// The authority's time (genTime).
    pub fn time(&self) -> OffsetDateTime {
        self.time
    }

    /// The subject of the signer's certificate (RFC 4514).
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether it is of these bytes.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        sha256(bytes) == self.imprint
    }

    /// Whether one of `roots` vouches for its signer, for time-stamping, at the time that it tells.
    ///
    /// # Errors
    /// [`TimeStampFault`].
    pub fn vouched(&self, roots: &Roots) -> Result<(), TimeStampFault> {
        let leaf = EndEntityCert::try_from(&self.signer).map_err(|_| TimeStampFault::UnknownAuthority)?;
        let seconds = u64::try_from(self.time.unix_timestamp()).map_err(|_| TimeStampFault::Expired)?;
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        // That the signer's own certificate says so was seen when it was read; authorities above it may be for anything.
        let usage = KeyUsage::required_if_present(TIME_STAMPING);
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        match leaf.verify_for_usage(algorithms, &roots.0, &self.others, at, usage, None, None) {
            Ok(_) => Ok(()),
            Err(webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. }) => {
                Err(TimeStampFault::Expired)
            }
            Err(_) => Err(TimeStampFault::UnknownAuthority),
        }
    }
}

/// Roots of time-stamp authorities that somebody trusts.
#[derive(Debug, Clone)]
pub struct Roots(Vec<TrustAnchor<'static>>);

impl Roots {
    /// From certificates; at least one.
    ///
    /// # Errors
    /// [`TimeStampFault::Unreadable`].
    pub fn new(certificates: &[CertificateDer<'_>]) -> Result<Self, TimeStampFault> {
        let anchor = |der| webpki::anchor_from_trusted_cert(der).map(|anchor| anchor.to_owned());
        let anchors: Vec<_> =
            certificates.iter().map(anchor).collect::<Result<_, _>>().map_err(|_| TimeStampFault::Unreadable)?;
        if anchors.is_empty() { Err(TimeStampFault::Unreadable) } else { Ok(Self(anchors)) }
    }
}

#[cfg(test)]
mod tests;
