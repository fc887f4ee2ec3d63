//! Limits on placements: quotas of rule packs, and what the home party has told a partner since (a quota, a suspension, a
//! blacklisting). A clash with other records refuses nothing: it becomes a work item on the placements that came last.
//!
//! A suspension is a quota of none. Which message tells of limits, and in which of its fields, is the catalogue's.

use super::{Gateway, intake};
use crate::{
    domain::facts::FactKind,
    partner::{Party, rules::Quota},
    schema::catalogue::{Limits, MessageType},
    store::{StoreFault, clocks, messages},
};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use time::{Date, OffsetDateTime, UtcOffset, macros::format_description};
use uuid::Uuid;

/// Placements opened at a time.
const OPENED: usize = 200;

/// The exception of a quota of a rule pack.
const QUOTA: &str = "QUOTA";

/// So many of those whom it counts, in a period of days of the partner's zone.
struct Limit<'g> {
    exception: &'g str,
    from: Date,
    to: Date,
    count: usize,
    whom: Whom<'g>,
}

enum Whom<'g> {
    Quota(&'g Quota),
    /// Placements of which the same is said at each of these pointers.
    Named(Vec<(&'g str, String)>),
}

impl Limit<'_> {
    /// From its first day until its last has ended, in a zone.
    fn period(&self, zone: UtcOffset) -> (OffsetDateTime, OffsetDateTime) {
        // The last day of the calendar has none after it, and no contract.
        let after = self.to.next_day().unwrap_or(self.to);
        (self.from.midnight().assume_offset(zone), after.midnight().assume_offset(zone))
    }
}

impl Whom<'_> {
    fn counts(&self, data: &Value, day: Date) -> bool {
        match self {
            Self::Quota(quota) => quota.counts(data, day),
            Self::Named(named) => {
                let says = |at: &str| data.pointer(at).and_then(Value::as_str).map(intake::normal);
                named.iter().all(|(at, value)| says(at).as_ref() == Some(value))
            }
        }
    }
}

/// Looks at every corridor anew; gives the number of work items that are open now.
///
/// # Errors
/// [`StoreFault`]; the next round looks again.
pub async fn round(gateway: &Gateway) -> Result<usize, StoreFault> {
    let mut all = 0;
    for partner in gateway.parties.partners.values() {
        let mut limits: Vec<Limit<'_>> =
            partner.rules.quotas().chain(gateway.parties.home.rules.quotas()).map(of).collect();
        limits.extend(told(gateway, partner).await?);
        let mut beyond: BTreeMap<&str, BTreeSet<Uuid>> = BTreeMap::from([(QUOTA, BTreeSet::new())]);
        let exceptions = gateway.schemas.messages().filter_map(|message| message.limits.as_ref());
        for exception in exceptions.flat_map(|limits| limits.exceptions.values()) {
            beyond.entry(exception).or_default();
        }
        for limit in &limits {
            beyond.entry(limit.exception).or_default().extend(beyond_limit(gateway, partner, limit).await?);
        }
        for (exception, ids) in beyond {
            let ids: Vec<Uuid> = ids.into_iter().collect();
            clocks::mark_limit(&gateway.journal.channel, partner.code(), exception, &ids, gateway.now()).await?;
            all += ids.len();
        }
    }
    Ok(all)
}

fn of(quota: &Quota) -> Limit<'_> {
    Limit { exception: QUOTA, from: quota.from, to: quota.to, count: quota.count as usize, whom: Whom::Quota(quota) }
}

/// The limits that hold by messages: of each notice its last version, unless that lifts it.
async fn told<'g>(gateway: &'g Gateway, partner: &Party) -> Result<Vec<Limit<'g>>, StoreFault> {
    let journal = &gateway.journal;
    let mut limits = Vec::new();
    let withdrawals: Vec<String> =
        gateway.schemas.messages().filter(|one| one.invalidates.is_some()).map(|one| one.name.clone()).collect();
    for message in gateway.schemas.messages() {
        let Some(told) = &message.limits else { continue };
        let ids = clocks::notices(&journal.channel, partner.code(), &message.name, &withdrawals).await?;
        let mut stored = messages::open(&journal.channel, &journal.vault, &journal.kek, &ids).await?;
        stored.sort_by_key(|one| (one.asserted_at, one.id));
        let mut last: BTreeMap<String, Value> = BTreeMap::new();
        for event in stored.iter().filter_map(|one| serde_json::from_slice::<Value>(one.event.as_deref()?).ok()) {
            let reference = event["data"].pointer(&told.reference).and_then(Value::as_str).map(intake::normal);
            last.insert(reference.unwrap_or_default(), event["data"].clone());
        }
        limits.extend(last.values().filter_map(|data| limit(told, data)));
    }
    Ok(limits)
}

