//! Real handshakes in memory, between configurations that this module built and throw-away authorities.

use super::super::anchors::{PartyAnchors, PeerCertificate, RevocationState, TrustFault};
use super::*;
use crate::domain::clock::ManualClock;
use crate::trust::handshake::{cause_of, cause_of_io};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose as Eku, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls::{ClientConnection, NamedGroup, ServerConnection, version::TLS12};
use rustls_pki_types::{CertificateRevocationListDer, PrivatePkcs8KeyDer, ServerName};
use std::{io, sync::OnceLock};
use time::{Duration, OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2027-01-01 12:00 UTC);
const HOST: &str = "gateway.example";
type Authority = CertifiedIssuer<'static, KeyPair>;

struct Leaf {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Leaf {
    fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

fn ca_params(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from(serial));
    params
}

fn authority(name: &str) -> Authority {
    CertifiedIssuer::self_signed(ca_params(name, 1), KeyPair::generate().unwrap()).unwrap()
}

fn leaf_with(issuer: &Authority, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
    let mut params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    params.not_before = NOW - Duration::days(1);
    params.not_after = NOW + Duration::days(30);
    params.serial_number = Some(SerialNumber::from(42));
    params.extended_key_usages = vec![Eku::ClientAuth];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    Leaf { chain: vec![certificate.der().clone()], key }
}

fn leaf(issuer: &Authority) -> Leaf {
    leaf_with(issuer, |_| ())
}

fn crl(issuer: &Authority, issued: OffsetDateTime, revoked: &[u64]) -> CertificateRevocationListDer<'static> {
    let revoked_certs = revoked.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: issued,
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: issued,
        next_update: issued + Duration::hours(24),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked_certs.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(issuer).unwrap().der().clone()
}

fn anchors(party: &str, issuer: &Authority, crls: Vec<CertificateRevocationListDer<'static>>) -> PartyAnchors {
    PartyAnchors {
        party: party.to_owned(),
        roots: vec![issuer.der().clone()],
        crls,
        crl_grace: Duration::hours(48),
        crl_grace_until: None,
    }
}

/// The gateway's own authority and server certificate, one for all tests.
fn gateway() -> &'static (Authority, Leaf) {
    static GATEWAY: OnceLock<(Authority, Leaf)> = OnceLock::new();
    GATEWAY.get_or_init(|| {
        let authority = authority("gateway authority");
        let server = leaf_with(&authority, |params| params.extended_key_usages = vec![Eku::ServerAuth]);
        (authority, server)
    })
}

fn clock(at: OffsetDateTime) -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(at))
}

fn server(store: &Arc<TrustStore>, at: OffsetDateTime) -> ServerConfig {
    let (_, own) = gateway();
    server_config(Arc::clone(store), own.chain.clone(), own.key(), clock(at)).unwrap()
}

fn client(leaf: &Leaf) -> ClientConfig {
    client_config(&[gateway().0.der().clone()], leaf.chain.clone(), leaf.key(), clock(NOW), KeyExchange::PreferHybrid)
        .unwrap()
}

/// A client without a certificate.
fn mute(version: &'static rustls::SupportedProtocolVersion) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(gateway().0.der().clone()).unwrap();
    ClientConfig::builder_with_details(provider(KeyExchange::PreferHybrid), Arc::new(ClockTime(clock(NOW))))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Runs a handshake to its end; the error is that of whoever failed first.
fn shake(
    server: ServerConfig,
    client: ClientConfig,
    host: &'static str,
) -> Result<(ServerConnection, ClientConnection), Error> {
    let mut server = ServerConnection::new(Arc::new(server))?;
    let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from(host).unwrap())?;
    while server.is_handshaking() || client.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok((server, client))
}

fn store(parties: &[PartyAnchors]) -> Arc<TrustStore> {
    Arc::new(TrustStore::new(parties).unwrap())
}

