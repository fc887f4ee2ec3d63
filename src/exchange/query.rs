//! "Where is this worker now": the ministry's questions. Each is asked for a stated purpose; the purpose decides which fields
//! are shown; the disclosure is on record before the answer leaves.

mod work;

use super::{
    Gateway,
    decide::{self, Decided, Verdict},
    intake,
};
use crate::{
    access::Officer,
    domain::{
        arrange::arrange,
        facts::{Assertion, FactKind},
        fold::{State, fold_among, registration_before},
        names,
        standing::Standing,
    },
    message::{
        event::Attributes,
        problem::{Problem, ProblemKind},
    },
    schema::catalogue::{Class, How, Purpose},
    store::{
        StoreFault, messages,
        query::{self, Lookup, PlacementRow, Reading, Step},
    },
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

pub use crate::store::query::Filter;

/// Most candidates that a search ranks.
const CANDIDATES: i64 = 500;
/// Most messages that wait for a person shown at once.
const HELD: i64 = 100;
/// Counts below this are not told for statistics.
const SMALLEST_CELL: i64 = 10;

/// An officer with a purpose that is theirs to state.
pub struct Inquiry<'g> {
    gateway: &'g Gateway,
    officer: Officer,
    purpose: &'g Purpose,
    case_number: Option<String>,
}

type Outcome<T> = Result<T, Box<Problem>>;

impl<'g> Inquiry<'g> {
    /// Admits an officer for a purpose.
    ///
    /// # Errors
    /// `purpose-missing`.
    pub fn open(
        gateway: &'g Gateway,
        officer: Officer,
        purpose: Option<&str>,
        case_number: Option<String>,
    ) -> Outcome<Self> {
        let refuse = |reason: &str| Box::new(gateway.problem(ProblemKind::PurposeMissing).because(reason));
        let purpose = purpose.ok_or_else(|| refuse("no-purpose"))?;
        let known = gateway.schemas.purposes.iter().find(|one| one.name == purpose);
        let purpose = known.ok_or_else(|| refuse("unknown-purpose"))?;
        if !officer.may_state(purpose) {
            return Err(refuse("not-your-purpose"));
        }
        if purpose.case_number && case_number.as_ref().is_none_or(|number| number.trim().is_empty()) {
            return Err(refuse("case-number-missing"));
        }
        Ok(Self { gateway, officer, purpose, case_number })
    }

    /// A page of placements, and the cursor of the next.
    ///
    /// # Errors
    /// `purpose-missing` where the purpose allows no lists; `service-unavailable`.
    pub async fn list(
        &self,
        mut filter: Filter,
        employer: Option<&str>,
        limit: i64,
    ) -> Outcome<(Vec<Value>, Option<Uuid>)> {
        self.persons()?;
        self.bulk()?;
        if filter.stay.is_some() && !self.sees_stay() {
            return Err(self.refuse("stay-not-for-this-purpose"));
        }
        if filter.welfare.is_some() && !self.purpose.welfare {
            return Err(self.refuse("welfare-not-for-this-purpose"));
        }
        filter.term = employer.map(|value| self.gateway.journal.tokens.term("employer", &intake::normal(value)));
        let home = self.gateway.parties.home.code();
        let reading = reading(self.gateway);
        let rows = query::list(&self.gateway.journal.channel, home, &filter, &reading, limit + 1).await;
        let mut rows = rows.map_err(|fault| self.away(&fault))?;
        let more = rows.len() as i64 > limit;
        rows.truncate(limit as usize);
        self.disclose(&rows, &["stage", "stay"]).await?;
        let next = rows.last().filter(|_| more).map(|row| row.id);
        Ok((rows.iter().map(|row| self.summary(row)).collect(), next))
    }