/// What a notice limits; none where its kind lifts what was said before, or where it names nothing that a contract has.
fn limit<'g>(told: &'g Limits, data: &Value) -> Option<Limit<'g>> {
    let text = |at: &str| data.pointer(at).and_then(Value::as_str);
    let day = |at: &str| Date::parse(text(at)?, format_description!("[year]-[month]-[day]")).ok();
    let exception = told.exceptions.get(text(&told.kind)?)?;
    let named: Vec<(&str, String)> =
        told.named.iter().filter_map(|at| Some((at.as_str(), intake::normal(text(at)?)))).collect();
    let count = data.pointer(&told.count).and_then(Value::as_u64);
    // A suspension that names nobody is of the whole corridor; so is a quota.
    Some(Limit {
        exception,
        from: day(&told.from)?,
        to: day(&told.to).unwrap_or(Date::MAX),
        count: count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
        whom: Whom::Named(named),
    })
}

async fn beyond_limit(gateway: &Gateway, partner: &Party, limit: &Limit<'_>) -> Result<Vec<Uuid>, StoreFault> {
    let pool = &gateway.journal.channel;
    let (from, until) = limit.period(partner.zone);
    let mut placements = clocks::endorsed(pool, partner.code(), from, until).await?;
    if limit.count == 0 && (from..until).contains(&gateway.now()) {
        // Whoever may not have another is seen before the contract is endorsed.
        placements.extend(clocks::submitted(pool, partner.code(), gateway.now()).await?);
    }
    // Nothing is opened while all of them together are within it.
    if placements.len() <= limit.count {
        return Ok(Vec::new());
    }
    let mut counted = Vec::new();
    for page in placements.chunks(OPENED) {
        let said = said_of(gateway, page).await?;
        let counts = |(id, at): &&(Uuid, OffsetDateTime)| {
            let day = at.to_offset(partner.zone).date();
            said.get(id).is_some_and(|data| limit.whom.counts(data, day))
        };
        counted.extend(page.iter().filter(counts).map(|(id, _)| *id));
    }
    Ok(counted.into_iter().skip(limit.count).collect())
}

/// What registrations, nominations and contracts say of placements: of each member of `data` the newest.
async fn said_of(gateway: &Gateway, placements: &[(Uuid, OffsetDateTime)]) -> Result<HashMap<Uuid, Value>, StoreFault> {
    let journal = &gateway.journal;
    let says = |message: &&MessageType| {
        message.identifies || message.facts.iter().any(|fact| fact.kind == FactKind::Submission)
    };
    let types: Vec<String> = gateway.schemas.messages().filter(says).map(|message| message.name.clone()).collect();
    let ids: Vec<Uuid> = placements.iter().map(|(id, _)| *id).collect();
    let wanted = clocks::messages_of(&journal.channel, &ids, &types).await?;
    let mut stored = messages::open(&journal.channel, &journal.vault, &journal.kek, &wanted).await?;
    stored.sort_by_key(|one| (one.asserted_at, one.id));
    let mut said: HashMap<Uuid, Map<String, Value>> = HashMap::new();
    for one in stored {
        let event = one.event.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let data = event.and_then(|mut event| event.get_mut("data").map(Value::take));
        if let (Some(subject), Some(Value::Object(data))) = (one.subject, data) {
            said.entry(subject).or_default().extend(data);
        }
    }
    Ok(said.into_iter().map(|(id, data)| (id, Value::Object(data))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::{date, datetime, offset};

    #[test]
    fn a_limit_ends_with_its_last_day_in_the_partners_zone() {
        let limit =
            |to| Limit { exception: QUOTA, from: date!(2027 - 01 - 01), to, count: 0, whom: Whom::Named(vec![]) };
        let (from, until) = limit(date!(2027 - 01 - 31)).period(offset!(+8));
        assert_eq!((from, until), (datetime!(2027-01-01 00:00 +8), datetime!(2027-02-01 00:00 +8)));
        assert!(limit(Date::MAX).period(offset!(-11)).1 > datetime!(9999-12-30 00:00 UTC));
    }
}
