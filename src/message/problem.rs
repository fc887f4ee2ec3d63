//! RFC 9457 problem details with a closed list of types.
//!
//! A problem names the field, the rule and the fix in four languages and an error id that is the same in the answer,
//! the log and the record. It never repeats a value that a sender gave. How a problem becomes an HTTP answer is not known here.

use crate::words;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $status:literal;)*) => {
        /// Every problem type this gateway answers with: `urn:onechannel:problem:<slug>`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemKind { $($(#[$doc])* $name,)* }
        impl ProblemKind {
            /// All kinds, for coverage by subtraction.
            pub const ALL: &[ProblemKind] = &[$(Self::$name,)*];
            /// The last part of the type URI, and the key of its sentences.
            pub fn slug(self) -> &'static str { match self { $(Self::$name => $slug,)* } }
            /// The HTTP status (RFC 9110 §15).
            pub fn status(self) -> u16 { match self { $(Self::$name => $status,)* } }
        }
    };
}

kinds! {
    /// The request line, headers or parameters cannot be understood.
    MalformedRequest = "malformed-request", 400;
    /// The body is not strict JSON.
    InvalidJson = "invalid-json", 400;
    /// The event or its data break their schema.
    SchemaViolation = "schema-violation", 422;
    /// `type` is not in the catalogue.
    UnknownType = "unknown-type", 422;
    /// The object is known, this version of its message is not.
    UnknownSchemaVersion = "unknown-schema-version", 422;
    /// The stated authority is not one the client may speak for, or may not send this type.
    NotYourAuthority = "not-your-authority", 422;
    /// An identifier breaks a rule of level HARD.
    IdentifierInvalid = "identifier-invalid", 422;
    /// The same message id with other bytes.
    DuplicateIdOtherBytes = "duplicate-id-other-bytes", 409;
    /// An officer decided about this message before, otherwise.
    DecidedBefore = "decided-before", 409;
    /// RFC 9530 digest missing or not of these bytes.
    DigestMismatch = "digest-mismatch", 400;
    /// RFC 9421 signature missing or wrong.
    SignatureInvalid = "signature-invalid", 401;
    /// The signature's nonce was used before.
    ReplayedNonce = "replayed-nonce", 401;
    /// `created` is outside its window.
    RequestTooOld = "request-too-old", 401;
    /// RFC 6750 `invalid_token`.
    TokenInvalid = "token-invalid", 401;
    /// RFC 6750 `invalid_token`, by age.
    TokenExpired = "token-expired", 401;
    /// The token or the key belongs to another certificate or client (RFC 8705 §3).
    CertificateMismatch = "certificate-mismatch", 401;
    /// The client or its party is suspended, or its certificate revoked.
    ClientSuspended = "client-suspended", 403;
    /// Authenticated, but this is not the caller's to see or do.
    Forbidden = "forbidden", 403;
    /// No such thing, or none that the caller may know of.
    NotFound = "not-found", 404;
    /// The person whom it is about was erased (RFC 9110 §15.5.11).
    Erased = "erased", 410;
    /// RFC 9110 §15.5.6.
    MethodNotAllowed = "method-not-allowed", 405;
    /// The body did not arrive in time.
    RequestTimeout = "request-timeout", 408;
    /// Larger than the limit for this route.
    PayloadTooLarge = "payload-too-large", 413;
    /// Not a content type of this route.
    UnsupportedMediaType = "unsupported-media-type", 415;
    /// A content coding that is not accepted.
    EncodingUnsupported = "encoding-unsupported", 415;
    /// Too many requests for this certificate.
    RateLimited = "rate-limited", 429;
    /// Headers larger than the limit.
    HeaderTooLarge = "header-too-large", 431;
    /// `If-Match` does not hold.
    PreconditionFailed = "precondition-failed", 412;
    /// `If-Match` is required here (RFC 6585 §3).
    PreconditionRequired = "precondition-required", 428;
    /// The ministry's caller states no purpose, or one that is not theirs.
    PurposeMissing = "purpose-missing", 403;
    /// A wire message cannot be read by the party's mapping.
    MappingFailed = "mapping-failed", 422;
    /// The database is away: nothing was stored or told, ask again.
    ServiceUnavailable = "service-unavailable", 503;
    /// The ledger is halted: intake stops, reading goes on.
    LedgerHalted = "ledger-halted", 503;
    /// Nothing stands at or before this cursor.
    NothingToAcknowledge = "nothing-to-acknowledge", 422;
    /// A log's checkpoint is no extension of the one that we cosigned last (C2SP tlog-witness).
    CheckpointInconsistent = "checkpoint-inconsistent", 422;
    /// A fault of ours.
    InternalError = "internal-error", 500;
}

impl ProblemKind {
    /// The kind of a refusal for a message's content, from its first broken rule.
    pub fn of_rule(rule: &str) -> Self {
        match rule {
            "unknown-type" => Self::UnknownType,
            "unknown-version" => Self::UnknownSchemaVersion,
            "authority-unknown" | "authority-mandate" | "authority-type" | "corridor" => Self::NotYourAuthority,
            "identifier-shape" | "identifier-check" | "identifier-part" | "identifier-table" | "identifier-date"
            | "identifier-differs" | "identifier-unusual" | "unknown-id" | "erased-id" => Self::IdentifierInvalid,
            "mapping" => Self::MappingFailed,
            _ => Self::SchemaViolation,
        }
    }
}

/// One broken rule: where, which, and how to mend it. Serialised into `violations` of a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON Pointer (RFC 6901) into the message as sent.
    pub pointer: String,
    /// Stable word for the rule.
    pub rule: String,
    /// Parameters of the sentence (limits, expected formats); never the value that was sent. `level` says what a breach does: SOFT is
    /// applied and flagged, FIRM held, HARD refused.
    pub params: Vec<(String, String)>,
}