/// The peer that a handshake at `at` yields, or why it failed.
fn peer(store: &Arc<TrustStore>, leaf: &Leaf, at: OffsetDateTime) -> Result<PeerCertificate, HandshakeFault> {
    let (server, _) = shake(server(store, at), client(leaf), HOST).map_err(|error| {
        let wrapped = io::Error::new(io::ErrorKind::InvalidData, error.clone());
        assert_eq!(cause_of_io(&wrapped), cause_of(&error));
        cause_of(&error)
    })?;
    PeerCertificate::from_chain(store, server.peer_certificates().unwrap(), at)
}

#[test]
fn a_known_client_is_its_partys_over_tls_1_3_and_the_hybrid_group() {
    let (xa, xb) = (authority("xa"), authority("xb"));
    let store =
        store(&[anchors("xa", &xa, vec![crl(&xa, NOW - Duration::hours(1), &[7])]), anchors("xb", &xb, vec![])]);
    let config = server(&store, NOW);
    assert_eq!((config.max_early_data_size, config.send_tls13_tickets), (0, 0));
    let one = leaf(&xb);
    let (server, client) = shake(config, client(&one), HOST).unwrap();
    assert_eq!(server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(server.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(client.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519MLKEM768);
    let found = PeerCertificate::from_chain(&store, server.peer_certificates().unwrap(), NOW).unwrap();
    assert_eq!(
        (found.party.as_str(), found.revocation, found.serial.as_str()),
        ("xb", RevocationState::NotChecked, "2a")
    );
    assert_eq!((found.dns_sans, found.not_after), (vec![HOST.to_owned()], NOW + Duration::days(30)));
    assert_eq!(found.thumbprint_sha256[..], *aws_lc_rs_digest(&one.chain[0]));
    let found = peer(&store, &leaf(&xa), NOW).unwrap();
    assert_eq!((found.party.as_str(), found.revocation), ("xa", RevocationState::Good { crl_age_s: 3600 }));
    assert_eq!(store.crl_ages(NOW), [("xa".to_owned(), 3600)]);
}

fn aws_lc_rs_digest(bytes: &[u8]) -> Vec<u8> {
    ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, bytes).as_ref().to_vec()
}

#[test]
fn every_cause_of_a_failed_handshake_is_told_apart() {
    let (xa, xb, stranger) = (authority("xa"), authority("xb"), authority("stranger"));
    let impostor = authority("xa");
    let fresh = crl(&xa, NOW - Duration::hours(1), &[42]);
    let plain = store(&[anchors("xa", &xa, vec![]), anchors("xb", &xb, vec![])]);
    let revoking = store(&[anchors("xb", &xb, vec![]), anchors("xa", &xa, vec![fresh])]);
    let foreign_crl = store(&[anchors("xa", &xa, vec![crl(&xb, NOW, &[])])]);
    let forged_crl = store(&[anchors("xa", &xa, vec![crl(&impostor, NOW, &[])])]);
    let expired = leaf_with(&xa, |params| params.not_after = NOW - Duration::seconds(1));
    let early = leaf_with(&xa, |params| params.not_before = NOW + Duration::seconds(1));
    let for_servers = leaf_with(&xa, |params| params.extended_key_usages = vec![Eku::ServerAuth]);
    let for_nothing = leaf_with(&xa, |params| params.extended_key_usages.clear());
    let cases = [
        (&plain, leaf(&stranger), HandshakeFault::UnknownIssuer),
        (&plain, expired, HandshakeFault::Expired),
        (&plain, early, HandshakeFault::NotYetValid),
        (&plain, for_servers, HandshakeFault::WrongUsage),
        (&plain, for_nothing, HandshakeFault::WrongUsage),
        (&plain, leaf(&impostor), HandshakeFault::BadSignature),
        (&revoking, leaf(&xa), HandshakeFault::Revoked),
        (&foreign_crl, leaf(&xa), HandshakeFault::RevocationUnknown),
        (&forged_crl, leaf(&xa), HandshakeFault::RevocationUnknown),
    ];
    for (store, leaf, fault) in cases {
        assert_eq!(peer(store, &leaf, NOW).unwrap_err(), fault);
    }
    assert_eq!(cause_of(&shake(server(&plain, NOW), mute(&TLS13), HOST).unwrap_err()), HandshakeFault::NoneSent);
}

#[test]
fn tls_1_2_is_not_spoken() {
    let xa = authority("xa");
    let error = shake(server(&store(&[anchors("xa", &xa, vec![])]), NOW), mute(&TLS12), HOST).unwrap_err();
    assert!(matches!(error, Error::PeerIncompatible(_)), "{error}");
    assert_eq!(cause_of(&error), HandshakeFault::Other);
    assert_eq!(cause_of_io(&io::ErrorKind::ConnectionReset.into()), HandshakeFault::Other);
}

#[test]
fn an_expired_crl_has_a_bounded_grace_but_revoked_stays_revoked() {
    let xa = authority("xa");
    let leaf = leaf(&xa);
    let issued = NOW - Duration::hours(1);
    let clean = store(&[anchors("xa", &xa, vec![crl(&xa, issued, &[7])])]);
    let state = |hours| peer(&clean, &leaf, issued + Duration::hours(hours)).map(|found| found.revocation);
    assert_eq!(state(23), Ok(RevocationState::Good { crl_age_s: 23 * 3600 }));
    assert_eq!(state(25), Ok(RevocationState::Grace));
    assert_eq!(state(72), Ok(RevocationState::Grace));
    assert_eq!(state(73), Err(HandshakeFault::CrlExpired));
    let revoking = store(&[anchors("xa", &xa, vec![crl(&xa, issued, &[42])])]);
    for hours in [25, 73] {
        assert_eq!(peer(&revoking, &leaf, issued + Duration::hours(hours)).unwrap_err(), HandshakeFault::Revoked);
    }
}

#[test]
fn a_grace_that_officers_extended_ends_when_they_said() {
    let xa = authority("xa");
    let issued = NOW - Duration::hours(24 + 48 + 1);
    let extended =
        |until| PartyAnchors { crl_grace_until: Some(until), ..anchors("xa", &xa, vec![crl(&xa, issued, &[42])]) };
    let other = leaf_with(&xa, |params| params.serial_number = Some(SerialNumber::from(7)));
    let at = |until, at| peer(&store(&[extended(until)]), &other, at).map(|peer| peer.revocation);
    let until = NOW + Duration::hours(5);
    assert_eq!(at(NOW - Duration::hours(1), NOW), Err(HandshakeFault::CrlExpired));
    assert_eq!(at(until, until), Ok(RevocationState::Grace));
    assert_eq!(at(until, until + Duration::seconds(1)), Err(HandshakeFault::CrlExpired));
    assert_eq!(
        peer(&store(&[extended(until)]), &leaf(&xa), NOW).unwrap_err(),
        HandshakeFault::Revoked,
        "never excused"
    );
}

#[test]
fn the_newest_of_several_crls_decides() {
    let xa = authority("xa");
    let (old, new) = (crl(&xa, NOW - Duration::hours(5), &[]), crl(&xa, NOW - Duration::hours(1), &[42]));
    for crls in [vec![old.clone(), new.clone()], vec![new, old]] {
        assert_eq!(peer(&store(&[anchors("xa", &xa, crls)]), &leaf(&xa), NOW).unwrap_err(), HandshakeFault::Revoked);
    }
}

#[test]
fn the_whole_chain_is_checked() {
    let root = authority("xa");
    let middle = CertifiedIssuer::signed_by(ca_params("xa middle", 9), KeyPair::generate().unwrap(), &root).unwrap();
    let mut leaf = leaf(&middle);
    leaf.chain.push(middle.der().clone());
    let of_middle = crl(&middle, NOW - Duration::hours(2), &[]);
    let full = store(&[anchors("xa", &root, vec![of_middle.clone(), crl(&root, NOW - Duration::hours(3), &[])])]);
    assert_eq!(peer(&full, &leaf, NOW).unwrap().revocation, RevocationState::Good { crl_age_s: 3 * 3600 });
    let half = store(&[anchors("xa", &root, vec![of_middle.clone()])]);
    assert_eq!(peer(&half, &leaf, NOW).unwrap_err(), HandshakeFault::RevocationUnknown);
    let revoked = store(&[anchors("xa", &root, vec![of_middle, crl(&root, NOW, &[9])])]);
    assert_eq!(peer(&revoked, &leaf, NOW).unwrap_err(), HandshakeFault::Revoked);
}

#[test]
fn a_reload_and_an_expiry_bite_on_an_open_connection() {
    let (xa, xb) = (authority("xa"), authority("xb"));
    let current = crl(&xa, NOW - Duration::hours(1), &[]);
    let store = store(&[anchors("xa", &xa, vec![current.clone()])]);
    let open = peer(&store, &leaf(&xa), NOW).unwrap();
    assert_eq!(store.recheck(&open, NOW), Ok(RevocationState::Good { crl_age_s: 3600 }));

    let bad = PartyAnchors { crls: vec![CertificateRevocationListDer::from(vec![0])], ..anchors("xa", &xa, vec![]) };
    assert_eq!(store.replace(&[bad]), Err(TrustFault::BadCrl { party: "xa".to_owned(), position: 0 }));
    assert!(store.recheck(&open, NOW).is_ok(), "a bad reload keeps the old store");

    assert_eq!(store.replace(&[anchors("xa", &xa, vec![crl(&xa, NOW, &[42])])]), Ok(1));
    assert_eq!(store.recheck(&open, NOW), Err(HandshakeFault::Revoked));
    store.replace(&[anchors("xb", &xb, vec![])]).unwrap();
    assert_eq!(store.recheck(&open, NOW), Err(HandshakeFault::UnknownIssuer));
    store.replace(&[anchors("xb", &xa, vec![])]).unwrap();
    assert_eq!(store.recheck(&open, NOW), Err(HandshakeFault::UnknownIssuer), "another party's now");

    store.replace(&[anchors("xa", &xa, vec![current])]).unwrap();
    assert!(store.recheck(&open, NOW).is_ok());
    assert_eq!(store.recheck(&open, NOW + Duration::hours(24)), Ok(RevocationState::Grace), "the CRL aged");
    let short = leaf_with(&xa, |params| params.not_after = NOW + Duration::seconds(5));
    let open = peer(&store, &short, NOW).unwrap();
    assert!(store.recheck(&open, NOW + Duration::seconds(5)).is_ok());
    assert_eq!(store.recheck(&open, NOW + Duration::seconds(6)), Err(HandshakeFault::Expired));
}

#[test]
fn unusable_anchors_are_named() {
    let xa = authority("xa");
    let good = anchors("xa", &xa, vec![]);
    let refused = |parties: &[PartyAnchors]| TrustStore::new(parties).unwrap_err();
    assert_eq!(refused(&[good.clone(), good.clone()]), TrustFault::TwiceParty("xa".to_owned()));
    assert_eq!(refused(&[PartyAnchors { roots: vec![], ..good.clone() }]), TrustFault::NoRoot("xa".to_owned()));
    let bad = PartyAnchors { roots: vec![vec![1].into()], ..good.clone() };
    assert_eq!(refused(&[bad]), TrustFault::BadRoot { party: "xa".to_owned(), position: 0 });
    let shared = PartyAnchors { party: "xb".to_owned(), ..good.clone() };
    assert_eq!(refused(&[good, shared]), TrustFault::SharedRoot("xa".to_owned(), "xb".to_owned()));
}

#[test]
fn outbound_accepts_only_the_named_host_of_a_known_authority() {
    let xa = authority("xa");
    let store = store(&[anchors("xa", &xa, vec![])]);
    let own = leaf(&xa);
    let fails = |config, host| shake(config, client(&own), host).unwrap_err();
    let error = fails(server(&store, NOW), "other.example");
    assert!(matches!(error, Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })), "{error}");
    // A name in the subject only (RFC 9525 §2), and a certificate of another authority.
    let nameless = leaf_with(&gateway().0, |params| {
        params.subject_alt_names.clear();
        params.distinguished_name.push(DnType::CommonName, HOST);
        params.extended_key_usages = vec![Eku::ServerAuth];
    });
    for wrong in [nameless, leaf_with(&xa, |params| params.extended_key_usages = vec![Eku::ServerAuth])] {
        let config = server_config(Arc::clone(&store), wrong.chain.clone(), wrong.key(), clock(NOW)).unwrap();
        assert!(matches!(fails(config, HOST), Error::InvalidCertificate(_)));
    }
}