    /// Placements that a search leads to, best first.
    ///
    /// # Errors
    /// `malformed-request` for a body that searches for nothing; `service-unavailable`.
    pub async fn search(&self, body: &Value) -> Outcome<Vec<Value>> {
        self.persons()?;
        let malformed = |reason: &str| Box::new(self.gateway.problem(ProblemKind::MalformedRequest).because(reason));
        let members = body.as_object().ok_or_else(|| malformed("object-expected"))?;
        let mut terms: Vec<i64> = Vec::new();
        let mut needed = 0;
        for (kind, value) in members {
            let text =
                value.as_str().filter(|text| !text.trim().is_empty()).ok_or_else(|| malformed("text-expected"))?;
            let searches = &self.gateway.schemas.searches;
            let fits = |search: &&crate::schema::catalogue::Search| *kind == search.kind || kind == "query";
            let mut found: Vec<(String, How)> = searches.iter().filter(fits).map(|s| (s.kind.clone(), s.how)).collect();
            found.dedup();
            if found.is_empty() {
                return Err(malformed("unknown-search-kind"));
            }
            for (kind, how) in found {
                let values = intake::term_values(how, &kind, text);
                needed = needed.max(if how == How::Name { names::words(text).len() as i64 } else { 1 });
                terms.extend(values.iter().map(|(kind, value)| self.gateway.journal.tokens.term(kind, value)));
            }
        }
        if members.contains_key("query") {
            needed = 1;
        }
        if terms.is_empty() {
            return Err(malformed("nothing-to-search"));
        }
        let pool = &self.gateway.journal.channel;
        let hits = query::by_terms(pool, &terms, CANDIDATES).await.map_err(|fault| self.away(&fault))?;
        let ids: Vec<Uuid> = hits.iter().filter(|(_, hits)| *hits >= needed).map(|(id, _)| *id).collect();
        let filter = Filter { ids: Some(ids.clone()), ..Filter::default() };
        let rows =
            query::list(pool, self.gateway.parties.home.code(), &filter, &reading(self.gateway), CANDIDATES).await;
        let mut rows = rows.map_err(|fault| self.away(&fault))?;
        rows.sort_by_key(|row| ids.iter().position(|id| *id == row.id));
        if !self.purpose.bulk && rows.len() > 1 {
            return Err(self.refuse("more-than-one-person"));
        }
        self.disclose(&rows, &["stage", "stay"]).await?;
        Ok(rows.iter().map(|row| self.summary(row)).collect())
    }

    /// One placement: three axes, every fact with its origin and age, open deadlines, fields by purpose; as known at an
    /// instant, by the home party and by the partner.
    ///
    /// # Errors
    /// `not-found`; `service-unavailable`.
    pub async fn placement(&self, id: &str, as_known_at: Option<OffsetDateTime>) -> Outcome<Value> {
        let row = self.find(id).await?;
        let now = self.gateway.now();
        let until = as_known_at.unwrap_or(now);
        let all = self.history(row.id, until).await?;
        let everything: Vec<&Step> = all.iter().collect();
        let (state, steps) = self.standing(&row, &everything);
        let (fields, shown) = self.fields(&steps, &state).await?;
        let mut whole = self.summary(&row);
        self.put_state(&mut whole, &state, &steps, until);
        whole["as_of"] = rfc3339(until);
        whole["fields"] = fields;
        if self.purpose.facts.is_none() {
            whole["deadlines"] = self.deadlines(&row, until).await?;
            whole["substituted"] = self.substituted(&state);
        }
        let bars = state.facts.get(&FactKind::Absence).and_then(|one| registration_before(&state, one.at));
        if let Some(bars) = bars.filter(|_| self.purpose.class >= Class::S3) {
            whole["absence_barred_by"] = json!({"registered_at": rfc3339(bars.at), "message": bars.source.message});
        }
        whole["partner_knows"] = self.partner_knows(&row, &everything, until).await?;
        whole["other_placements"] = self.others(&row).await?;
        let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        self.disclose(std::slice::from_ref(&row), &shown).await?;
        Ok(whole)
    }

