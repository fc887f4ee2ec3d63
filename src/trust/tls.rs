//! TLS on the channel port and outbound: 1.3 only, post-quantum key exchange first, a client certificate always.
//!
//! A handshake that fails says why in one of a few words ([`HandshakeFault`]) that the caller counts and audits.
//! It opens no socket. Sessions are not resumed: every connection shows its certificate.

use super::{
    anchors::TrustStore,
    handshake::{HandshakeFault, fault_of_webpki},
};
use crate::domain::clock::Clock;
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, DistinguishedName, Error, NamedGroup,
    OtherError, RootCertStore, ServerConfig, SignatureScheme,
    client::{WantsClientCert, danger::HandshakeSignatureValid},
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    server::{
        NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    time_provider::TimeProvider,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use std::{fmt, sync::Arc};

/// Chosen so that the peer gets a fitting alert and [`super::handshake::cause_of`] finds the fault again.
fn rustls_error(error: webpki::Error) -> Error {
    use CertificateError as C;
    Error::InvalidCertificate(match fault_of_webpki(&error) {
        HandshakeFault::UnknownIssuer => C::UnknownIssuer,
        HandshakeFault::Expired => C::Expired,
        HandshakeFault::NotYetValid => C::NotValidYet,
        HandshakeFault::Revoked => C::Revoked,
        HandshakeFault::WrongUsage => C::InvalidPurpose,
        HandshakeFault::CrlExpired => C::ExpiredRevocationList,
        HandshakeFault::RevocationUnknown => C::UnknownRevocationStatus,
        HandshakeFault::BadSignature => C::BadSignature,
        HandshakeFault::NoneSent | HandshakeFault::NotHybrid | HandshakeFault::Other => {
            C::Other(OtherError(Arc::new(error)))
        }
    })
}

/// Verifies client certificates against the store as it stands at that moment.
struct PartyVerifier(Arc<TrustStore>);

impl fmt::Debug for PartyVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PartyVerifier").field(&self.0).finish()
    }
}

impl ClientCertVerifier for PartyVerifier {
    /// No hints: the names borrow from `self`, so they could not follow a reload, and they would list our parties.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let at = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        self.0.judge(leaf, intermediates, at).map_err(rustls_error)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, self.0.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, self.0.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.algorithms().supported_schemes()
    }
}

struct ClockTime(Arc<dyn Clock>);

impl fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockTime")
    }
}

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().unix_timestamp()).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

/// Which key exchanges are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyExchange {
    /// X25519MLKEM768 before all others (RFC 10024), whatever the library's default becomes.
    PreferHybrid,
    /// X25519MLKEM768 and nothing else.
    HybridOnly,
}

fn provider(exchange: KeyExchange) -> Arc<CryptoProvider> {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    let kx_groups = match exchange {
        KeyExchange::PreferHybrid => vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1],
        KeyExchange::HybridOnly => vec![X25519MLKEM768],
    };
    Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
}

/// Whether a connection's key exchange was hybrid.
pub fn is_hybrid(group: Option<&dyn SupportedKxGroup>) -> bool {
    group.is_some_and(|group| group.name() == NamedGroup::X25519MLKEM768)
}

fn alpn() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

/// The channel port: `chain` and `key` are the gateway's own, `store` says which client certificates are believed.
///
/// # Errors
/// If the key does not fit the certificate.
pub fn server_config(
    store: Arc<TrustStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clock: Arc<dyn Clock>,
) -> Result<ServerConfig, Error> {
    let mut config =
        ServerConfig::builder_with_details(provider(KeyExchange::PreferHybrid), Arc::new(ClockTime(clock)))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(PartyVerifier(store)))
            .with_single_cert(chain, key)?;
    config.alpn_protocols = alpn();
    config.max_early_data_size = 0;
    // A resumed session would skip the verifier, and with it the audit of a revoked certificate's attempt.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// Outbound: the peer's identity by RFC 9525 (names of the SAN only) under `roots`, our certificate shown.
///
/// # Errors
/// If a root is no certificate or the key does not fit the certificate.
pub fn client_config(
    roots: &[CertificateDer<'static>],
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clock: Arc<dyn Clock>,
    exchange: KeyExchange,
) -> Result<ClientConfig, Error> {
    let mut config = outbound(roots, clock, exchange)?.with_client_auth_cert(chain, key)?;
    config.alpn_protocols = alpn();
    Ok(config)
}

/// Outbound to a server that is shown no certificate of ours; its own must be vouched for by `roots`.
///
/// # Errors
/// If a root is no certificate.
pub fn anonymous_config(roots: &[CertificateDer<'static>], clock: Arc<dyn Clock>) -> Result<ClientConfig, Error> {
    let mut config = outbound(roots, clock, KeyExchange::PreferHybrid)?.with_no_client_auth();
    config.alpn_protocols = alpn();
    Ok(config)
}

fn outbound(
    roots: &[CertificateDer<'static>],
    clock: Arc<dyn Clock>,
    exchange: KeyExchange,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Error> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone())?;
    }
    let builder = ClientConfig::builder_with_details(provider(exchange), Arc::new(ClockTime(clock)));
    Ok(builder.with_protocol_versions(&[&TLS13])?.with_root_certificates(store))
}

// The throw-away certificates come from the crate of the sandbox feature.
/// Whether a private key is that of a chain's first certificate.
pub fn is_of(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>) -> bool {
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(key);
    key.is_ok_and(|key| rustls::sign::CertifiedKey::new(chain.to_vec(), key).keys_match().is_ok())
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;
