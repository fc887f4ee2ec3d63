//! Why a handshake failed, in one of a few words: from what the TLS library, its acceptor or the verifier of paths says.

use rustls::{CertificateError, Error};
use std::io;

faults! {
    /// Why a handshake failed, or why an open connection's certificate is not good any more.
    HandshakeFault {
        NoneSent = "certificate-missing", "no client certificate was sent";
        UnknownIssuer = "certificate-unknown-issuer", "the client certificate's issuer is not known";
        Expired = "certificate-expired", "the client certificate is expired";
        NotYetValid = "certificate-not-yet-valid", "the client certificate is not valid yet";
        Revoked = "certificate-revoked", "the client certificate or one of its issuers is revoked";
        WrongUsage = "certificate-wrong-usage", "the client certificate is not for client authentication";
        CrlExpired = "crl-expired", "a CRL of the party is expired beyond its grace";
        RevocationUnknown = "revocation-unknown", "no valid CRL covers the client certificate's chain";
        BadSignature = "certificate-bad-signature", "a signature of the client's chain or handshake does not verify";
        NotHybrid = "key-exchange-not-hybrid", "the party requires a hybrid post-quantum key exchange";
        Other = "handshake-failed", "the TLS handshake failed";
    }
}

/// The cause of a failed handshake of ours.
pub fn cause_of(error: &Error) -> HandshakeFault {
    use CertificateError as C;
    match error {
        Error::NoCertificatesPresented => HandshakeFault::NoneSent,
        Error::InvalidCertificate(certificate) => match certificate {
            C::UnknownIssuer => HandshakeFault::UnknownIssuer,
            C::Expired | C::ExpiredContext { .. } => HandshakeFault::Expired,
            C::NotValidYet | C::NotValidYetContext { .. } => HandshakeFault::NotYetValid,
            C::Revoked => HandshakeFault::Revoked,
            C::InvalidPurpose | C::InvalidPurposeContext { .. } => HandshakeFault::WrongUsage,
            C::ExpiredRevocationList | C::ExpiredRevocationListContext { .. } => HandshakeFault::CrlExpired,
            C::UnknownRevocationStatus => HandshakeFault::RevocationUnknown,
            C::BadSignature => HandshakeFault::BadSignature,
            _ => HandshakeFault::Other,
        },
        _ => HandshakeFault::Other,
    }
}

/// The cause inside the `io::Error` that an acceptor yields.
pub fn cause_of_io(error: &io::Error) -> HandshakeFault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    inner.map_or(HandshakeFault::Other, cause_of)
}

#[expect(deprecated, reason = "both forms of a wrong usage are to be recognised")]
pub(super) fn fault_of_webpki(error: &webpki::Error) -> HandshakeFault {
    use webpki::Error as W;
    match error {
        W::UnknownIssuer => HandshakeFault::UnknownIssuer,
        W::CertExpired { .. } => HandshakeFault::Expired,
        W::CertNotValidYet { .. } => HandshakeFault::NotYetValid,
        W::CertRevoked => HandshakeFault::Revoked,
        W::RequiredEkuNotFound | W::RequiredEkuNotFoundContext(_) => HandshakeFault::WrongUsage,
        W::CrlExpired { .. } => HandshakeFault::CrlExpired,
        W::UnknownRevocationStatus | W::InvalidCrlSignatureForPublicKey | W::IssuerNotCrlSigner => {
            HandshakeFault::RevocationUnknown
        }
        W::InvalidSignatureForPublicKey => HandshakeFault::BadSignature,
        _ => HandshakeFault::Other,
    }
}
