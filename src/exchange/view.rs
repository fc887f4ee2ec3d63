//! What a party's system may see of placements: what it said itself and what it was told, by its own ids.
//!
//! What an answer says, only those messages say: which placements are listed, stage, stay, fields, instants, and so the entity tag. A
//! message that is kept back, or that is not the reader's, says nothing here. Where a message of the reader's belongs it may change: a
//! death that the party told or was told of counts with everybody whom the register takes for whoever it may be about
//! ([`crate::domain::arrange`]), as any message stands where the register files it. That a row of hers reads as dead may so tell the
//! party of a link that it was not told; that it reads as alive until officers looked would be worse. Somebody who comes under the
//! do-no-harm rule stays listed as the party left her: nothing new about her is told, and that she vanished would tell where she is.
//! The fields are those of the events that the party is given ([`mailbox::given`]), by the same release.
//!
//! A client reads in the name of its authorities, like its mailbox. A system of the home party reads every corridor, by the home
//! party's ids, and counts as told what is addressed to it. Which placement a message belongs to is what the register knows:
//! the ids here are those of the events. The worker's id is not repeated, because who is who follows from messages that the party
//! may not know.

use super::{
    Gateway,
    caller::Caller,
    known::{self, Content, Known, rfc3339},
    mailbox,
};
use crate::{
    domain::{
        arrange::arrange,
        facts::{Assertion, FactKind},
        fold::{FoldRules, State, fold},
        identifiers::is_pairwise_id,
        standing::Standing,
    },
    message::{
        event::Attributes,
        problem::{Fault, Problem, ProblemKind},
    },
    store::{
        StoreFault,
        query::{self, Lookup, Step},
        views::{self, Heard, Place, Reader},
    },
};
use serde_json::{Value, json};
use std::collections::HashMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// Why a system reads, in the record of disclosures: the scope that lets it.
pub const PURPOSE: &str = "placements:read";

type Outcome<T> = Result<T, Box<Problem>>;

/// A party's system that reads.
pub struct View<'g> {
    gateway: &'g Gateway,
    client: String,
    reader: Reader,
}

/// A placement as the reader knows it.
struct Placement<'s> {
    place: Place,
    known: Known<'s>,
}

impl<'g> View<'g> {
    /// Of an admitted caller.
    pub fn of(gateway: &'g Gateway, caller: &Caller) -> Self {
        let client = caller.client();
        let reader = Reader {
            party: client.party.code().to_owned(),
            is_home: caller.is_home(),
            authorities: client.authorities.clone(),
            types: mailbox::types_for(gateway, caller),
        };
        Self { gateway, client: client.id.clone(), reader }
    }

    /// A page of placements in the order of their ids, and the cursor of the next.
    ///
    /// # Errors
    /// `malformed-request` for a cursor that was not given here; `service-unavailable`.
    pub async fn list(&self, after: Option<&str>, limit: i64) -> Outcome<(Vec<Value>, Option<String>)> {
        if after.is_some_and(|after| !is_pairwise_id(after)) {
            return Err(Box::new(self.gateway.problem(ProblemKind::MalformedRequest).because("cursor")));
        }
        let page = views::page(&self.gateway.journal.channel, &self.reader, after, limit + 1).await;
        let mut page = page.map_err(|fault| self.away(&fault))?;
        let more = page.len() as i64 > limit;
        page.truncate(limit as usize);
        let next = page.last().filter(|_| more).map(|place| place.pairwise.clone());
        let ids: Vec<Uuid> = page.iter().map(|place| place.id).collect();
        let steps = self.steps(&ids).await?;
        let heard = self.heard(&steps).await?;
        let placements: Vec<Placement<'_>> =
            page.into_iter().map(|place| self.placement_of(place, &steps, &heard)).collect();
        let listed = placements.iter().map(|one| self.summary(one, &heard)).collect();
        self.disclose(&ids, &["stage", "stay"]).await?;
        Ok((listed, next))
    }

