//! Two officers let a party's expired CRLs count for a while longer: a CRL that was missed over a weekend must not silence a
//! crisis. Who is revoked stays revoked. The decision is recorded with its basis and becomes a leaf of the domestic log.

use super::{Gateway, different};
use crate::store::{
    StoreFault,
    access::{self, CrlGrace},
    journal::DOMESTIC,
};
use time::{Duration, OffsetDateTime};

/// Longest extension: one that is needed for longer is a decision to be taken again.
pub const HOURS_MAX: u32 = 168;

/// Why nothing was extended.
#[derive(Debug, thiserror::Error)]
pub enum GraceFault {
    /// One officer may not extend alone.
    #[error("extending needs two different officers")]
    TwoOfficers,
    /// No basis.
    #[error("extending needs a basis")]
    NoBasis,
    /// Too long, or nothing.
    #[error("an extension is of 1 to {HOURS_MAX} hours")]
    Hours,
    /// No such party.
    #[error("there is no party of this code")]
    NoParty,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Lets a party's expired CRLs count for `hours` from now; gives the end. Running gateways take it up at their next reload.
///
/// # Errors
/// [`GraceFault`].
pub async fn extend(
    gateway: &Gateway,
    party: &str,
    hours: u32,
    officers: [String; 2],
    basis: &str,
) -> Result<OffsetDateTime, GraceFault> {
    if !different(&officers) {
        return Err(GraceFault::TwoOfficers);
    }
    if basis.trim().is_empty() {
        return Err(GraceFault::NoBasis);
    }
    if !(1..=HOURS_MAX).contains(&hours) {
        return Err(GraceFault::Hours);
    }
    if gateway.parties.party(party).is_none() {
        return Err(GraceFault::NoParty);
    }
    let now = gateway.now();
    let until = now + Duration::hours(hours.into());
    let grace = CrlGrace { id: gateway.id(), party: party.to_owned(), until, basis: basis.to_owned(), officers };
    let mut recording = gateway.journal.recording().await?;
    access::extend_crl_grace(recording.connection(), &grace, now).await?;
    let statement = serde_json::json!({"crl_grace": grace.id, "party": grace.party, "until": until.unix_timestamp(),
        "basis": grace.basis, "officers": grace.officers});
    recording.commit(&gateway.act(DOMESTIC, "crl-grace-extended", statement.to_string())).await?;
    Ok(until)
}
