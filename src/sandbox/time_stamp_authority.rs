//! A time-stamp authority (RFC 3161) on loopback, with a throw-away root of its own, and what one can do wrong.

use super::pki::PkiFault;
use crate::{domain::clock::Clock, vault::sha256};
use aws_lc_rs::digest;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use cmpv2::status::{PkiStatus, PkiStatusInfo};
use cms::{
    cert::{
        CertificateChoices, IssuerAndSerialNumber,
        x509::{Certificate, attr::Attribute, spki::AlgorithmIdentifierOwned},
    },
    content_info::{CmsVersion, ContentInfo},
    signed_data::{CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos},
};
use der::{
    Any, Decode, Encode, Tag,
    asn1::{GeneralizedTime, Int, ObjectIdentifier, OctetString, SetOfVec},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SigningKey,
};
use std::sync::{Arc, Mutex, PoisonError};
use time::{Duration, OffsetDateTime};
use tokio::{net::TcpListener, sync::watch};
use x509_tsp::{TimeStampReq, TimeStampResp, TspVersion, TstInfo};

const ID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const ID_CT_TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const ID_CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const ID_MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const ID_SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
/// Its policy: of a number that nobody has.
const POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.99999.1");

/// What an authority does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It answers 503.
    Away,
    /// It answers a page of HTML with 200.
    Page,
    /// It refuses.
    Refuses,
    /// It answers another request.
    Nonce,
    /// It stamps something else.
    Imprint,
    /// Its time is an hour ago.
    Hour,
    /// Its certificate expired yesterday.
    Expired,
    /// Its certificate does not say what it is for.
    NoUsage,
    /// Its certificate says what it is for, and who does not understand that may go on.
    NotCritical,
    /// Its certificate is for more than time-stamping.
    NotAlone,
    /// What it signed binds another certificate.
    Binding,
    /// What it signed is of another content.
    Digest,
    /// It signed something else.
    Signature,
    /// Another authority has its address.
    Another,
}

