//! Certificates at the port: expired, revoked, under an expired CRL, without the hybrid key exchange that a party requires.

use crate::support::{Databases, gateway::TestGateway};
use onechannel::{
    app::system::SystemClock,
    domain::clock::Clock,
    sandbox::{pki::ClientFiles, system::System},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, ExtendedKeyUsagePurpose,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{process::Command, sync::Arc};
use time::Duration;

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A gateway whose first partner's authority is the test's own.
struct Stand {
    gateway: TestGateway,
    authority: Authority,
}

impl Stand {
    async fn prepare() -> Self {
        let gateway = TestGateway::prepare(Databases::fresh().await).await;
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, "test authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(gateway.stand.pki.partners.join("my/trust/ca.pem"), authority.pem()).unwrap();
        Self { gateway, authority }
    }

    fn profile(&self, trust: &str) {
        let file = self.gateway.stand.pki.partners.join("my/party.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("[trust]\n"));
        std::fs::write(&file, text.replace("[trust]\n", &format!("[trust]\n{trust}\n"))).unwrap();
    }

    /// A CRL of `age`, good for a day, that revokes one serial number.
    fn crl(&self, age: Duration, revoked: u64) {
        let issued = SystemClock.now() - age;
        let params = CertificateRevocationListParams {
            this_update: issued,
            next_update: issued + Duration::hours(24),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(revoked),
                revocation_time: issued,
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let crl = params.signed_by(&self.authority).unwrap();
        std::fs::write(self.gateway.stand.pki.partners.join("my/trust/crl.pem"), crl.pem().unwrap()).unwrap();
    }

    fn files(&self, serial: u64, change: impl FnOnce(&mut CertificateParams)) -> ClientFiles {
        let mut params = CertificateParams::new(vec!["gateway.my.example".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = SystemClock.now() - Duration::days(3);
        params.not_after = SystemClock.now() + Duration::days(3);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        let [cert, secret] = ["pem", "key"].map(|end| self.gateway.folder.join(format!("{serial}.{end}")));
        std::fs::write(&cert, certificate.pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        let files = self.gateway.stand.pki.clients["my-gateway"].clone();
        ClientFiles { client_cert: cert, client_key: secret, ..files }
    }

    async fn gets_a_token(&self, files: &ClientFiles) -> bool {
        let public = self.gateway.folder.join("pki/gateway-sign.pub.pem");
        let external = &self.gateway.config.external;
        let system = System::new(external, &self.gateway.stand.pki.ca, files, &public, "gateway-sign-1").unwrap();
        system.fresh_token().await.is_ok()
    }

    /// The causes on record once the gateway has stopped, which writes what it counted.
    async fn stopped_with(&mut self, expected: &[&str]) {
        self.gateway.running.take().unwrap().stop().await;
        for _ in 0..2_000 {
            let causes: Vec<String> =
                sqlx::query_scalar("select distinct cause from rejected_handshakes order by cause")
                    .fetch_all(&self.gateway.databases.owner)
                    .await
                    .unwrap();
            if causes == expected {
                return;
            }
        }
        panic!("the causes are not on record: {expected:?}");
    }

    fn extend(&self, second: &str) -> std::process::Output {
        let config = self.gateway.stand.config.to_string_lossy().into_owned();
        Command::new(env!("CARGO_BIN_EXE_onechannel"))
            .args(["keys", "extend-crl-grace", "my", "--hours", "48", "--officer", "a.sari", "--officer", second])
            .args(["--basis", "CRL host away, crisis 3/2026", "--config", &config])
            .output()
            .unwrap()
    }
}

#[tokio::test]
async fn expired_revoked_and_misused_certificates_open_nothing() {
    let mut stand = Stand::prepare().await;
    stand.profile("crls = [\"trust/crl.pem\"]");
    stand.crl(Duration::hours(1), 2);
    stand.gateway.serve().await;
    let now = SystemClock.now();
    assert!(stand.gets_a_token(&stand.files(1, |_| ())).await);
    assert!(!stand.gets_a_token(&stand.files(2, |_| ())).await, "revoked");
    assert!(
        !stand.gets_a_token(&stand.files(3, |params| params.not_after = now - Duration::hours(1))).await,
        "expired"
    );
    assert!(!stand.gets_a_token(&stand.files(4, |params| params.not_before = now + Duration::hours(1))).await, "early");
    let server_only =
        |params: &mut CertificateParams| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    assert!(!stand.gets_a_token(&stand.files(5, server_only)).await, "not for clients");
    stand
        .stopped_with(&[
            "certificate-expired",
            "certificate-not-yet-valid",
            "certificate-revoked",
            "certificate-wrong-usage",
        ])
        .await;
}

#[tokio::test]
async fn two_officers_let_an_expired_crl_count_and_the_revoked_stay_revoked() {
    let mut stand = Stand::prepare().await;
    stand.profile("crls = [\"trust/crl.pem\"]");
    stand.crl(Duration::hours(30), 2);
    stand.gateway.serve().await;
    let (good, revoked) = (stand.files(1, |_| ()), stand.files(2, |_| ()));
    assert!(!stand.gets_a_token(&good).await, "the CRL is six hours past its end and the profile grants nothing");
    stand.stopped_with(&["crl-expired"]).await;
    let alone = stand.extend("A.Sari ");
    assert!(!alone.status.success() && String::from_utf8_lossy(&alone.stderr).contains("two different officers"));
    let both = stand.extend("b.putra");
    assert!(both.status.success(), "{both:?}");
    stand.gateway.serve().await;
    assert!(stand.gets_a_token(&good).await);
    assert!(!stand.gets_a_token(&revoked).await);
    stand.stopped_with(&["certificate-revoked", "crl-expired"]).await;
    assert_eq!(stand.gateway.stop_and_verify().await, 1, "the officers' act is a leaf");
}

#[tokio::test]
async fn a_party_that_requires_hybrid_key_exchange_gets_no_other() {
    let mut stand = Stand::prepare().await;
    stand.profile("hybrid_key_exchange_only = true");
    stand.gateway.serve().await;
    let files = stand.files(1, |_| ());
    assert!(stand.gets_a_token(&files).await);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&stand.gateway.stand.pki.ca).unwrap()).unwrap();
    let provider = rustls::crypto::CryptoProvider {
        kx_groups: vec![rustls::crypto::aws_lc_rs::kx_group::X25519],
        ..rustls::crypto::aws_lc_rs::default_provider()
    };
    let classical = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_file(&files.client_cert).unwrap()],
            PrivateKeyDer::from_pem_file(&files.client_key).unwrap(),
        )
        .unwrap();
    let http = onechannel::sandbox::system::client(classical).unwrap();
    assert!(http.get(format!("{}/.well-known/jwks.json", stand.gateway.config.external)).send().await.is_err());
    stand.stopped_with(&["key-exchange-not-hybrid"]).await;
}

#[tokio::test]
async fn a_withdrawn_key_stays_in_the_archive() {
    let mut stand = Stand::prepare().await;
    let public = stand.gateway.stand.pki.partners.join("my/trust");
    stand.gateway.serve().await;
    stand.gateway.running.take().unwrap().stop().await;
    let config = stand.gateway.stand.config.to_string_lossy().into_owned();
    let list = || {
        let output = Command::new(env!("CARGO_BIN_EXE_onechannel"))
            .args(["keys", "list", "--json", "--config", &config])
            .output()
            .unwrap();
        serde_json::from_slice::<Vec<serde_json::Value>>(&output.stdout).unwrap()
    };
    let of_my = |all: &[serde_json::Value]| {
        all.iter().filter(|key| key["party"] == "my" && key["purpose"] == "message").count()
    };
    let before = list();
    assert_eq!(of_my(&before), 1);
    for purpose in ["gateway", "answer", "log"] {
        assert!(before.iter().any(|key| key["purpose"] == purpose), "{purpose}");
    }
    let profile = std::fs::read_to_string(public.join("../party.toml")).unwrap();
    let file = profile.split("file = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    std::fs::write(public.join("..").join(file), other.public_key_pem()).unwrap();
    stand.gateway.serve().await;
    stand.gateway.running.take().unwrap().stop().await;
    let after = list();
    assert_eq!((of_my(&after), after.len()), (2, before.len() + 1));
}
