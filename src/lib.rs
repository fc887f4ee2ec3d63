//! A bilateral data-exchange gateway: two governments that share no system and do not fully trust each other come to know
//! the same thing about each worker, and either can prove what happened.
//!
//! # Promises
//! Each stands with the test that would catch its breach; one without a test is not kept yet and says so.
//!
//! 1. **Answered means durable.** A receipt is released only after the transaction that stored the message, its facts, its
//!    ledger leaf and its deliveries has committed. (`it::journal::a_crash_of_the_database_under_load…`)
//! 2. **One state from any order.** A placement is a pure fold over the set of admitted facts.
//!    (`domain::fold::tests::any_order_with_any_duplicates…`, `it::journal::any_order_and_any_batches…`)
//! 3. **At least once, applied once.** A message's id makes a repeat harmless; exactly-once is never claimed.
//!    (`it::journal::a_repeat_gets_the_same_receipt…`, `it::journal::two_instances_on_one_database…`)
//! 4. **Nothing is dropped.** What a party is to be told is a row written with its cause. (Rows: `it::journal`; the loops
//!    that deliver them are not built yet.)
//! 5. **Either side can prove what happened, offline.** (`ledger::receipt::tests`, `it::journal::a_receipt_verifies…`;
//!    countersigning by the partner is not built yet.)
//! 6. **The ledger holds nothing that names a person.** Destroying a person's keys leaves every proof whole.
//!    (`it::journal::after_the_key_is_destroyed…`)
//! 7. **A party is data.** `src/` names no country, authority or identifier kind. (Profiles and mappings are not built yet.)
//! 8. **One owner per field, one reason per look.** The fold keeps a non-owner's differing value as a claim.
//!    (`domain::fold::tests::an_echo_is_ignored…`; the ministry's look-ups are not built yet.)
//! 9. **A refusal helps.** (Not built yet.)
//!
//! # Map
//! Arrows only point up this table.
//!
//! | room | holds |
//! |---|---|
//! | [`domain`] | facts, the fold, identifier checks; time and randomness as traits; no I/O |
//! | [`ledger`] | RFC 6962 tree, C2SP notes and checkpoints, entries, receipts; no I/O |
//! | [`words`] | sentences in four languages |
//! | [`message`] | CloudEvents' attributes, strict JSON, problems |
//! | [`vault`] | sealing, blind tokens, commitments; no SQL |
//! | [`schema`] | `schemas/` compiled: catalogue, validators, field table |
//! | [`partner`] | profiles, release rules |
//! | [`trust`] | TLS configuration, revocation, tokens, HTTP signatures: verifies, and returns unspent proofs |
//! | [`access`] | officers and the purposes they may state |
//! | [`store`] | the only SQL: journal, ledger rows, keys |
//! | [`client`] | the only outbound HTTP: one mTLS client a party |
//! | [`exchange`] | one file a use case: callers, intake |
//! | [`http`] | the channel port: TLS acceptor, one file an endpoint, the one problem → answer mapping |
//! | `sandbox` | a private PostgreSQL (a default cargo feature) |
//! | [`app`] | system clock and generator, command line (one file a command) |
//!
//! # Two walks
//! **A message comes in.** Whoever received it makes a [`store::journal::Intent`]: the exact bytes, what they assert, how they
//! find their subject, how they were judged. [`store::journal::JournalHandle::submit`] queues it; the loop takes all that
//! wait and runs one transaction (`store::journal::transaction`): nonces are used up, repeats and conflicts found, subjects
//! locked in the order of their ids and their facts read; each message finds or opens its subject, or unites two; keys are
//! made in the vault; states are folded and written; then the log heads are locked in the order of their names, leaves
//! appended, the checkpoint signed; messages and deliveries inserted; commit. Only then does a receipt leave.
//!
//! **A receipt is doubted years later.** [`ledger::receipt::Receipt::verify`] takes the file and the log's public key: the
//! entry line is canonical, the proof leads from its hash to the root in the signed checkpoint, and, given the message's
//! bytes, the opening shows that the entry commits to exactly these. [`store::ledger::check`] recomputes a whole log from its
//! first leaf and names what does not hold.

pub mod access;
pub mod app;
pub mod client;
pub mod domain;
pub mod exchange;
pub mod http;
pub mod ledger;
pub mod message;
pub mod partner;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod schema;
pub mod store;
pub mod trust;
pub mod vault;
pub mod words;
