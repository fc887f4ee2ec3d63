//! Quotas of rule packs: which endorsed placements are beyond the number agreed. A clash with other records refuses nothing: it
//! becomes a work item on the placements that came last.

use super::Gateway;
use crate::{
    domain::facts::FactKind,
    partner::{Party, rules::Quota},
    store::{StoreFault, clocks, messages},
};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use time::OffsetDateTime;
use uuid::Uuid;

/// Placements opened at a time.
const OPENED: usize = 200;

/// Counts every corridor anew; gives the number of placements beyond a quota.
///
/// # Errors
/// [`StoreFault`]; the next round counts again.
pub async fn round(gateway: &Gateway) -> Result<usize, StoreFault> {
    let mut all = 0;
    for partner in gateway.parties.partners.values() {
        let mut beyond = BTreeSet::new();
        for quota in partner.rules.quotas().chain(gateway.parties.home.rules.quotas()) {
            beyond.extend(beyond_quota(gateway, partner, quota).await?);
        }
        let ids: Vec<Uuid> = beyond.into_iter().collect();
        clocks::mark_quota(&gateway.journal.channel, partner.code(), &ids, gateway.now()).await?;
        all += ids.len();
    }
    Ok(all)
}

async fn beyond_quota(gateway: &Gateway, partner: &Party, quota: &Quota) -> Result<Vec<Uuid>, StoreFault> {
    let from = quota.from.midnight().assume_offset(partner.zone);
    let until = quota.to.next_day().unwrap_or(quota.to).midnight().assume_offset(partner.zone);
    let endorsed = clocks::endorsed(&gateway.journal.channel, partner.code(), from, until).await?;
    // Nothing is opened while all of them together are within it.
    if endorsed.len() <= quota.count as usize {
        return Ok(Vec::new());
    }
    let mut counted = Vec::new();
    for page in endorsed.chunks(OPENED) {
        let contracts = contracts(gateway, page).await?;
        let counts = |(id, at): &&(Uuid, OffsetDateTime)| {
            let day = at.to_offset(partner.zone).date();
            contracts.get(id).is_some_and(|data| quota.counts(data, day))
        };
        counted.extend(page.iter().filter(counts).map(|(id, _)| *id));
    }
    Ok(counted.into_iter().skip(quota.count as usize).collect())
}

/// What the contracts of placements say, the newest of each.
async fn contracts(
    gateway: &Gateway,
    placements: &[(Uuid, OffsetDateTime)],
) -> Result<HashMap<Uuid, Value>, StoreFault> {
    let journal = &gateway.journal;
    let submits = |message: &&crate::schema::catalogue::MessageType| {
        message.facts.iter().any(|fact| fact.kind == FactKind::Submission)
    };
    let types: Vec<String> = gateway.schemas.messages().filter(submits).map(|message| message.name.clone()).collect();
    let ids: Vec<Uuid> = placements.iter().map(|(id, _)| *id).collect();
    let wanted = clocks::messages_of(&journal.channel, &ids, &types).await?;
    let mut stored = messages::open(&journal.channel, &journal.vault, &journal.kek, &wanted).await?;
    stored.sort_by_key(|one| (one.asserted_at, one.id));
    let data = |one: messages::Stored| {
        let event: Value = serde_json::from_slice(one.event.as_deref()?).ok()?;
        Some((one.subject?, event.get("data")?.clone()))
    };
    Ok(stored.into_iter().filter_map(data).collect())
}