    /// One placement: stage, stay, and every field that the party said or was told.
    ///
    /// # Errors
    /// `not-found`, also for what others know; `erased`; `service-unavailable`.
    pub async fn placement(&self, id: &str) -> Outcome<Value> {
        let place = self.find(id).await?;
        let steps = self.steps(&[place.id]).await?;
        let heard = self.heard(&steps).await?;
        let placement = self.placement_of(place, &steps, &heard);
        if placement.known.members.is_empty() {
            return Err(self.not_found());
        }
        let events = mailbox::given(self.gateway, &self.reader.party, &placement.known.in_force).await;
        let events = events.map_err(|fault| self.away(&fault))?;
        let content = |(message, event): &(Uuid, Value)| {
            let step = placement.known.members.iter().find(|step| step.message == *message)?;
            Some(Content {
                message: *message,
                type_name: step.type_name.clone(),
                authority: step.authority.clone(),
                asserted_at: step.asserted_at,
                data: Attributes::of(event)?.data.clone(),
            })
        };
        let contents = events.iter().filter_map(content).collect();
        let fields = known::fields(&self.gateway.schemas, contents, &placement.known.state, |_, _| true);
        let shown: Vec<&str> = ["stage", "stay"].into_iter().chain(fields.keys().map(String::as_str)).collect();
        self.disclose(&[placement.place.id], &shown).await?;
        let mut whole = self.summary(&placement, &heard);
        whole["fields"] = Value::Object(fields.into_iter().collect());
        Ok(whole)
    }

    /// The messages about a placement that the party sent or was told, in the order in which it knew of them.
    ///
    /// # Errors
    /// As [`View::placement`].
    pub async fn timeline(&self, id: &str) -> Outcome<Value> {
        let place = self.find(id).await?;
        let steps = self.steps(&[place.id]).await?;
        let heard = self.heard(&steps).await?;
        let placement = self.placement_of(place, &steps, &heard);
        if placement.known.members.is_empty() {
            return Err(self.not_found());
        }
        let mut members = placement.known.members.clone();
        members.sort_by_key(|step| (heard.get(&step.message), step.message));
        let listed: Vec<Value> = members.into_iter().map(|step| self.step(step, &heard)).collect();
        self.disclose(&[placement.place.id], &["timeline"]).await?;
        Ok(json!({"id": placement.place.pairwise, "steps": listed}))
    }

    /// The state of a placement as the party knows it; of anything else it knows no state.
    ///
    /// # Errors
    /// `service-unavailable`.
    pub(super) async fn state(&self, id: &str) -> Outcome<State> {
        let found = views::find(&self.gateway.journal.channel, &self.reader, id).await;
        let Some(place) = found.map_err(|fault| self.away(&fault))? else {
            return Ok(fold(&[], &FoldRules::default()));
        };
        let steps = self.steps(&[place.id]).await?;
        let heard = self.heard(&steps).await?;
        Ok(self.placement_of(place, &steps, &heard).known.state)
    }

    async fn find(&self, id: &str) -> Outcome<Place> {
        if !is_pairwise_id(id) {
            return Err(self.not_found());
        }
        let found = views::find(&self.gateway.journal.channel, &self.reader, id).await;
        let found = found.map_err(|fault| self.away(&fault))?.ok_or_else(|| self.not_found())?;
        if found.erased { Err(Box::new(self.gateway.problem(ProblemKind::Erased))) } else { Ok(found) }
    }

    async fn steps(&self, ids: &[Uuid]) -> Outcome<Vec<Step>> {
        let steps = query::history(&self.gateway.journal.channel, ids, self.gateway.now()).await;
        steps.map_err(|fault| self.away(&fault))
    }

    /// When the reader knew of each of these messages that it knows of.
    async fn heard(&self, steps: &[Step]) -> Outcome<HashMap<Uuid, OffsetDateTime>> {
        let messages: Vec<Uuid> = steps.iter().map(|step| step.message).collect();
        let heard = views::heard(&self.gateway.journal.channel, &self.reader, &messages).await;
        Ok(heard.map_err(|fault| self.away(&fault))?.into_iter().map(|Heard { message, at }| (message, at)).collect())
    }

