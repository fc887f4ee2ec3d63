//! One placement: what is known of it, by whom and since when; and its history.

use super::{Filter, Inquiry, Outcome, reading, rfc3339};
use crate::{
    domain::{
        arrange::{Placement, arrange},
        facts::{Assertion, FactKind},
        fold::{Standing, State, fold_among, registration_before},
    },
    exchange::intake,
    message::problem::ProblemKind,
    schema::catalogue::Class,
    store::query::{self, PlacementRow, Step},
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

impl Inquiry<'_> {
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
        let arranged = arrange(&said);
        let placements = || arranged.workers.iter().flat_map(|worker| &worker.placements);
        // Before the message that stands for it was known, it is where most of what is known of it is.
        let own = placements().find(|one| one.members.iter().any(anchor));
        let here = |one: &&Placement| one.members.iter().filter(|n| steps[**n].here).count();
        let own = own.or_else(|| placements().filter(|one| here(one) > 0).max_by_key(here));
        let members = own.map(|one| one.members.as_slice()).unwrap_or_default();
        let rules = &self.gateway.journal.rules_of(&row.corridor).fold;
        let state = fold_among(&Standing::of(&said), members.iter().map(|n| &said[*n]), rules);
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
}
