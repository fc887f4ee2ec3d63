//! Erasing a person: two officers, a basis, no hold. Their keys are destroyed, so that nothing sealed about them can be read
//! again; every log still verifies, because it never named them. Where a hold forbids it, the request is recorded and nothing
//! is destroyed.

use super::{Gateway, different};
use crate::store::{
    StoreFault,
    erasures::{self, Erasure},
    journal::DOMESTIC,
    query, vault_keys,
};
use uuid::Uuid;

/// Why a person is not erased whose messages stood with another's before both were known.
const SHARED: &str = "a key of this person also seals messages about somebody else";

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Erased {
    /// This many keys are destroyed.
    Done(u64),
    /// A hold on this basis forbids it.
    Restricted(String),
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum EraseFault {
    /// One person may not erase another alone.
    #[error("erasing needs two different officers")]
    TwoOfficers,
    /// No basis.
    #[error("erasing needs a basis")]
    NoBasis,
    /// No such placement.
    #[error("there is no such placement")]
    NotFound,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Erases the person of a placement (its id, or the home party's id of it).
///
/// # Errors
/// [`EraseFault`].
pub async fn erase(
    gateway: &Gateway,
    placement: &str,
    officers: [String; 2],
    basis: &str,
) -> Result<Erased, EraseFault> {
    if !different(&officers) {
        return Err(EraseFault::TwoOfficers);
    }
    if basis.trim().is_empty() {
        return Err(EraseFault::NoBasis);
    }
    let pool = &gateway.journal.channel;
    let subject = match placement.parse::<Uuid>() {
        Ok(id) => id,
        Err(_) => {
            let found = query::by_pairwise(pool, gateway.parties.home.code(), placement).await?;
            found.ok_or(EraseFault::NotFound)?
        }
    };
    let person = erasures::person_of(pool, subject).await?;
    if person.subjects.is_empty() {
        return Err(EraseFault::NotFound);
    }
    let mut erasure = Erasure {
        id: gateway.id(),
        subject,
        basis: basis.to_owned(),
        officers,
        outcome: "restricted",
        keys_destroyed: 0,
    };
    let shared = person.shares_a_key.then(|| SHARED.to_owned());
    let hold = erasures::hold(pool, &person.subjects).await?.or(shared);
    if hold.is_none() {
        // Keys first: if we die here, asking again finishes the rest, and what is left cannot be read anyway.
        let destroyed = vault_keys::destroy(&gateway.journal.vault, &person.keys, &person.subjects).await?;
        erasure.outcome = "erased";
        erasure.keys_destroyed = destroyed as i32;
    }
    let forget = Some(&person).filter(|_| hold.is_none());
    erasures::record(pool, &erasure, forget, gateway.now()).await?;
    let statement = serde_json::json!({"erasure": erasure.id, "basis": erasure.basis, "officers": erasure.officers,
        "outcome": erasure.outcome, "keys_destroyed": erasure.keys_destroyed});
    gateway.journal.log_act(erasure.outcome, statement.to_string().as_bytes(), gateway.policy(DOMESTIC)).await?;
    Ok(hold.map_or(Erased::Done(erasure.keys_destroyed as u64), Erased::Restricted))
}