    /// The state of a placement by some of the messages around it, and those of them that belong to it.
    fn standing<'s>(&self, row: &PlacementRow, known: &[&'s Step]) -> (State, Vec<&'s Step>) {
        let counts = |step: &&&Step| step.outcome != "refused";
        let steps: Vec<&Step> = known.iter().filter(counts).copied().collect();
        let said: Vec<Assertion> = steps.iter().map(|step| step.assertion.clone()).collect();
        let anchor = |n: &usize| row.anchor.as_deref() == Some(&said[*n].tag[..]);
        let standing = Standing::of(&said);
        let arranged = arrange(&said, &standing);
        let placements = || arranged.workers.iter().flat_map(|worker| &worker.placements);
        // Before the message that stands for it was known, it is where most of what is known of it is.
        let own = placements().find(|one| one.members.iter().any(anchor));
        let here = |one: &&crate::domain::arrange::Placement| one.members.iter().filter(|n| steps[**n].here).count();
        let own = own.or_else(|| placements().filter(|one| here(one) > 0).max_by_key(here));
        let members = own.map(|one| one.members.as_slice()).unwrap_or_default();
        let rules = &self.gateway.journal.rules_of(&row.corridor).fold;
        let state = fold_among(&standing, members.iter().map(|n| &said[*n]), rules);
        (state, members.iter().map(|n| steps[*n]).collect())
    }

    /// Every message about a placement, oldest first.
    ///
    /// # Errors
    /// As [`Inquiry::placement`].
    pub async fn timeline(&self, id: &str) -> Outcome<Value> {
        let row = self.find(id).await?;
        let steps = self.history(row.id, self.gateway.now()).await?;
        let shown = |step: &&Step| step.here && self.may_see(step);
        let steps: Vec<Value> = steps.iter().filter(shown).map(|step| self.step(step)).collect();
        self.disclose(std::slice::from_ref(&row), &["timeline"]).await?;
        Ok(json!({"id": row.id, "steps": steps}))
    }

    /// Counts by corridor and stage, with their definition and instant.
    ///
    /// # Errors
    /// `purpose-missing`; `service-unavailable`.
    pub async fn stats(&self) -> Outcome<Value> {
        self.bulk()?;
        let counts = query::counts(&self.gateway.journal.channel).await.map_err(|fault| self.away(&fault))?;
        let mut corridors: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        for (corridor, stage, count) in counts {
            let hide = self.purpose.class == Class::S0 && count < SMALLEST_CELL;
            let count = if hide { json!(format!("<{SMALLEST_CELL}")) } else { json!(count) };
            corridors.entry(corridor).or_default().insert(stage, count);
        }
        self.disclose(&[], &["stats"]).await?;
        Ok(json!({"as_of": rfc3339(self.gateway.now()), "corridors": corridors,
            "definition": "placements, provisional ones included, by the stage that follows from the facts received so far"}))
    }

    /// Placements whose state changed after a cursor, and the next cursor.
    ///
    /// # Errors
    /// `purpose-missing`; `service-unavailable`.
    pub async fn changes(&self, after: i64, limit: i64) -> Outcome<(Vec<Value>, i64)> {
        self.persons()?;
        self.bulk()?;
        let home = self.gateway.parties.home.code();
        let pool = &self.gateway.journal.channel;
        let changed = query::changes(pool, after, limit).await.map_err(|fault| self.away(&fault))?;
        let next = changed.last().map_or(after, |(change, _)| *change);
        let filter = Filter { ids: Some(changed.into_iter().map(|(_, id)| id).collect()), ..Filter::default() };
        let rows = query::list(pool, home, &filter, &reading(self.gateway), limit).await;
        let mut rows = rows.map_err(|fault| self.away(&fault))?;
        rows.sort_by_key(|row| row.change);
        self.disclose(&rows, &["stage", "stay"]).await?;
        Ok((rows.iter().map(|row| self.summary(row)).collect(), next))
    }

    /// Messages that wait for a person, newest first: held ones and withdrawals of a death, with the rules they break and what the
    /// purpose shows of their content.
    ///
    /// # Errors
    /// `purpose-missing`; `service-unavailable`.
    pub async fn held(&self) -> Outcome<Vec<Value>> {
        self.persons()?;
        self.bulk()?;
        let journal = &self.gateway.journal;
        let withdrawals = self.gateway.schemas.messages().filter(|message| message.invalidates.is_some());
        let withdrawals: Vec<String> = withdrawals.map(|message| message.name.clone()).collect();
        let rows = query::waiting_for_a_person(&journal.channel, &withdrawals, HELD).await;
        let rows = rows.map_err(|fault| self.away(&fault))?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let stored = messages::open(&journal.channel, &journal.vault, &journal.kek, &ids).await;
        let stored = stored.map_err(|fault| self.away(&fault))?;
        let event = |id: Uuid| {
            let one = stored.iter().find(|one| one.id == id)?;
            serde_json::from_slice::<Value>(one.event.as_deref()?).ok()
        };
        let mut shown: Vec<String> = vec!["held".to_owned()];
        let mut listed = Vec::new();
        for row in &rows {
            let safety = self.gateway.schemas.message(&row.type_name).is_some_and(|message| message.safety);
            if safety && self.purpose.class < Class::S3 {
                continue;
            }
            let faults = intake::read_faults(row.problem.as_deref());
            let mut fields = Map::new();
            for (pointer, field, value) in event(row.id).iter().flat_map(|e| self.gateway.schemas.fields_in(&e["data"]))
            {
                if field.class <= self.purpose.class || self.purpose.fields.iter().any(|one| one == pointer) {
                    fields.insert(pointer.to_owned(), value.clone());
                }
            }
            shown.extend(fields.keys().cloned());
            listed.push(
                json!({"message": row.id, "corridor": row.corridor, "type": row.type_name, "placement": row.subject,
                "party": row.party, "authority": row.authority, "asserted_at": rfc3339(row.asserted_at),
                "received_at": rfc3339(row.received_at), "fields": fields,
                "violations": faults.iter().map(|fault| fault.to_json()).collect::<Vec<_>>()}),
            );
        }
        shown.sort_unstable();
        shown.dedup();
        self.disclose(&[], &shown.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        Ok(listed)
    }

    /// The officer's decision about a message that waits.
    ///
    /// # Errors
    /// As [`decide::decide`].
    pub async fn decide(&self, verdict: &Verdict) -> Outcome<Decided> {
        decide::decide(self.gateway, &self.officer, self.purpose, verdict).await
    }

    async fn find(&self, id: &str) -> Outcome<PlacementRow> {
        self.persons()?;
        let pool = &self.gateway.journal.channel;
        let home = self.gateway.parties.home.code();
        let not_found = || Box::new(self.gateway.problem(ProblemKind::NotFound).because("no-such-placement"));
        let id = match id.parse::<Uuid>() {
            Ok(id) => Some(id),
            // By the id that any party knows it by: what a partner reads out on the telephone.
            Err(_) => {
                let parties: Vec<String> = self.gateway.parties.all().map(|party| party.code().to_owned()).collect();
                query::by_any_pairwise(pool, &parties, id).await.map_err(|fault| self.away(&fault))?
            }
        };
        let filter = Filter { ids: Some(vec![id.ok_or_else(not_found)?]), ..Filter::default() };
        let rows =
            query::list(pool, home, &filter, &reading(self.gateway), 1).await.map_err(|fault| self.away(&fault))?;
        rows.into_iter().next().ok_or_else(not_found)
    }

    async fn history(&self, subject: Uuid, until: OffsetDateTime) -> Outcome<Vec<Step>> {
        query::history(&self.gateway.journal.channel, subject, until).await.map_err(|fault| self.away(&fault))
    }

    /// The placement as its row has it.
    fn summary(&self, row: &PlacementRow) -> Value {
        let mut value = json!({"id": row.id, "home_id": row.pairwise, "corridor": row.corridor, "stage": row.stage,
            "stay": row.stay, "provisional": row.provisional, "exceptions": row.exceptions, "worker": row.worker,
            "first_heard_of": rfc3339(row.opened_at), "last_heard_of": row.heard_at.map(rfc3339), "updated_at": rfc3339(row.updated_at)});
        if self.purpose.welfare {
            value["welfare"] = row.welfare.clone().into();
        }
        if let Some(members) = value.as_object_mut().filter(|_| !self.sees_stay()) {
            members.remove("stay");
        }
        if let Some(members) = value.as_object_mut().filter(|_| self.purpose.facts.is_some()) {
            for hidden in ["stage", "stay", "exceptions"] {
                members.remove(hidden);
            }
        }
        value
    }

    fn put_state(&self, whole: &mut Value, state: &State, steps: &[&Step], until: OffsetDateTime) {
        if self.purpose.facts.is_none() {
            whole["stage"] = state.stage.as_str().into();
        }
        if self.purpose.facts.is_none() && self.sees_stay() {
            whole["stay"] = state.stay_at(until).as_str().into();
        }
        if self.purpose.welfare {
            whole["welfare"] = state.welfare.as_str().into();
        }
        let shown = self.purpose.facts.as_ref();
        let may_see = |message: Uuid| steps.iter().any(|step| step.message == message && self.may_see(step));
        let facts = state.facts.iter().filter(|(kind, fact)| {
            shown.is_none_or(|shown| shown.iter().any(|one| one == kind.as_str())) && may_see(fact.source.message)
        });
        let facts = facts.map(|(kind, fact)| {
            let said = json!({"value": fact.value, "happened_at": rfc3339(fact.at), "authority": fact.source.authority,
                "asserted_at": rfc3339(fact.source.asserted_at), "message": fact.source.message,
                "age_s": (until - fact.source.asserted_at).whole_seconds().max(0)});
            (kind.as_str().to_owned(), said)
        });
        whole["facts"] = Value::Object(facts.collect());
        if self.purpose.class >= Class::S3 {
            let case = |tag: &[u8; 16]| {
                let facts = state.cases[tag].iter().map(|(kind, fact)| {
                    (
                        kind.as_str().to_owned(),
                        json!({"value": fact.value, "at": rfc3339(fact.at), "message": fact.source.message}),
                    )
                });
                json!({"status": state.case_status(tag).map(|status| status.as_str()), "facts": Value::Object(facts.collect())})
            };
            whole["cases"] = state.cases.keys().map(case).collect();
        }
    }

    /// Pointers of the fields in which the registered contract is not the endorsed one.
    fn substituted(&self, state: &State) -> Value {
        let fields = self.gateway.schemas.fields().iter();
        let differs = |number: Option<u16>| number.is_some_and(|number| state.substituted.contains(&number));
        fields.filter(|(_, field)| differs(field.number)).map(|(pointer, _)| pointer.as_str()).collect()
    }

    /// Other placements of the same worker.
    async fn others(&self, row: &PlacementRow) -> Outcome<Value> {
        let Some(worker) = row.worker else { return Ok(json!([])) };
        let found =
            query::placements_of(&self.gateway.journal.channel, worker).await.map_err(|fault| self.away(&fault))?;
        Ok(found.into_iter().filter(|id| *id != row.id).map(|id| json!(id)).collect())
    }

    /// Every field the purpose shows: its value in force, who says so and when; differing values of others as claims.
    async fn fields(&self, steps: &[&Step], state: &State) -> Outcome<(Value, Vec<String>)> {
        let journal = &self.gateway.journal;
        let schemas = &self.gateway.schemas;
        let ids: Vec<Uuid> = steps.iter().filter(|step| step.outcome == "applied").map(|step| step.message).collect();
        let stored = messages::open(&journal.channel, &journal.vault, &journal.kek, &ids).await;
        let mut stored = stored.map_err(|fault| self.away(&fault))?;
        stored.sort_by_key(|one| (one.asserted_at, one.id));
        let mut fields: BTreeMap<String, Value> = BTreeMap::new();
        for one in &stored {
            let Some(event) = one.event.as_ref().and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok()) else {
                continue;
            };
            let Some(attributes) = Attributes::of(&event) else { continue };
            // Reminders and decisions are the gateway's own: they say nothing of the worker.
            if schemas.message(&one.type_name).is_some_and(|message| message.gateway.is_some()) {
                continue;
            }
            for (pointer, field) in schemas.fields() {
                let Some(value) = attributes.data.pointer(pointer) else { continue };
                if pointer.starts_with("/placement/")
                    || !(field.class <= self.purpose.class || self.purpose.fields.contains(pointer))
                {
                    continue;
                }
                let said = json!({"value": value, "authority": one.authority, "asserted_at": rfc3339(one.asserted_at)});
                let folded = field.number.and_then(|number| state.fields.get(&number));
                let in_force = folded.and_then(|folded| folded.owned.as_ref()).map(|source| source.message);
                let owner_spoke = in_force.is_some();
                let claims = folded.is_some_and(|folded| folded.claims.iter().any(|claim| claim.message == one.id));
                let entry = fields.entry(pointer.clone()).or_insert_with(|| json!({}));
                if in_force == Some(one.id)
                    || (!owner_spoke && (field.owned_by(&one.authority) || entry.get("value").is_none()))
                {
                    let claims = entry.get("claims").cloned();
                    *entry = said;
                    if let Some(claims) = claims {
                        entry["claims"] = claims;
                    }
                } else if claims {
                    match entry.get_mut("claims").and_then(Value::as_array_mut) {
                        Some(list) => list.push(said),
                        None => entry["claims"] = json!([said]),
                    }
                }
            }
        }
        fields.retain(|_, value| value.get("value").is_some() || value.get("claims").is_some());
        let shown = fields.keys().cloned().collect();
        Ok((Value::Object(fields.into_iter().collect()), shown))
    }

    /// The state that the partner could know: what it said itself and what it had been told.
    async fn partner_knows(&self, row: &PlacementRow, steps: &[&Step], until: OffsetDateTime) -> Outcome<Value> {
        let ids: Vec<Uuid> = steps.iter().map(|step| step.message).collect();
        let told = query::told_until(&self.gateway.journal.channel, &row.corridor, &ids, until).await;
        let told = told.map_err(|fault| self.away(&fault))?;
        if self.purpose.facts.is_some() {
            return Ok(Value::Null);
        }
        let knows = |step: &&&Step| step.party == row.corridor || told.contains(&step.message);
        let known: Vec<&Step> = steps.iter().filter(knows).copied().collect();
        let (state, own) = self.standing(row, &known);
        let mut knows = json!({"stage": state.stage.as_str(), "messages": own.len()});
        if self.sees_stay() {
            knows["stay"] = state.stay_at(until).as_str().into();
        }
        Ok(knows)
    }

    /// A message about protection is for those who may see the class of its fields.
    fn may_see(&self, step: &Step) -> bool {
        let message = self.gateway.schemas.message(&step.type_name);
        !message.is_some_and(|message| message.safety) || self.purpose.class >= Class::S3
    }

    fn step(&self, step: &Step) -> Value {
        let faults = intake::read_faults(step.problem.as_deref());
        json!({"message": step.message, "type": step.type_name, "party": step.party, "authority": step.authority,
            "outcome": step.outcome, "asserted_at": rfc3339(step.asserted_at), "received_at": rfc3339(step.received_at),
            "violations": faults.iter().map(|fault| fault.to_json()).collect::<Vec<_>>()})
    }

    /// The right to stay follows from absence reports and detentions, which are specially protected.
    fn sees_stay(&self) -> bool {
        self.purpose.class >= Class::S3
    }

    fn persons(&self) -> Outcome<()> {
        if self.purpose.persons { Ok(()) } else { Err(self.refuse("counts-only")) }
    }

    fn bulk(&self) -> Outcome<()> {
        if self.purpose.bulk { Ok(()) } else { Err(self.refuse("one-named-person-only")) }
    }

    /// On record before the answer leaves; its leaf follows.
    async fn disclose(&self, rows: &[PlacementRow], fields: &[&str]) -> Outcome<()> {
        let lookup = Lookup {
            id: self.gateway.id(),
            officer: self.officer.name.clone(),
            purpose: self.purpose.name.clone(),
            case_number: self.case_number.clone(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            subjects: rows.iter().map(|row| row.id).collect(),
        };
        let recorded = query::record_lookup(&self.gateway.journal.channel, &lookup, self.gateway.now()).await;
        recorded.map_err(|fault| self.away(&fault))
    }

    fn refuse(&self, reason: &str) -> Box<Problem> {
        Box::new(self.gateway.problem(ProblemKind::PurposeMissing).because(reason))
    }

    fn away(&self, fault: &StoreFault) -> Box<Problem> {
        Box::new(self.gateway.unavailable(fault))
    }
}

