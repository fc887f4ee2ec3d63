//! A bilateral data-exchange gateway: two governments that share no system and do not fully trust each other come to know
//! the same thing about each worker, and either can prove what happened.
//!
//! # Promises
//! Each stands with the test that would catch its breach; one without a test is not kept yet and says so.
//!
//! 1. **Answered means durable.** A receipt is released only after the transaction that stored the message, its facts, its
//!    ledger leaf and its deliveries has committed. (`it::journal::a_crash_of_the_database_under_load…`,
//!    `it::faults::whatever_is_killed…`)
//! 2. **One state from any order.** Who is who, which placements a worker has and where each is are pure functions of the set of
//!    admitted messages. (`domain::fold::tests::any_order_with_any_duplicates…`, `domain::arrange::tests::properties::any_order_tells…`,
//!    `domain::arrange::tests::properties::no_claim_brings_anybody_back_to_life`, `it::histories::any_history_in_any_order…`)
//! 3. **At least once, applied once.** A message's id makes a repeat harmless; exactly-once is never claimed.
//!    (`it::journal::a_repeat_gets_the_same_receipt…`, `it::journal::two_instances_on_one_database…`)
//! 4. **Nothing is dropped.** What a party is to be told is a row written with its cause; a try that fails leaves it due.
//!    (`it::delivery::a_partner_that_is_away…`; the demo counts every delivery on both sides.)
//! 5. **Either side can prove what happened, offline.** (`ledger::receipt::tests`, `it::journal::a_receipt_verifies…`,
//!    `it::samples::every_sample_makes_its_first_exchange…`, `it::ledger::whatever_a_superuser_does…`,
//!    `it::ledger::an_exported_folder…`, `it::ledger::a_log_rolled_back…`, `it::evidence::an_archive_says…`,
//!    `it::evidence::whatever_is_changed…`, `it::evidence::what_a_partner_was_told…`,
//!    `it::evidence::whoever_lacks_the_senders_signature…`; other implementations prove it from what we serve,
//!    `it::oracles::another_implementation_proves…`; we countersign a partner's own log, `it::witness`, and a partner's witness ours,
//!    `it::cosigning::what_is_recorded…`; an old backup or a second gateway that signs
//!    another history is found and halted where the partner has a witness, `it::cosigning::an_old_backup…`,
//!    `it::cosigning::of_two_gateways…`; an authority of neither side bounds the time of both,
//!    `it::time_stamps::a_dispute_is_stamped_at_once…`.)
//! 6. **The ledger holds nothing that names a person.** Destroying a person's keys leaves every proof whole.
//!    (`it::erasure::everything_about_an_erased_person…`, `it::erasure::restored::a_restored_backup…`, `it::erasure::an_opening_that_was_given_out…`)
//! 7. **A party is data.** `src/` names no country, authority or identifier kind; the test reads all but `sandbox` and unit tests,
//!    which load the shipped folders by code. (`it::rooms::no_party_is_named…`)
//! 8. **One owner per field, one reason per look.** The fold keeps a non-owner's differing value as a claim; each look states a
//!    purpose and becomes a leaf; what stays home never leaves, and nothing goes out about who is at risk.
//!    (`it::refusals::anothers_field…`, `it::ministry::an_officer_finds…`, `it::outbound::what_stays_home…`,
//!    `it::lifecycle::nothing_goes_out…`, `it::views::nothing_that_a_partner_reads…`, `it::purposes::what_is_open…`)
//! 9. **A refusal helps.** Field, rule, fix and error id in four languages, never what was sent.
//!    (`words::tests`, `schema::tests`, `it::refusals`)
//!
//! # Map
//! Arrows only point up this table.
//!
//! | room | holds |
//! |---|---|
//! | [`domain`] | facts, who is who, the fold, clocks, identifiers, names, Hijri dates, money, working days; time and randomness as traits; no I/O |
//! | [`ledger`] | RFC 6962 tree, C2SP tiles, notes, checkpoints and cosignatures, what a witness judges, entries, receipts, the audit of a whole log; no I/O |
//! | [`words`] | sentences in four languages |
//! | [`message`] | CloudEvents' attributes, strict JSON, problems |
//! | [`vault`] | sealing, blind tokens, commitments; no SQL |
//! | [`schema`] | `schemas/` compiled: catalogue, validators, field table, the OpenAPI document |
//! | [`partner`] | profiles, mappings, release, rule packs, calendars: the folder `partners/` |
//! | [`trust`] | TLS configuration, revocation, tokens, HTTP signatures, time-stamps: verifies, and returns unspent proofs |
//! | [`access`] | officers and the purposes they may state |
//! | [`evidence`] | what a receipt or an archive proves, as sentences and as a page; the archive's files; no I/O |
//! | [`store`] | the only SQL: journal, acts and erasing, deliveries, queries, what is kept as evidence, ledger rows, tiles and cosignatures, keys |
//! | [`client`] | the only outbound HTTP: one mTLS client a party, and a time-stamp authority's |
//! | [`exchange`] | one file a use case: callers, tokens, admission, intake, inbox, mailbox, deliver, poll, whole, deadlines, limits, query (officers), view (parties' systems), witness, cosigning, time_stamps, decide, erase, … |
//! | [`http`] | the channel port: TLS acceptor, one file an endpoint, the one problem → answer mapping |
//! | `sandbox` | private PostgreSQL, throw-away PKI, mocks of both sides, a time-stamp authority, the integrator's kit, population (a default cargo feature) |
//! | [`app`] | configuration, wiring, loops, system clock and generator, command line (one file a command) |
//!
//! # Two walks
//! **A message comes in.** [`http::listener`] shakes hands and keeps the verified certificate with the connection. The route takes
//! a signed request, which only [`exchange::caller::Caller::verify`] can have made: certificate, token bound to it, digest,
//! signature, one registered client. A record in a party's own format goes through its mapping ([`partner::formats`]).
//! [`exchange::judgement`] judges the message by itself, [`exchange::intake`] makes a [`store::journal::Intent`] of it: the exact
//! bytes, what they assert, what they name. [`store::journal::JournalHandle::submit`] queues it; a loop takes all that wait and runs one transaction
//! (`store::journal::transaction`): standing and nonces, repeats and conflicts, dossiers (all that shares an identifier) locked in
//! the order of their ids, each arranged into workers and placements ([`domain::arrange`]) and folded ([`domain::fold`]), clocks
//! set ([`domain::deadlines`]), keys made in the vault, what changed written, then the log heads locked in the order of their names, leaves
//! appended, the checkpoint signed, messages and deliveries inserted; commit. Only then does a receipt leave, in a signed answer.
//! [`exchange::deliver`] leases what is due, maps it, sends it, verifies the party's answer and settles it with a leaf.
//!
//! **A receipt is doubted years later.** [`ledger::receipt::Receipt::verify`] takes the file and the log's public key: the
//! entry line is canonical, the proof leads from its hash to the root in the signed checkpoint, and, given the message's
//! bytes, the opening shows that the entry commits to exactly these; the partner's witness signed the same checkpoint
//! ([`exchange::cosigning`]). Since when at the latest it was so is told by the time-stamp of a checkpoint that covers it
//! ([`exchange::time_stamps`], [`trust::time_stamp`]). Whether the log still is the one that signed it:
//! [`store::ledger::consistency`] proves from stored tiles that today's checkpoint extends the receipt's, and whoever has the
//! certificate of the corridor computes the same from [`http`]'s tiles. [`store::ledger::check`] recomputes a whole log from its first
//! leaf, against a checkpoint that somebody kept too, and names what does not hold ([`ledger::audit`]); `ledger export` writes the
//! log as a folder that the same audit checks without a database.
//!
//! **A case goes to court.** [`exchange::export`] gathers what is kept about a message, a placement or a day: exact bytes, signatures,
//! certificates, receipts, answers, what decided, who had which mandate, public keys. [`evidence::check`] recomputes what that proves
//! before anything leaves, and a page says so, and what is not proven. The list of contents becomes part of an officer's act in the
//! domestic log; only then is the archive written. [`evidence::check`] is also all that its reader needs.

pub mod access;
pub mod app;
pub mod client;
pub mod domain;
pub mod evidence;
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