impl Wrong {
    /// Each, with the word by which the gateway tells of it.
    pub const ALL: [(Self, &'static str); 14] = [
        (Self::Away, "status-not-200"),
        (Self::Page, "unreadable"),
        (Self::Refuses, "request-refused"),
        (Self::Nonce, "other-nonce"),
        (Self::Imprint, "other-imprint"),
        (Self::Hour, "other-time"),
        (Self::Expired, "certificate-expired"),
        (Self::NoUsage, "certificate-of-another-use"),
        (Self::NotCritical, "certificate-of-another-use"),
        (Self::NotAlone, "certificate-of-another-use"),
        (Self::Binding, "certificate-not-bound"),
        (Self::Digest, "digest-wrong"),
        (Self::Signature, "signature-wrong"),
        (Self::Another, "authority-unknown"),
    ];
}

/// SEQUENCE { id-kp-timeStamping }: alone and critical by RFC 3161 §2.3, which the extension of the crate is not.
const TIME_STAMPING: &[u8] = &[0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 8];
/// SEQUENCE { id-kp-timeStamping, id-kp-codeSigning }.
const AND_CODE: &[u8] = &[0x30, 20, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 8, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 3];

/// A way to sign: the key, the digest, and the identifiers of both in a token.
struct Algorithm {
    key: &'static rcgen::SignatureAlgorithm,
    digest: &'static digest::Algorithm,
    digest_id: ObjectIdentifier,
    id: ObjectIdentifier,
}

static ECDSA: Algorithm = Algorithm {
    key: &rcgen::PKCS_ECDSA_P256_SHA256,
    digest: &digest::SHA256,
    digest_id: ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"),
    id: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
};

/// A certificate and its key.
struct Signer {
    certificate: Vec<u8>,
    key: KeyPair,
    algorithm: &'static Algorithm,
}

/// An authority that answers until it is told to stop.
pub struct TimeStampAuthority {
    /// Its root, PEM.
    pub root: String,
    clock: Arc<dyn Clock>,
    good: Signer,
    expired: Signer,
    no_usage: Signer,
    not_critical: Signer,
    not_alone: Signer,
    another: Signer,
    wrong: Mutex<Option<Wrong>>,
}

impl TimeStampAuthority {
    /// Starts one on `listener`; it ends when `stop` changes.
    ///
    /// # Errors
    /// [`PkiFault`].
    pub fn start(
        listener: TcpListener,
        clock: Arc<dyn Clock>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Arc<Self>, PkiFault> {
        let made = Arc::new(Self::make(clock)?);
        let routes = Router::new().fallback(answer).with_state(made.clone());
        tokio::spawn(async move {
            let ended = async move { drop(stop.wait_for(|stop| *stop).await) };
            tokio::select! {
                _ = axum::serve(listener, routes) => {}
                () = ended => {}
            }
        });
        Ok(made)
    }

    /// One that answers nobody by itself.
    fn make(clock: Arc<dyn Clock>) -> Result<Self, PkiFault> {
        let now = clock.now();
        let [root, other_root] = [root(now)?, root(now)?];
        let (from, until) = (now - Duration::HOUR, now + Duration::days(30));
        let signer = |usage| signer(&root, (from, until), usage, &ECDSA);
        let alone = Some((TIME_STAMPING, true));
        Ok(Self {
            root: root.pem(),
            good: signer(alone)?,
            expired: self::signer(&root, (now - Duration::days(30), now - Duration::DAY), alone, &ECDSA)?,
            no_usage: signer(None)?,
            not_critical: signer(Some((TIME_STAMPING, false)))?,
            not_alone: signer(Some((AND_CODE, true)))?,
            another: self::signer(&other_root, (from, until), alone, &ECDSA)?,
            clock,
            wrong: Mutex::default(),
        })
    }

    /// From now on it does this wrong, or nothing.
    pub fn do_wrong(&self, wrong: Option<Wrong>) {
        *self.wrong.lock().unwrap_or_else(PoisonError::into_inner) = wrong;
    }

    /// A TimeStampResp to a TimeStampReq; `None` where the request cannot be read.
    pub fn respond(&self, request: &[u8]) -> Option<Vec<u8>> {
        let wrong = *self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let request = TimeStampReq::from_der(request).ok()?;
        let status = |status| PkiStatusInfo { status, status_string: None, fail_info: None };
        if wrong == Some(Wrong::Refuses) {
            return TimeStampResp { status: status(PkiStatus::Rejection), time_stamp_token: None }.to_der().ok();
        }
        let mut imprint = request.message_imprint;
        let mut nonce = request.nonce;
        let mut at = self.clock.now();
        match wrong {
            Some(Wrong::Imprint) => imprint.hashed_message = OctetString::new([7; 32]).ok()?,
            Some(Wrong::Nonce) => nonce = Int::new(&[1]).ok(),
            Some(Wrong::Hour) => at -= Duration::HOUR,
            _ => {}
        }
        let since = std::time::Duration::from_secs(at.unix_timestamp().try_into().ok()?);
        let statement = TstInfo {
            version: TspVersion::V1,
            policy: request.req_policy.unwrap_or(POLICY),
            message_imprint: imprint,
            serial_number: Int::new(&[1]).ok()?,
            gen_time: GeneralizedTime::from_unix_duration(since).ok()?,
            accuracy: None,
            ordering: false,
            nonce,
            tsa: None,
            extensions: None,
        };
        let signer = match wrong {
            Some(Wrong::Expired) => &self.expired,
            Some(Wrong::NoUsage) => &self.no_usage,
            Some(Wrong::NotCritical) => &self.not_critical,
            Some(Wrong::NotAlone) => &self.not_alone,
            Some(Wrong::Another) => &self.another,
            _ => &self.good,
        };
        let token = signer.token(statement.to_der().ok()?, wrong).ok()?;
        TimeStampResp { status: status(PkiStatus::Accepted), time_stamp_token: Some(token) }.to_der().ok()
    }
}

async fn answer(State(authority): State<Arc<TimeStampAuthority>>, request: Bytes) -> Response {
    match *authority.wrong.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(Wrong::Away) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(Wrong::Page) => return "<html>Welcome</html>".into_response(),
        _ => {}
    }
    match authority.respond(&request) {
        Some(answer) => ([(header::CONTENT_TYPE, "application/timestamp-reply")], answer).into_response(),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

fn root(now: OffsetDateTime) -> Result<CertifiedIssuer<'static, KeyPair>, PkiFault> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.not_before = now - Duration::days(60);
    params.not_after = now + Duration::days(60);
    params.distinguished_name.push(DnType::CommonName, "throw-away time-stamp CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

/// `usage`: the extended key usage as DER, and whether it is critical.
fn signer(
    root: &CertifiedIssuer<'static, KeyPair>,
    (from, until): (OffsetDateTime, OffsetDateTime),
    usage: Option<(&[u8], bool)>,
    algorithm: &'static Algorithm,
) -> Result<Signer, PkiFault> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.not_before = from;
    params.not_after = until;
    params.distinguished_name.push(DnType::CommonName, "throw-away time-stamp authority");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if let Some((usage, critical)) = usage {
        let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 37], usage.to_vec());
        extension.set_criticality(critical);
        params.custom_extensions.push(extension);
    }
    let key = KeyPair::generate_for(algorithm.key)?;
    let certificate = params.signed_by(&key, root)?;
    Ok(Signer { certificate: certificate.der().to_vec(), key, algorithm })
}

impl Signer {
    /// CMS SignedData (RFC 5652) around a TSTInfo, with the attributes that RFC 3161 §2.4.2 and RFC 5816 ask for.
    fn token(&self, statement: Vec<u8>, wrong: Option<Wrong>) -> der::Result<ContentInfo> {
        let algorithm = |oid| AlgorithmIdentifierOwned { oid, parameters: None };
        let attribute = |oid, value: Any| -> der::Result<Attribute> {
            Ok(Attribute { oid, values: SetOfVec::try_from(vec![value])? })
        };
        let bound = if wrong == Some(Wrong::Binding) { [7; 32] } else { sha256(&self.certificate) };
        let content = if wrong == Some(Wrong::Digest) { b"something else" } else { &statement[..] };
        // SEQUENCE { SEQUENCE OF ESSCertIDv2 { certHash } }, whose digest is SHA-256 by default.
        let identifier = [&[0x30, 38, 0x30, 36, 0x30, 34, 4, 32][..], &bound].concat();
        let digest = OctetString::new(digest::digest(self.algorithm.digest, content).as_ref())?;
        let attributes = SetOfVec::try_from(vec![
            attribute(ID_CONTENT_TYPE, Any::encode_from(&ID_CT_TST_INFO)?)?,
            attribute(ID_MESSAGE_DIGEST, Any::encode_from(&digest)?)?,
            attribute(ID_SIGNING_CERTIFICATE_V2, Any::from_der(&identifier)?)?,
        ])?;
        let message = attributes.to_der()?;
        let message = if wrong == Some(Wrong::Signature) { b"something else".to_vec() } else { message };
        let signature = self.key.sign(&message).map_err(|_| Tag::OctetString.value_error())?;
        let certificate = Certificate::from_der(&self.certificate)?;
        let of = &certificate.tbs_certificate;
        let signer = SignerInfo {
            version: CmsVersion::V1,
            sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
                issuer: of.issuer.clone(),
                serial_number: of.serial_number.clone(),
            }),
            digest_alg: algorithm(self.algorithm.digest_id),
            signed_attrs: Some(attributes),
            signature_algorithm: algorithm(self.algorithm.id),
            signature: OctetString::new(signature)?,
            unsigned_attrs: None,
        };
        let signed = SignedData {
            version: CmsVersion::V3,
            digest_algorithms: SetOfVec::try_from(vec![algorithm(self.algorithm.digest_id)])?,
            encap_content_info: EncapsulatedContentInfo {
                econtent_type: ID_CT_TST_INFO,
                econtent: Some(Any::new(Tag::OctetString, statement)?),
            },
            certificates: Some(CertificateSet::try_from(vec![CertificateChoices::Certificate(certificate)])?),
            crls: None,
            signer_infos: SignerInfos::try_from(vec![signer])?,
        };
        Ok(ContentInfo { content_type: ID_SIGNED_DATA, content: Any::encode_from(&signed)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::system::{SystemClock, SystemRandom},
        trust::time_stamp::{Request, Roots, TimeStampFault},
    };
    use rustls_pki_types::{CertificateDer, pem::PemObject};

    const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
    const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
    static P_384: Algorithm = Algorithm {
        key: &rcgen::PKCS_ECDSA_P384_SHA384,
        digest: &digest::SHA384,
        digest_id: SHA_384,
        id: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"),
    };
    static ED25519: Algorithm = Algorithm {
        key: &rcgen::PKCS_ED25519,
        digest: &digest::SHA512,
        digest_id: SHA_512,
        id: ObjectIdentifier::new_unwrap("1.3.101.112"),
    };
    /// As older software says it: the digest beside it only.
    static RSA: Algorithm = Algorithm {
        key: &rcgen::PKCS_RSA_SHA512,
        digest: &digest::SHA512,
        digest_id: SHA_512,
        id: ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
    };
    /// A signature by another digest than the one that its attributes were hashed with.
    static MIXED: Algorithm = Algorithm { id: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"), ..P_384 };

    #[test]
    fn each_algorithm_that_is_taken_verifies_and_no_mixture() {
        let now = SystemClock.now();
        let root = root(now).unwrap();
        let roots = Roots::new(&[CertificateDer::from_pem_slice(root.pem().as_bytes()).unwrap()]).unwrap();
        let mut authority = TimeStampAuthority::make(Arc::new(SystemClock)).unwrap();
        for (algorithm, expected) in [
            (&ECDSA, Ok(())),
            (&P_384, Ok(())),
            (&ED25519, Ok(())),
            (&RSA, Ok(())),
            (&MIXED, Err(TimeStampFault::Algorithm)),
        ] {
            let validity = (now - Duration::HOUR, now + Duration::DAY);
            authority.good = signer(&root, validity, Some((TIME_STAMPING, true)), algorithm).unwrap();
            let request = Request::new(b"checkpoint", None, &SystemRandom);
            let answer = authority.respond(&request.to_der()).unwrap();
            let told = request.open(&answer, now).and_then(|token| token.vouched(&roots));
            assert_eq!(told, expected, "{}", algorithm.id);
        }
    }
}