/// The day of a reading, with the exceptions that clocks open.
pub fn reading(gateway: &Gateway) -> Reading {
    let clocks = &gateway.schemas.clocks;
    Reading {
        now: gateway.now(),
        clocks: clocks.iter().map(|clock| clock.name.clone()).collect(),
        exceptions: clocks.iter().map(|clock| clock.exception.clone()).collect(),
    }
}

/// Figures for the operations port: deliveries by party and state, messages by outcome.
///
/// # Errors
/// [`StoreFault`].
pub async fn figures(gateway: &Gateway) -> Result<String, StoreFault> {
    let pool = &gateway.journal.channel;
    let mut text = String::from("# TYPE onechannel_deliveries gauge\n");
    for (party, state, count) in crate::store::deliveries::counts(pool).await? {
        text.push_str(&format!("onechannel_deliveries{{party=\"{party}\",state=\"{state}\"}} {count}\n"));
    }
    text.push_str("# TYPE onechannel_messages counter\n");
    for (corridor, type_name, outcome, count) in query::message_counts(pool).await? {
        // A refused message's type is the sender's text: it is told only if the catalogue knows it.
        let type_name = gateway.schemas.message(&type_name).map_or("unknown", |message| &message.name);
        text.push_str(&format!(
            "onechannel_messages{{corridor=\"{corridor}\",type=\"{type_name}\",outcome=\"{outcome}\"}} {count}\n"
        ));
    }
    text.push_str("# TYPE onechannel_crl_age_seconds gauge\n");
    for (party, age) in gateway.trust.crl_ages(gateway.now()) {
        text.push_str(&format!("onechannel_crl_age_seconds{{party=\"{party}\"}} {age}\n"));
    }
    Ok(text)
}

/// Whether the gateway can take messages.
///
/// # Errors
/// [`StoreFault`].
pub async fn ready(gateway: &Gateway) -> Result<(), StoreFault> {
    query::ping(&gateway.journal.channel).await?;
    query::ping(&gateway.journal.vault).await
}

fn rfc3339(time: OffsetDateTime) -> Value {
    time.format(&Rfc3339).unwrap_or_default().into()
}
