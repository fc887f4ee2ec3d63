//! A TimeStampToken read from its DER: CMS SignedData (RFC 5652 §5) around a TSTInfo (RFC 3161 §2.4.2), verified by the certificate
//! that its signed attributes bind (RFC 2634 §5.4, RFC 5035).

use super::{SHA_256, TOKEN_MAX, TimeStampFault, Token};
use crate::ledger::tree::Hash;
use aws_lc_rs::digest::{self, digest};
use cms::{
    cert::x509::{Certificate, ext::Extensions, spki::AlgorithmIdentifierRef},
    content_info::ContentInfo,
    signed_data::{SignedAttributes, SignedData, SignerIdentifier, SignerInfo},
};
use der::{
    Any, AnyRef, Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged,
    asn1::{ContextSpecific, Int, ObjectIdentifier, OctetString, OctetStringRef},
};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use time::{Date, Month, OffsetDateTime, Time};
use webpki::{EndEntityCert, aws_lc_rs as algorithms};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_tsp::{Accuracy, MessageImprint, TspVersion};

const ID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const ID_CT_TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const ID_CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const ID_MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const ID_SIGNING_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const ID_SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const ID_SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");

const SHA_384: &str = "2.16.840.1.101.3.4.2.2";
const SHA_512: &str = "2.16.840.1.101.3.4.2.3";

/// Longest name of an authority that is told.
const NAME_MAX: usize = 300;

fn unreadable(_: der::Error) -> TimeStampFault {
    TimeStampFault::Unreadable
}

pub(super) fn read(bytes: &[u8]) -> Result<Token, TimeStampFault> {
    if bytes.len() > TOKEN_MAX {
        return Err(TimeStampFault::Unreadable);
    }
    let outer = ContentInfo::from_der(bytes).map_err(unreadable)?;
    if outer.content_type != ID_SIGNED_DATA {
        return Err(TimeStampFault::NotATimeStamp);
    }
    let signed: SignedData = outer.content.decode_as().map_err(unreadable)?;
    let ([signer], ID_CT_TST_INFO) = (signed.signer_infos.0.as_slice(), signed.encap_content_info.econtent_type) else {
        return Err(TimeStampFault::NotATimeStamp);
    };
    let content = signed.encap_content_info.econtent.as_ref().filter(|content| content.tag() == Tag::OctetString);
    let content = content.ok_or(TimeStampFault::Unreadable)?.value();
    let statement = Statement::read(content).map_err(unreadable)?;
    let attributes = signer.signed_attrs.as_ref().ok_or(TimeStampFault::Attributes)?;
    bound_content(signer, attributes, content)?;
    let mut others = certificates(&outer.content).map_err(unreadable)?;
    let binding = Binding::of(attributes)?;
    let at = others.iter().position(|der| binding.is_of(der)).ok_or(TimeStampFault::NoCertificate)?;
    let certificate = others.swap_remove(at);
    let parsed = Certificate::from_der(&certificate).map_err(unreadable)?;
    if !names(&signer.sid, &parsed) {
        return Err(TimeStampFault::NoCertificate);
    }
    for_time_stamping_alone(&certificate)?;
    // RFC 5652 §5.4: what is signed is the DER of the attributes as a SET OF, whatever its tag in the token.
    let message = attributes.to_der().map_err(unreadable)?;
    verify(signer, &certificate, &message)?;
    let subject = parsed.tbs_certificate.subject.to_string();
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let authority = subject.chars().take(NAME_MAX).map(shown).collect();
    Ok(Token {
        der: bytes.to_vec(),
        imprint: statement.imprint().ok_or(TimeStampFault::Algorithm)?,
        policy: statement.policy,
        nonce: statement.nonce,
        time: statement.time,
        authority,
        signer: certificate,
        others,
    })
}