    fn placement_of<'s>(
        &self,
        place: Place,
        steps: &'s [Step],
        heard: &HashMap<Uuid, OffsetDateTime>,
    ) -> Placement<'s> {
        let decides = |step: &Step| self.gateway.schemas.is_decision(&step.type_name);
        // What officers decided about a message that it knows is told to its sender with the message's status.
        let around = |step: &&Step| step.placement == place.id && (heard.contains_key(&step.message) || decides(step));
        let around: Vec<&Step> = steps.iter().filter(around).collect();
        let said: Vec<Assertion> = around.iter().map(|step| step.assertion.clone()).collect();
        let own = |n: &usize| around[*n].here && !decides(around[*n]);
        let members: Vec<usize> = (0..around.len()).filter(own).collect();
        let elsewhere = deaths_elsewhere(&place, steps);
        let counts_here = |n: &usize| elsewhere.contains(&around[*n].message);
        let deaths: Vec<usize> = (0..around.len()).filter(counts_here).collect();
        let known = Known::of(
            &around,
            (&said, &Standing::of(&said)),
            (&members, &deaths),
            &self.gateway.journal.rules_of(&place.corridor).fold,
        );
        Placement { place, known }
    }

    fn summary(&self, one: &Placement<'_>, heard: &HashMap<Uuid, OffsetDateTime>) -> Value {
        let state = &one.known.state;
        let last = one.known.members.iter().filter_map(|step| heard.get(&step.message)).max();
        json!({"id": one.place.pairwise, "corridor": one.place.corridor, "stage": state.stage.as_str(),
            "stay": state.stay_at(self.gateway.now()).as_str(), "updated_at": last.copied().map(rfc3339)})
    }

    /// When others sent a message is not told: it may have been kept back for a while.
    fn step(&self, step: &Step, heard: &HashMap<Uuid, OffsetDateTime>) -> Value {
        let mut value = json!({"message": step.message, "type": step.type_name, "party": step.party,
            "authority": step.authority, "asserted_at": rfc3339(step.asserted_at),
            "at": heard.get(&step.message).copied().map(rfc3339)});
        if step.party == self.reader.party {
            let faults = Fault::read_all(step.problem.as_deref());
            value["outcome"] = step.outcome.clone().into();
            value["violations"] = faults.iter().map(|fault| fault.to_json()).collect();
        }
        value
    }

    /// On record before the answer leaves, like an officer's look; its leaf follows.
    async fn disclose(&self, about: &[Uuid], fields: &[&str]) -> Outcome<()> {
        let lookup = Lookup {
            id: self.gateway.id(),
            officer: format!("urn:onechannel:client:{}", self.client),
            purpose: PURPOSE.to_owned(),
            case_number: None,
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            subjects: about.to_vec(),
        };
        let recorded = query::record_lookup(&self.gateway.journal.channel, &lookup, self.gateway.now()).await;
        recorded.map_err(|fault| self.away(&fault))
    }

    fn not_found(&self) -> Box<Problem> {
        Box::new(self.gateway.problem(ProblemKind::NotFound).because("no-such-placement"))
    }

    fn away(&self, fault: &StoreFault) -> Box<Problem> {
        Box::new(self.gateway.unavailable(fault))
    }
}

/// Deaths that stand elsewhere and count at a placement.
fn deaths_elsewhere(place: &Place, steps: &[Step]) -> Vec<Uuid> {
    let all: Vec<&Step> = steps.iter().filter(|step| step.placement == place.id && step.outcome != "refused").collect();
    if !all.iter().any(|step| !step.here && step.assertion.asserts(FactKind::Death)) {
        return Vec::new();
    }
    let said: Vec<Assertion> = all.iter().map(|step| step.assertion.clone()).collect();
    let arranged = arrange(&said, &Standing::of(&said));
    let mut placements = arranged.workers.iter().flat_map(|worker| &worker.placements);
    let here = placements.find(|one| one.members.iter().any(|n| all[*n].here));
    here.into_iter().flat_map(|one| &one.deaths).map(|n| all[*n].message).collect()
}
