//! The audit ledger as mathematics: an RFC 6962 tree, its tiles, C2SP notes and checkpoints, entries and receipts. No I/O, no
//! clock, no SQL.
//!
//! What is committed when is decided in [`crate::store::ledger`]; this room can prove and verify it without a database.
//!
//! # Threat model
//! Whoever operates the gateway may be the adversary. Each control is on by default.
//!
//! | threat | control | test |
//! |---|---|---|
//! | the gateway itself changes or deletes what is recorded | append-only role; triggers against the owner too | `the_gateway_can_only_append_and_a_superuser_who_does_more_is_found` |
//! | a superuser changes, deletes, inserts, reorders, swaps or truncates rows | every log can be recomputed from its first entry; what differs is named | `whatever_a_superuser_does_to_entries_tiles_checkpoints_and_heads_is_found_and_named` |
//! | the log is cut, or written anew with its own key | it must extend any checkpoint that somebody kept; every receipt carries one | `a_log_rolled_back_or_written_anew_is_no_extension_of_the_checkpoint_that_somebody_kept`, `a_log_that_was_cut_or_rewritten_does_not_extend_what_was_kept` |
//! | the operator dates an entry back, with all of its keys | checkpoints are time-stamped by an authority of neither side (RFC 3161), at once what may be disputed to the hour | `a_dispute_is_stamped_at_once_and_its_archive_proves_it_to_who_trusts_the_authority`, `a_superuser_who_changes_a_time_stamp_is_found` |
//! | the authority is away, lies about the time, or is another one | nothing waits for it; its token counts only if imprint, nonce, time, signature and chain hold | `whatever_the_authority_does_intake_goes_on_and_what_waits_is_stamped_later`, `no_change_of_a_token_makes_it_say_anything_else` |
//! | a folder handed over is tampered with | the same audit from tiles alone, signed checkpoint last | `an_exported_folder_verifies_without_a_database_and_a_change_in_it_is_named` |
//! | two instances, or one that came back, make two roots of one size | the head's row lock is the fence; one root a size by constraint | `two_instances_on_one_database_make_one_history`, `whatever_is_killed_at_whatever_step_no_answered_entry_is_lost_doubled_or_of_another_history` |
//! | an answered entry is lost, or stands twice, after a crash | receipt only after the durable commit; a repeat gets the same receipt | `a_crash_of_the_database_under_load_loses_no_answered_message`, `the_gateway_is_killed_under_load_and_starts_again`, `whatever_is_killed_at_whatever_step_no_answered_entry_is_lost_doubled_or_of_another_history` |
//! | a receipt is forged, or of another entry, log or message | inclusion proof to the root that the log signed, commitment to the exact bytes | `a_receipt_holds_and_every_change_to_it_is_seen`, `a_receipt_verifies_without_the_database_and_opens_on_the_exact_bytes` |
//! | a quantum computer forges Ed25519 | a witness may sign by ML-DSA-44 beside it, and what it signs names it and the tree | `a_cosignature_by_ml_dsa_holds_for_that_name_time_and_tree_only`, `what_is_recorded_is_cosigned_and_its_receipts_say_so` |
//! | another log's key, or a witness's, signs in this log's name | a checkpoint counts only under the key of its own origin and role | `a_checkpoint_is_signed_by_the_log_of_its_own_name`, `a_cosignature_says_when_and_holds_for_that_checkpoint_only` |
//! | our proofs are ours alone | RFC 6962 and RFC 9162 to the letter: published vectors, independent implementations of trees, notes and tiles | `published_roots`, `published_proofs`, `agrees_with_an_independent_implementation`, `the_published_verifier_key_reads`, `the_published_paths_and_widths`, `a_served_checkpoint_opens_in_another_implementation_by_its_log_and_by_the_witness`, `another_implementation_proves_entries_and_growth_from_the_tiles_that_are_served` |
//! | a partner rewrites its own log, or shows two | we cosign only extensions, compared and kept in one step; a fork is kept as evidence | `every_extension_is_cosigned_and_no_other_tree`, `each_status_of_the_specification_has_its_cause` |
//! | text that reads in two ways, or breaks its reader | one spelling of entry, checkpoint, path and submission; bounded, and fuzzed | `no_bytes_break_what_reads_notes_checkpoints_tiles_proofs_entries_and_receipts`, `a_line_has_one_spelling`, `a_path_has_one_spelling`, `a_body_has_one_spelling` |
//! | a flood of faults, or a log that is too large, exhausts the auditor | the audit streams in constant memory; faults named are bounded | `a_flood_of_faults_is_bounded` |
//! | the ledger tells about people | fresh ids, commitments under secrets of their own; destroying keys leaves every proof whole | `after_the_key_is_destroyed_the_log_verifies_and_nothing_opens` |
//! | another corridor reads the log | tiles by the certificate's own corridor | `another_corridors_ledger_is_not_shown` |
//!
//! Not controlled: that the operator leaves something out before it is recorded (its sender has no receipt then), or shows its log to
//! nobody. Without a checkpoint that somebody else kept, a log that was replaced as a whole looks sound.

pub mod audit;
pub mod cosignature;
mod cosigned;
pub mod entry;
pub mod note;
pub mod receipt;
pub mod tile;
pub mod tree;
pub mod witness;