/// The certificates of a SignedData, byte for byte: one that is written anew may have another digest.
fn certificates(signed: &Any) -> der::Result<Vec<CertificateDer<'static>>> {
    let set = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };
    AnyRef::from(signed).sequence(|reader| {
        let mut all = Vec::new();
        while !reader.is_finished() {
            let one = AnyRef::decode(reader)?;
            if one.tag() != set {
                continue;
            }
            let mut inside = SliceReader::new(one.value())?;
            while !inside.is_finished() {
                let der = inside.tlv_bytes()?;
                // Others than certificates of X.509 have tags of their own (RFC 5652 §10.2.2).
                if der.first() == Some(&0x30) {
                    all.push(CertificateDer::from(der.to_vec()));
                }
            }
        }
        Ok(all)
    })
}

/// What the authority signed.
struct Statement {
    policy: ObjectIdentifier,
    imprint: MessageImprint,
    time: OffsetDateTime,
    nonce: Option<Vec<u8>>,
}

impl Statement {
    /// By hand and not by `x509_tsp::TstInfo`, whose genTime knows no fractions of a second.
    fn read(bytes: &[u8]) -> der::Result<Self> {
        AnyRef::from_der(bytes)?.sequence(|reader| {
            TspVersion::decode(reader)?;
            let policy = ObjectIdentifier::decode(reader)?;
            let imprint = MessageImprint::decode(reader)?;
            Int::decode(reader)?;
            let told = AnyRef::decode(reader)?;
            let wrong = || Tag::GeneralizedTime.value_error();
            told.tag().assert_eq(Tag::GeneralizedTime)?;
            let time = generalized_time(told.value()).ok_or_else(wrong)?;
            Option::<Accuracy>::decode(reader)?;
            Option::<bool>::decode(reader)?;
            let nonce = Option::<Int>::decode(reader)?.map(|nonce| nonce.as_bytes().to_vec());
            ContextSpecific::<Any>::decode_explicit(reader, TagNumber::N0)?;
            let extensions = ContextSpecific::<Extensions>::decode_implicit(reader, TagNumber::N1)?;
            // None is known here, and one that is critical may change what the token means.
            if extensions.is_some_and(|all| all.value.iter().any(|one| one.critical)) {
                return Err(Tag::Sequence.value_error());
            }
            Ok(Self { policy, imprint, time, nonce })
        })
    }

    fn imprint(&self) -> Option<Hash> {
        let of = &self.imprint;
        (of.hash_algorithm.oid.to_string() == SHA_256).then(|| of.hashed_message.as_bytes().try_into().ok())?
    }
}

/// `YYYYMMDDhhmmss[.f…]Z` in DER (X.690 §11.7): fractions do not end with a zero.
fn generalized_time(text: &[u8]) -> Option<OffsetDateTime> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) {
        return None;
    }
    let nanos = match fraction {
        None => 0,
        Some(fraction) if (1..=9).contains(&fraction.len()) && digits(fraction) && !fraction.ends_with('0') => {
            format!("{fraction:0<9}").parse().ok()?
        }
        Some(_) => return None,
    };
    let number = |from: usize| whole[from..from + 2].parse::<u8>().ok();
    let month = Month::try_from(number(4)?).ok()?;
    let date = Date::from_calendar_date(whole[..4].parse().ok()?, month, number(6)?).ok()?;
    Some(date.with_time(Time::from_hms_nano(number(8)?, number(10)?, number(12)?, nanos).ok()?).assume_utc())
}

/// The one value of the one attribute of a type; `None` where there is none.
fn attribute(attributes: &SignedAttributes, oid: ObjectIdentifier) -> Result<Option<&Any>, TimeStampFault> {
    let mut found = attributes.iter().filter(|one| one.oid == oid);
    let Some(first) = found.next() else { return Ok(None) };
    match (found.next(), first.values.as_slice()) {
        (None, [value]) => Ok(Some(value)),
        _ => Err(TimeStampFault::Attributes),
    }
}

/// A digest of the SHA-2 family by its identifier.
fn digest_of(oid: ObjectIdentifier) -> Option<&'static digest::Algorithm> {
    match oid.to_string().as_str() {
        SHA_256 => Some(&digest::SHA256),
        SHA_384 => Some(&digest::SHA384),
        SHA_512 => Some(&digest::SHA512),
        _ => None,
    }
}

