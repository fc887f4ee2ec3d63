//! One placement: what is known of it, by whom and since when; and its history.

use super::{Filter, Inquiry, Outcome, rfc3339};
use crate::{
    domain::{
        arrange::{Placement, arrange},
        facts::{Assertion, Effect, FactKind},
        fold::{State, registration_before},
        identifiers::is_pairwise_id,
        standing::Standing,
    },
    exchange::known::Known,
    message::problem::{Fault, ProblemKind},
    schema::catalogue::Class,
    store::{
        erasures,
        query::{self, PlacementRow, Step},
    },
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

impl Inquiry<'_> {
    /// One placement: three axes, every fact with its origin and age, open deadlines, fields by purpose; as known at an
    /// instant, by the home party and by the partner.
    ///
    /// # Errors
    /// `not-found`; `erased`; `service-unavailable`.
    pub async fn placement(&self, id: &str, as_known_at: Option<OffsetDateTime>) -> Outcome<Value> {
        let row = self.find(id).await?;
        let now = self.gateway.now();
        let until = as_known_at.unwrap_or(now);
        let all = self.history(row.id, until).await?;
        let everything: Vec<&Step> = all.iter().collect();
        let known = self.known(&row, &everything);
        let (fields, shown) = self.fields(&known).await?;
        let state = &known.state;
        let mut whole = self.summary(&row);
        self.put_state(&mut whole, state, &everything, until);
        whole["as_of"] = rfc3339(until);
        whole["fields"] = fields;
        if self.purpose.facts.is_none() {
            whole["deadlines"] = self.deadlines(&row, as_known_at).await?;
            whole["substituted"] = self.substituted(state);
        }
        if as_known_at.is_some() {
            self.put_back_in_time(&mut whole, state);
        }
        let bars = state.facts.get(&FactKind::Absence).and_then(|one| registration_before(state, one.at));
        if let Some(bars) = bars.filter(|_| self.purpose.class >= Class::S3) {
            whole["absence_barred_by"] = json!({"registered_at": rfc3339(bars.at), "message": bars.source.message});
        }
        whole["partner_knows"] = self.partner_knows(&row, &everything, until).await?;
        whole["other_placements"] = self.others(&row).await?;
        let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        self.disclose(&[row.id], &shown).await?;
        Ok(whole)
    }

    /// A placement by some of the messages around it.
    fn known<'s>(&self, row: &PlacementRow, known: &[&'s Step]) -> Known<'s> {
        let counts = |step: &&&Step| step.outcome != "refused";
        let steps: Vec<&Step> = known.iter().filter(counts).copied().collect();
        let said: Vec<Assertion> = steps.iter().map(|step| step.assertion.clone()).collect();
        let anchor = |n: &usize| row.anchor.as_deref() == Some(&said[*n].tag[..]);
        let standing = Standing::of(&said);
        let arranged = arrange(&said, &standing);
        let placements = || arranged.workers.iter().flat_map(|worker| &worker.placements);
        // Before the message that stands for it was known, it is where most of what is known of it is.
        let own = placements().find(|one| one.members.iter().any(anchor));
        let here = |one: &&Placement| one.members.iter().filter(|n| steps[**n].here).count();
        let own = own.or_else(|| placements().filter(|one| here(one) > 0).max_by_key(here));
        let members = own.map(|one| (&*one.members, &*one.deaths)).unwrap_or_default();
        let rules = &self.gateway.journal.rules_of(&row.corridor).fold;
        Known::of(&steps, (&said, &standing), members, rules)
    }

    /// Every message about a placement, oldest first.
    ///
    /// # Errors
    /// As [`Inquiry::placement`].
    pub async fn timeline(&self, id: &str) -> Outcome<Value> {
        let row = self.find(id).await?;
        let steps = self.history(row.id, self.gateway.now()).await?;
        let shown = |step: &&Step| step.here && self.may_see(step) && self.is_of_facts_shown(step);
        let steps: Vec<Value> = steps.iter().filter(shown).map(|step| self.step(step)).collect();
        self.disclose(&[row.id], &["timeline"]).await?;
        Ok(json!({"id": row.id, "steps": steps}))
    }

    async fn find(&self, id: &str) -> Outcome<PlacementRow> {
        self.persons()?;
        let pool = &self.gateway.journal.channel;
        let home = self.gateway.parties.home.code();
        let not_found = || Box::new(self.gateway.problem(ProblemKind::NotFound).because("no-such-placement"));
        let found = match id.parse::<Uuid>() {
            Ok(id) => query::through_merges(pool, id).await,
            // By the id that any party knows it by: what a partner reads out on the telephone.
            Err(_) if is_pairwise_id(id) => {
                let parties: Vec<String> = self.gateway.parties.all().map(|party| party.code().to_owned()).collect();
                query::by_any_pairwise(pool, &parties, id).await
            }
            Err(_) => Ok(None),
        };
        let id = found.map_err(|fault| self.away(&fault))?.ok_or_else(not_found)?;
        if erasures::is_erased(pool, id).await.map_err(|fault| self.away(&fault))? {
            return Err(Box::new(self.gateway.problem(ProblemKind::Erased)));
        }
        let filter = Filter { ids: Some(vec![id]), ..Filter::default() };
        let rows = query::list(pool, home, &filter, &self.reading(), 1).await.map_err(|fault| self.away(&fault))?;
        rows.into_iter().next().ok_or_else(not_found)
    }

    async fn history(&self, subject: Uuid, until: OffsetDateTime) -> Outcome<Vec<Step>> {
        query::history(&self.gateway.journal.channel, &[subject], until).await.map_err(|fault| self.away(&fault))
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
            let mut said = json!({"happened_at": rfc3339(fact.at), "authority": fact.source.authority,
                "asserted_at": rfc3339(fact.source.asserted_at), "message": fact.source.message,
                "age_s": (until - fact.source.asserted_at).whole_seconds().max(0)});
            // That it happened is of the message's class, what came of it is of its field's.
            if shown.is_some() || self.gateway.schemas.class_of_fact(*kind) <= self.purpose.class {
                said["value"] = fact.value.clone().into();
            }
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

    /// What the row says of today is not said of an earlier day. Exceptions of clocks are not known for it.
    fn put_back_in_time(&self, whole: &mut Value, state: &State) {
        let Some(members) = whole.as_object_mut() else { return };
        for of_today in ["updated_at", "provisional"] {
            members.remove(of_today);
        }
        members.insert("last_heard_of".into(), state.heard_at.map(rfc3339).into());
        if members.contains_key("exceptions") {
            let hidden = self.hidden_exceptions();
            let open = state.exceptions.iter().map(|one| one.as_str()).filter(|one| !hidden.iter().any(|h| h == one));
            members.insert("exceptions".into(), open.collect());
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

    /// The state that the partner could know: what it said itself and what it had been told.
    async fn partner_knows(&self, row: &PlacementRow, steps: &[&Step], until: OffsetDateTime) -> Outcome<Value> {
        let ids: Vec<Uuid> = steps.iter().map(|step| step.message).collect();
        let told = query::told_until(&self.gateway.journal.channel, &row.corridor, &ids, until).await;
        let told = told.map_err(|fault| self.away(&fault))?;
        if self.purpose.facts.is_some() {
            return Ok(Value::Null);
        }
        // What officers decided about a message that it knows changes what that message says to it too.
        let decides = |step: &Step| self.gateway.schemas.is_decision(&step.type_name);
        let knows = |step: &&&Step| step.party == row.corridor || told.contains(&step.message) || decides(step);
        let around: Vec<&Step> = steps.iter().filter(knows).copied().collect();
        let known = self.known(row, &around);
        let counted = known.members.iter().filter(|step| self.may_see(step) && !decides(step)).count();
        let mut knows = json!({"stage": known.state.stage.as_str(), "messages": counted});
        if self.sees_stay() {
            knows["stay"] = known.state.stay_at(until).as_str().into();
        }
        Ok(knows)
    }

    /// A message about protection is for those who may see the class of its fields.
    fn may_see(&self, step: &Step) -> bool {
        let message = self.gateway.schemas.message(&step.type_name);
        !message.is_some_and(|message| message.safety) || self.purpose.class >= Class::S3
    }

    /// Whether a message asserts one of the only facts that the purpose shows.
    fn is_of_facts_shown(&self, step: &Step) -> bool {
        let shows = |effect: &Effect| {
            let Effect::Status { kind, .. } = effect else { return false };
            self.purpose.facts.iter().flatten().any(|one| one == kind.as_str())
        };
        self.purpose.facts.is_none() || step.assertion.effects.iter().any(shows)
    }

    fn step(&self, step: &Step) -> Value {
        let faults = Fault::read_all(step.problem.as_deref());
        json!({"message": step.message, "type": step.type_name, "party": step.party, "authority": step.authority,
            "outcome": step.outcome, "asserted_at": rfc3339(step.asserted_at), "received_at": rfc3339(step.received_at),
            "violations": faults.iter().map(|fault| fault.to_json()).collect::<Vec<_>>()})
    }
}
