//! Another key-encryption key: every key of the vault is wrapped under the epoch in force, some at a time, and an epoch under which
//! nothing is wrapped any more is retired. Then its key can be destroyed, and with it goes what any old backup of the vault could
//! still open: erasures of that epoch are complete.

use super::Gateway;
use crate::store::{StoreFault, journal::DOMESTIC, vault_keys};
use serde_json::json;

/// Wraps some keys under the epoch in force; gives how many, 0 when none are left. Whoever is stopped begins again where it ended.
///
/// # Errors
/// [`StoreFault`]; [`StoreFault::BadRow`] where a key is wrapped under an epoch whose key-encryption key is not configured.
pub async fn some(gateway: &Gateway) -> Result<usize, StoreFault> {
    vault_keys::rewrap(&gateway.journal.vault, &gateway.journal.kek, gateway.random()).await
}

/// Retires the epochs under which nothing is wrapped, and records that; gives them.
///
/// # Errors
/// [`StoreFault`].
pub async fn retire(gateway: &Gateway) -> Result<Vec<i32>, StoreFault> {
    let journal = &gateway.journal;
    let retired = vault_keys::retire_epochs(&journal.vault, journal.kek.epoch, gateway.now()).await?;
    if !retired.is_empty() {
        let statement = json!({"retired": retired, "epoch": journal.kek.epoch});
        journal.act(&gateway.act(DOMESTIC, "epochs-retired", statement.to_string())).await?;
    }
    Ok(retired)
}