/// RFC 5652 §5.6, §11.1, §11.2: the attributes are of this content.
fn bound_content(signer: &SignerInfo, attributes: &SignedAttributes, content: &[u8]) -> Result<(), TimeStampFault> {
    let needed = |oid| attribute(attributes, oid)?.ok_or(TimeStampFault::Attributes);
    let kind: ObjectIdentifier = needed(ID_CONTENT_TYPE)?.decode_as().map_err(|_| TimeStampFault::Attributes)?;
    if kind != ID_CT_TST_INFO {
        return Err(TimeStampFault::Attributes);
    }
    let algorithm = digest_of(signer.digest_alg.oid).ok_or(TimeStampFault::Algorithm)?;
    let told: OctetString = needed(ID_MESSAGE_DIGEST)?.decode_as().map_err(|_| TimeStampFault::Attributes)?;
    if told.as_bytes() == digest(algorithm, content).as_ref() { Ok(()) } else { Err(TimeStampFault::Digest) }
}

/// The digests of the signer's certificate that are signed.
struct Binding(Vec<(&'static digest::Algorithm, Vec<u8>)>);

impl Binding {
    /// The first certificate that each attribute names is the signer's. Its issuer and serial number, which may stand beside, say
    /// nothing that its digest does not.
    fn of(attributes: &SignedAttributes) -> Result<Self, TimeStampFault> {
        let mut all = Vec::new();
        if let Some(value) = attribute(attributes, ID_SIGNING_CERTIFICATE_V2)? {
            let (algorithm, hash) = first_identifier(value).map_err(|_| TimeStampFault::Attributes)?;
            let algorithm = algorithm.map_or(Some(&digest::SHA256), digest_of);
            all.push((algorithm.ok_or(TimeStampFault::Algorithm)?, hash));
        }
        if let Some(value) = attribute(attributes, ID_SIGNING_CERTIFICATE)? {
            let (algorithm, hash) = first_identifier(value).map_err(|_| TimeStampFault::Attributes)?;
            if algorithm.is_some() {
                return Err(TimeStampFault::Attributes);
            }
            // RFC 2634 knows only SHA-1. It chooses among the certificates in the token; the signature is by none of these.
            all.push((&digest::SHA1_FOR_LEGACY_USE_ONLY, hash));
        }
        if all.is_empty() { Err(TimeStampFault::Attributes) } else { Ok(Self(all)) }
    }

    fn is_of(&self, certificate: &[u8]) -> bool {
        self.0.iter().all(|(algorithm, hash)| digest(algorithm, certificate).as_ref() == hash)
    }
}

/// SigningCertificate and SigningCertificateV2: SEQUENCE { SEQUENCE OF SEQUENCE { [algorithm,] hash, … }, … }.
fn first_identifier(value: &Any) -> der::Result<(Option<ObjectIdentifier>, Vec<u8>)> {
    let rest = |reader: &mut SliceReader<'_>| -> der::Result<()> {
        while !reader.is_finished() {
            AnyRef::decode(reader)?;
        }
        Ok(())
    };
    let identifiers = AnyRef::from(value).sequence(|reader| {
        let identifiers = AnyRef::decode(reader)?;
        rest(reader).map(|()| identifiers)
    })?;
    let first = identifiers.sequence(|reader| {
        let first = AnyRef::decode(reader)?;
        rest(reader).map(|()| first)
    })?;
    first.sequence(|reader| {
        let algorithm = Option::<AlgorithmIdentifierRef<'_>>::decode(reader)?.map(|algorithm| algorithm.oid);
        let hash = OctetStringRef::decode(reader)?.as_bytes().to_vec();
        rest(reader).map(|()| (algorithm, hash))
    })
}

/// Whether the signer's identifier names this certificate.
fn names(sid: &SignerIdentifier, certificate: &Certificate) -> bool {
    let of = &certificate.tbs_certificate;
    match sid {
        SignerIdentifier::IssuerAndSerialNumber(id) => id.issuer == of.issuer && id.serial_number == of.serial_number,
        SignerIdentifier::SubjectKeyIdentifier(id) => {
            let own = of.extensions.iter().flatten().find(|one| one.extn_id == ID_SUBJECT_KEY_IDENTIFIER);
            own.and_then(|own| OctetString::from_der(own.extn_value.as_bytes()).ok()).is_some_and(|own| own == id.0)
        }
    }
}

/// RFC 3161 §2.3: one extended key usage, critical, of id-kp-timeStamping and nothing else.
fn for_time_stamping_alone(certificate: &[u8]) -> Result<(), TimeStampFault> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| TimeStampFault::Usage)?;
    let usage = parsed.extended_key_usage().ok().flatten().ok_or(TimeStampFault::Usage)?;
    let of = usage.value;
    let another = of.any
        || of.server_auth
        || of.client_auth
        || of.code_signing
        || of.email_protection
        || of.ocsp_signing
        || !of.other.is_empty();
    if usage.critical && of.time_stamping && !another { Ok(()) } else { Err(TimeStampFault::Usage) }
}

