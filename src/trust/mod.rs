//! Who is speaking, and did they say this: certificates, tokens, client assertions, digests and message signatures.
//!
//! This room verifies and returns what it proved. It does not remember: a nonce or `jti` comes back *unspent* and the
//! caller's store spends it once across instances; revoked tokens and suspended parties are looked up by the caller on
//! every request. It knows no HTTP framework, no SQL and no party.
//!
//! # Threat model
//! Aligned with the FAPI 2.0 Security Profile for client credentials over mutual TLS and with the draft on HTTP message
//! signatures; no conformance is claimed. Each control is on by default.
//!
//! | threat | control | test |
//! |---|---|---|
//! | a stranger, or a party in another's name, connects | TLS 1.3 only, client certificate, anchors per party, pinned name | `every_cause_of_a_failed_handshake_is_told_apart`, `tls_1_2_is_not_spoken` |
//! | a recorded session is broken later | hybrid key exchange preferred (X25519MLKEM768); a party may require it | `a_known_client_is_its_partys_over_tls_1_3_and_the_hybrid_group`, `a_party_that_requires_hybrid_key_exchange_gets_no_other` |
//! | a stolen certificate is used on | full-chain CRLs, reloaded, looked at on every request; bounded grace | `a_reload_and_an_expiry_bite_on_an_open_connection`, `an_expired_crl_has_a_bounded_grace_but_revoked_stays_revoked` |
//! | a missed CRL silences a crisis | two officers extend the grace for a week at most; who is revoked stays so | `two_officers_let_an_expired_crl_count_and_the_revoked_stay_revoked` |
//! | evidence outlives a key | every public key that ever counted is archived | `a_withdrawn_key_stays_in_the_archive` |
//! | probing goes unseen | failed handshakes on record with their cause | `a_handshake_that_fails_is_on_record_with_its_cause`, `expired_revoked_and_misused_certificates_open_nothing` |
//! | we talk to an impostor | RFC 9525 names under the party's own roots, no redirects | `outbound_accepts_only_the_named_host_of_a_known_authority` |
//! | a token is stolen or forged | RFC 9068, bound to the certificate, 5 minutes, algorithm from the registered key | `a_token_that_is_not_ours_not_bound_or_not_theirs_opens_nothing`, `every_wrong_claim_is_named` |
//! | an assertion is replayed | `jti` once across instances, `aud` is the issuer alone | `a_signed_assertion_gives_a_token_once` |
//! | a suspended party or revoked token acts on | looked up with every request | `a_suspended_client_and_a_revoked_token_are_refused_at_once` |
//! | a message is changed on the way, or its sender denies it | RFC 9421 over RFC 9530; bytes, base and chain kept | `signature_digest_and_nonce_faults_are_told_apart_and_store_nothing` |
//! | a message is replayed | `created` within 60 s, nonce once across instances | `a_repeat_gets_the_same_receipt_other_bytes_conflict_and_a_nonce_serves_once` |
//! | two readers read one body differently | strict JSON: no duplicates, no BOM, bounded depth and numbers | `bodies_that_cannot_be_read_are_refused_whole`, `each_ambiguity_has_its_own_reason` |
//! | resources are exhausted | bounds on handshake, headers, body, time, rate; no compressed bodies | `a_body_that_stops_coming_ends_the_request`, `a_client_that_asks_too_often_is_told_to_wait` |
//! | an answer is forged on its way back | answers signed, bound to the request; verified before anything counts | `an_unbound_answer_is_refused`, `an_answer_that_is_not_signed_by_the_partner_delivers_nothing` |
//! | a party learns of another's people | pairwise ids, own corridor only, release rules | `an_id_that_was_issued_to_another_party_is_refused_and_recorded`, `another_corridors_ledger_is_not_shown` |
//! | a party overwrites another's word | owners beside fields; a differing value is a claim | `anothers_field_is_kept_as_a_claim_and_a_person_is_told` |
//! | an officer is curious | purpose, fields by purpose, each look a leaf | `a_purpose_that_is_not_the_officers_shows_nothing`, `an_officer_finds_a_worker_by_anything_that_was_said_and_each_look_is_a_leaf` |
//! | the operator rewrites history | append-only role, triggers, signed checkpoints that receipts carry away | `the_gateway_can_only_append_and_a_superuser_who_does_more_is_found` |
//! | a database is stolen | sealed under a key per subject, keys in another database | `a_value_opens_only_at_its_place_under_its_key` |
//! | a person is not forgotten | keys destroyed on two officers' word, proofs stay whole | `everything_about_an_erased_person_is_unreadable_and_nothing_of_others_is_lost` |
//! | a backup brings her back | a list outside of the databases, replayed before anything is served; epochs of the key-encryption key | `a_restored_backup_does_not_bring_an_erased_person_back`, `rotating_the_key_encryption_key_goes_on_after_a_kill_and_completes_erasures` |
//! | personal data leaks by a side | problems without values, logs without bodies | `an_identifier_as_a_number_is_named_as_such_and_its_value_is_not_repeated`, `nothing_that_names_a_person_stands_in_the_log` |
//!
//! Not controlled: blind search terms show which records share a word or identifier to who holds the database; a restored backup
//! forgets (a witness would tell); who holds token key, key-encryption key and both databases reads everything.

/// One table a room of refusals: the variant, its stable word for problem details, its sentence.
macro_rules! faults {
    ($(#[$about:meta])* $name:ident { $($variant:ident = $reason:literal, $sentence:literal;)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum $name {
            $(#[doc = $sentence] #[error($sentence)] $variant,)+
        }

        impl $name {
            /// A stable word for problem details, audit and metrics.
            pub fn reason(self) -> &'static str {
                match self {
                    $(Self::$variant => $reason,)+
                }
            }
        }
    };
}

pub mod anchors;
pub mod assertion;
pub mod digest;
pub mod exchanged;
pub mod handshake;
pub mod httpsig;
pub(crate) mod jws;
pub mod keys;
pub mod request;
pub mod time_stamp;
pub mod tls;
pub mod token;