impl Fault {
    /// The compact form kept with a message: pointer, rule and parameters, without sentences.
    pub fn to_record(&self) -> Value {
        let params: Map<String, Value> = self.params.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
        serde_json::json!({"pointer": self.pointer, "rule": self.rule, "params": params})
    }

    /// Reads what [`Fault::to_record`] wrote.
    pub fn from_record(record: &Value) -> Option<Self> {
        let params = record.get("params").and_then(Value::as_object);
        let params = params.into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())));
        Some(Self {
            pointer: record.get("pointer")?.as_str()?.to_owned(),
            rule: record.get("rule")?.as_str()?.to_owned(),
            params: params.collect(),
        })
    }

    /// Several as they are kept with a message.
    pub fn write_all(faults: &[Self]) -> String {
        Value::Array(faults.iter().map(Self::to_record).collect()).to_string()
    }

    /// Reads what [`Fault::write_all`] wrote; nothing where there is nothing.
    pub fn read_all(problem: Option<&str>) -> Vec<Self> {
        let list: Vec<Value> = problem.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        list.iter().filter_map(Self::from_record).collect()
    }

    /// A fault without parameters.
    pub fn new(pointer: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), rule: rule.into(), params: Vec::new() }
    }

    /// Adds a parameter of its sentence.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Into<String>) -> Self {
        self.params.push((name.to_owned(), value.into()));
        self
    }

    /// The fault with its sentence in each language.
    pub fn to_json(&self) -> Value {
        let params: Vec<(&str, &str)> = self.params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let param = |wanted: &str| params.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        let mut object = Map::new();
        object.insert("pointer".into(), self.pointer.clone().into());
        object.insert("rule".into(), self.rule.clone().into());
        if let Some(level) = param("level") {
            object.insert("level".into(), level.into());
        }
        // Of a record in a party's own format: the place in the event that it is read as, and the row that reads it.
        if let Some(canonical) = param("canonical") {
            object.insert("canonical".into(), canonical.into());
        }
        if let (Some(file), Some(line)) = (param("file"), param("line")) {
            object.insert("mapping".into(), format!("{file}:{line}").into());
        }
        object.insert("message".into(), sentences(&format!("rule.{}", self.rule), &params));
        Value::Object(object)
    }
}

fn sentences(key: &str, params: &[(&str, &str)]) -> Value {
    let mut object = Map::new();
    for (lang, text) in words::all(key, params) {
        object.insert(lang.code().into(), text.into());
    }
    Value::Object(object)
}

/// A refusal on its way to the sender.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Which of the closed list.
    pub kind: ProblemKind,
    /// The error id: in the answer, the log and the record.
    pub id: Uuid,
    /// A stable word that narrows the kind (`created-too-old`, `cnf-missing`).
    pub reason: Option<String>,
    /// Every broken rule.
    pub violations: Vec<Fault>,
    /// Members that a kind adds (a signature base, a current size).
    pub extra: Map<String, Value>,
    /// Seconds for `Retry-After`.
    pub retry_after_s: Option<u32>,
}

impl Problem {
    /// A problem of `kind` under the error id `id`.
    pub fn new(kind: ProblemKind, id: Uuid) -> Self {
        Self { kind, id, reason: None, violations: Vec::new(), extra: Map::new(), retry_after_s: None }
    }

    /// Narrows the kind with a stable word.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Adds broken rules.
    #[must_use]
    pub fn with(mut self, violations: Vec<Fault>) -> Self {
        self.violations = violations;
        self
    }

    /// Adds a member.
    #[must_use]
    pub fn extra(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// The `application/problem+json` object (RFC 9457 §3).
    pub fn to_json(&self) -> Value {
        #[derive(Serialize)]
        struct Members<'a> {
            r#type: String,
            title: String,
            status: u16,
            detail: String,
            instance: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<&'a str>,
            messages: Value,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            violations: Vec<Value>,
            #[serde(flatten)]
            extra: &'a Map<String, Value>,
        }
        let slug = self.kind.slug();
        let detail = words::sentence(words::Lang::En, &format!("problem.{slug}"), &[]).unwrap_or_default();
        serde_json::to_value(Members {
            r#type: format!("urn:onechannel:problem:{slug}"),
            title: slug.replace('-', " "),
            status: self.kind.status(),
            detail,
            instance: format!("urn:uuid:{}", self.id),
            reason: self.reason.as_deref(),
            messages: sentences(&format!("problem.{slug}"), &[]),
            violations: self.violations.iter().map(Fault::to_json).collect(),
            extra: &self.extra,
        })
        .unwrap_or(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_sentence_in_every_language() {
        for kind in ProblemKind::ALL {
            assert_eq!(words::all(&format!("problem.{}", kind.slug()), &[]).len(), 4, "{}", kind.slug());
        }
    }

    #[test]
    fn a_problem_names_field_rule_fix_and_error_id() {
        let fault = Fault::new("/data/worker/name", "required").param("field", "full").param("level", "HARD");
        let problem = Problem::new(ProblemKind::SchemaViolation, Uuid::nil()).with(vec![fault]).to_json();
        assert_eq!(problem["status"], 422);
        assert_eq!(problem["type"], "urn:onechannel:problem:schema-violation");
        assert_eq!(problem["instance"], format!("urn:uuid:{}", Uuid::nil()));
        assert_eq!(problem["violations"][0]["message"]["en"], "The field full is required here.");
        assert_eq!(problem["violations"][0]["level"], "HARD");
        assert!(problem["violations"][0]["message"]["ar"].is_string());
    }
}