/// What is taken: the identifier of the signature, that of the digest, and the algorithms that both may mean; which of them fits is
/// the key's to say.
static ALGORITHMS: [(&str, &str, &[&dyn SignatureVerificationAlgorithm]); 10] = [
    // rsaEncryption leaves the digest to the field beside it (RFC 3370 §3.2); the others name it too (RFC 5754 §3.2, §3.3).
    ("1.2.840.113549.1.1.1", SHA_256, &[algorithms::RSA_PKCS1_2048_8192_SHA256]),
    ("1.2.840.113549.1.1.1", SHA_384, &[algorithms::RSA_PKCS1_2048_8192_SHA384]),
    ("1.2.840.113549.1.1.1", SHA_512, &[algorithms::RSA_PKCS1_2048_8192_SHA512]),
    ("1.2.840.113549.1.1.11", SHA_256, &[algorithms::RSA_PKCS1_2048_8192_SHA256]),
    ("1.2.840.113549.1.1.12", SHA_384, &[algorithms::RSA_PKCS1_2048_8192_SHA384]),
    ("1.2.840.113549.1.1.13", SHA_512, &[algorithms::RSA_PKCS1_2048_8192_SHA512]),
    ("1.2.840.10045.4.3.2", SHA_256, &[algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256]),
    ("1.2.840.10045.4.3.3", SHA_384, &[algorithms::ECDSA_P256_SHA384, algorithms::ECDSA_P384_SHA384]),
    ("1.2.840.10045.4.3.4", SHA_512, &[algorithms::ECDSA_P256_SHA512, algorithms::ECDSA_P384_SHA512]),
    // RFC 8419 §2.3.
    ("1.3.101.112", SHA_512, &[algorithms::ED25519]),
];

fn verify(signer: &SignerInfo, certificate: &CertificateDer<'_>, message: &[u8]) -> Result<(), TimeStampFault> {
    let told = (signer.signature_algorithm.oid.to_string(), signer.digest_alg.oid.to_string());
    let found = ALGORITHMS.iter().find(|(signature, digest, _)| (*signature, *digest) == (&*told.0, &*told.1));
    let (.., candidates) = found.ok_or(TimeStampFault::Algorithm)?;
    let key = EndEntityCert::try_from(certificate).map_err(|_| TimeStampFault::Signature)?;
    let holds = |algorithm: &&dyn SignatureVerificationAlgorithm| {
        key.verify_signature(*algorithm, message, signer.signature.as_bytes()).is_ok()
    };
    if candidates.iter().any(holds) { Ok(()) } else { Err(TimeStampFault::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_generalized_time_has_one_spelling() {
        let read = |text: &str| generalized_time(text.as_bytes());
        assert_eq!(read("20261126010203Z"), Some(datetime!(2026-11-26 01:02:03 UTC)));
        assert_eq!(read("20261126010203.05Z"), Some(datetime!(2026-11-26 01:02:03.05 UTC)));
        for text in [
            "",
            "Z",
            "20261126010203",
            "20261126010203.Z",
            "20261126010203.50Z",
            "20261126010203.0Z",
            "20261126010203.1234567891Z",
            "202611260102Z",
            "20261126010203+0000",
            "20261301010203Z",
            "20261126010260Z",
            "2026112601020aZ",
            "+0261126010203Z",
            "2026112601020\u{0663}Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
