//! The subjects of one journal transaction: the dossiers that its messages touch are locked, arranged and folded as a whole, and
//! what changed is written. Which message belongs where follows from the set of messages alone ([`crate::domain::arrange`]);
//! this keeps the rows that stand for it. What an id means that a party was given is settled when a message that names it comes:
//! the message that stands for the row by then, its registration once there is one. So the same words by an id, sent before
//! the registration came or after it, are not the same message.

mod load;
mod write;

use super::{Intent, Journal, Links, Outcome, SubjectKind, plan::Plan};
use crate::{
    domain::{
        arrange::{Arranged, Placement, arrange},
        clock::uuid_v7,
        deadlines::{Clock, Mention, running},
        facts::{Assertion, Effect, Exception, FactKind, Link, Reach},
        fold::{FoldRules, State, fold_among, with_deaths},
        identifiers::pairwise_id,
        standing::Standing,
    },
    message::problem::Fault,
    schema::catalogue::Level,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use time::OffsetDateTime;
use uuid::Uuid;

/// The kind of rows that stand for a person; not one that a message is about.
const WORKER: &str = "worker";

/// A row of `subjects`.
struct Subject {
    id: Uuid,
    kind: &'static str,
    corridor: String,
    worker: Option<Uuid>,
    anchor: [u8; 16],
    provisional: bool,
    merged_into: Option<Uuid>,
    opened_at: OffsetDateTime,
    is_new: bool,
    is_changed: bool,
    /// Exceptions that were open.
    exceptions: BTreeSet<String>,
    /// Stage, stay and welfare that were written last.
    axes: [String; 3],
    /// Messages that stood with it before this transaction.
    members: usize,
    pairwise: BTreeMap<String, String>,
    state: Option<Arc<State>>,
    clocks: Vec<Clock>,
}

/// A message of a dossier and where it was so far.
struct Filed {
    before: Option<Uuid>,
    subject: Option<Uuid>,
    is_new: bool,
}

/// Everything that shares an identifier.
struct Dossier {
    id: Uuid,
    kind: SubjectKind,
    merged_into: Option<Uuid>,
    opened_at: OffsetDateTime,
    is_new: bool,
    /// Whether its kind is to be written again.
    is_new_kind: bool,
    is_touched: bool,
    corridor: String,
    /// Parties that get an id for new subjects.
    parties: Vec<String>,
    said: Vec<Assertion>,
    filed: Vec<Filed>,
    subjects: Vec<Subject>,
    /// What is said of it in messages that are filed elsewhere.
    mentions: Vec<Mention>,
    /// Whether that changed, or what was said in it: its clocks may have stopped.
    is_changed: bool,
}

/// The last that each authority said of what a token names: one row for each kind of fact.
type Mentions = BTreeMap<([u8; 16], FactKind, String), Mention>;

/// The dossiers that a batch may touch, locked, with their messages and subjects.
#[derive(Default)]
pub(super) struct Subjects {
    by_id: BTreeMap<Uuid, Dossier>,
    by_token: HashMap<[u8; 16], Uuid>,
    by_tag: HashMap<[u8; 16], Uuid>,
    /// What a party's id stands for: its dossier, the message that stands for its subject, and whether that is a worker.
    by_pairwise: HashMap<(String, String), (Uuid, [u8; 16], bool)>,
    /// Ids of people who were erased: nothing is filed with them any more.
    erased: HashMap<(String, String), Uuid>,
    new_tokens: Vec<([u8; 16], Uuid)>,
    mentions: Mentions,
    new_mentions: Mentions,
    /// Where each message of this batch ended.
    placed: HashMap<Uuid, Uuid>,
    /// What answers an erasure, and whom it is about.
    beside: HashMap<Uuid, Uuid>,
}

impl Subjects {
    /// Whether a subject was there before this transaction.
    pub(super) fn is_old(&self, subject: Uuid) -> bool {
        self.subject(subject).is_some_and(|subject| !subject.is_new)
    }

    /// The subject of a message of this batch.
    pub(super) fn of(&self, message: Uuid) -> Option<Uuid> {
        self.placed.get(&message).copied()
    }

    /// A subject of which a message of this batch tells without being filed there.
    pub(super) fn beside(&self, message: Uuid) -> Option<Uuid> {
        self.beside.get(&message).copied()
    }

    /// The dossier of a message of this batch.
    pub(super) fn dossier_of(&self, intent: &Intent) -> Option<Uuid> {
        self.by_tag.get(&intent.tag).copied()
    }

    /// What a message of this batch names, an id that its sender was given included.
    pub(super) fn links_of(&self, intent: &Intent) -> Vec<Link> {
        let filed = self.dossier_of(intent).and_then(|id| self.by_id.get(&self.canonical(id)));
        let said = filed.and_then(|dossier| dossier.said.iter().find(|one| one.message == intent.id));
        said.map(|one| one.links.clone()).unwrap_or_default()
    }

    /// The id by which `party` knows a subject of this transaction.
    pub(super) fn pairwise_of(&self, subject: Uuid, party: &str) -> Option<String> {
        self.subject(subject)?.pairwise.get(party).cloned()
    }

    /// The state of a subject after this transaction.
    pub(super) fn state_of(&self, subject: Uuid) -> Option<Arc<State>> {
        self.subject(subject)?.state.clone()
    }

    /// Whether anybody in the dossier of a subject of this transaction is shielded.
    pub(super) fn is_shielded(&self, subject: Uuid) -> bool {
        let dossier = self.by_id.values().find(|dossier| dossier.subjects.iter().any(|one| one.id == subject));
        let stands = |one: &&Subject| one.kind != WORKER && one.merged_into.is_none();
        let shielded = |one: &Subject| one.state.as_ref().is_none_or(|state| state.shielded);
        dossier.is_none_or(|dossier| dossier.subjects.iter().filter(stands).any(shielded))
    }

    fn subject(&self, id: Uuid) -> Option<&Subject> {
        self.by_id.values().flat_map(|dossier| &dossier.subjects).find(|subject| subject.id == id)
    }

    fn canonical(&self, id: Uuid) -> Uuid {
        self.by_id.get(&id).and_then(|dossier| dossier.merged_into).unwrap_or(id)
    }

    /// Files a message in the dossier that its identifiers lead to.
    pub(super) fn file(&mut self, journal: &Journal, intent: &Intent, now: OffsetDateTime) -> Plan {
        let (mut outcome, mut problem) = (intent.outcome, intent.problem.clone());
        let Some(links) = intent.links.as_ref().filter(|_| outcome != Outcome::Refused) else {
            return Plan::Store { outcome, problem };
        };
        // What is about another message goes where that is, and nowhere else: what it names besides joins nothing.
        let is_about =
            intent.effects.iter().any(|one| matches!(one, Effect::Invalidate { .. } | Effect::Approve { .. }));
        let mut named = if is_about { Vec::new() } else { links.links.clone() };
        named.extend(links.follows.map(|token| Link { token, reach: Reach::Placement }));
        let mut found: BTreeSet<Uuid> = BTreeSet::new();
        for (id, reach) in [(&links.pairwise, Reach::Placement), (&links.worker, Reach::Worker)] {
            let Some(id) = id.as_ref().filter(|_| !is_about) else { continue };
            match self.by_pairwise.get(&(intent.party.clone(), id.clone())) {
                Some((dossier, anchor, is_worker)) if self.fits(*dossier, intent, *is_worker, reach) => {
                    found.insert(self.canonical(*dossier));
                    // A placement's id names it by the message that stands for it. A worker's id names nothing more: which
                    // of her placements is meant follows from the rest.
                    if !is_worker {
                        named.push(Link { token: *anchor, reach });
                    }
                }
                // An id that this party was never given, or of somebody who was erased: a safety message waits for a person, by
                // what else it names; anything else is refused, but for the answer that she was erased there too.
                _ => {
                    let erased = self.erased.get(&(intent.party.clone(), id.clone())).copied();
                    if let Some(erased) = erased.filter(|_| answers_an_erasure(intent)) {
                        self.beside.insert(intent.id, erased);
                        return Plan::Store { outcome, problem };
                    }
                    problem = Some(no_such_id(reach, erased.is_some()));
                    outcome = if intent.safety { Outcome::Held } else { Outcome::Refused };
                    if outcome == Outcome::Refused {
                        return Plan::Store { outcome, problem };
                    }
                }
            }
        }
        found.extend(named.iter().filter_map(|link| self.by_token.get(&link.token)).map(|id| self.canonical(*id)));
        found.extend(self.by_token.get(&intent.tag).map(|id| self.canonical(*id)));
        let targets = || targets(intent);
        let stored = |tag| self.by_tag.get(tag).or(self.by_token.get(tag));
        found.extend(targets().chain(corrected(intent)).filter_map(stored).map(|id| self.canonical(*id)));
        if intent
            .effects
            .iter()
            .any(|one| matches!(one, Effect::Invalidate { target } if !self.by_tag.contains_key(target)))
        {
            let unknown = Fault::new("/data/invalidates/id", "target-unknown").param("level", Level::Soft.as_str());
            problem = Some(beside(problem.as_deref(), &unknown));
        }
        let id = self.unite(found, links, intent, journal, now);
        // Tags of stored messages are found by themselves; of one that has not come yet the token waits for it.
        let unseen = targets().filter(|tag| !self.by_tag.contains_key(*tag));
        let own = if is_about { &[] } else { links.links.as_slice() };
        for token in own.iter().map(|link| &link.token).chain(unseen) {
            if !self.by_token.contains_key(token) {
                self.by_token.insert(*token, id);
                self.new_tokens.push((*token, id));
            }
        }
        self.by_tag.insert(intent.tag, id);
        if let Some(dossier) = self.by_id.get_mut(&id) {
            dossier.is_touched = true;
            dossier.parties.clone_from(&intent.parties);
            dossier.filed.push(Filed { before: None, subject: None, is_new: true });
            dossier.said.push(Assertion {
                message: intent.id,
                tag: intent.tag,
                authority: intent.authority.clone(),
                asserted_at: intent.asserted_at,
                revision: intent.revision,
                digest: intent.body_tag,
                effects: intent.effects.clone(),
                links: named,
                registers: links.identifies,
                held: outcome == Outcome::Held,
            });
        }
        self.mention(intent, now);
        Plan::Store { outcome, problem }
    }

    /// Tells what a message names besides its subject. One that waits for a person tells it too: it was said, and is shown. For
    /// when it was said, not when it happened: an answer may repeat what was known before it was asked for.
    fn mention(&mut self, intent: &Intent, now: OffsetDateTime) {
        for token in &intent.mentions {
            for effect in &intent.effects {
                let Effect::Status { kind, value, .. } = effect else { continue };
                let (at, authority) = (intent.asserted_at.min(now), intent.authority.clone());
                let one = Mention { kind: *kind, value: value.clone(), at, authority };
                let key = (*token, *kind, one.authority.clone());
                if self.mentions.get(&key).is_none_or(|known| (known.at, &known.value) < (one.at, &one.value)) {
                    self.mentions.insert(key.clone(), one.clone());
                    self.new_mentions.insert(key, one);
                    let dossier = self.by_token.get(token).map(|id| self.canonical(*id));
                    if let Some(dossier) = dossier.and_then(|id| self.by_id.get_mut(&id)) {
                        (dossier.is_touched, dossier.is_changed) = (true, true);
                    }
                }
            }
        }
    }

    fn fits(&self, dossier: Uuid, intent: &Intent, is_worker: bool, reach: Reach) -> bool {
        self.by_id.get(&dossier).is_some_and(|one| one.corridor == intent.corridor)
            && is_worker == (reach == Reach::Worker)
    }

    /// One dossier from all that the identifiers lead to; none opens a new one. That is only what is looked at together: who is
    /// who is not decided here.
    fn unite(
        &mut self,
        found: BTreeSet<Uuid>,
        links: &Links,
        intent: &Intent,
        journal: &Journal,
        now: OffsetDateTime,
    ) -> Uuid {
        // Words about a message that had not come wait in a dossier without a kind of its own: it takes that of the message.
        let only_words = |one: &Dossier| one.subjects.is_empty() && one.said.iter().all(|one| one.links.is_empty());
        let fits = |id: &Uuid| {
            self.by_id
                .get(id)
                .is_some_and(|one| only_words(one) || (one.kind == links.kind && one.corridor == intent.corridor))
        };
        let is_about = targets(intent).next().is_some();
        let found: BTreeSet<Uuid> = found.into_iter().filter(|id| is_about || fits(id)).collect();
        let Some(target) = found.first().copied() else {
            let id = uuid_v7(&*journal.clock, &*journal.random);
            let dossier = Dossier {
                id,
                kind: links.kind,
                merged_into: None,
                opened_at: now,
                is_new: true,
                is_new_kind: false,
                is_touched: true,
                corridor: intent.corridor.clone(),
                parties: intent.parties.clone(),
                said: Vec::new(),
                filed: Vec::new(),
                subjects: Vec::new(),
                mentions: Vec::new(),
                is_changed: false,
            };
            self.by_id.insert(id, dossier);
            return id;
        };
        if let Some(one) = self.by_id.get_mut(&target).filter(|one| !is_about && only_words(one)) {
            (one.kind, one.corridor) = (links.kind, intent.corridor.clone());
            one.is_new_kind = true;
        }
        if is_about {
            return target;
        }
        for id in found.into_iter().skip(1) {
            let Some(other) = self.by_id.get_mut(&id) else { continue };
            let said = std::mem::take(&mut other.said);
            let filed = std::mem::take(&mut other.filed);
            let subjects = std::mem::take(&mut other.subjects);
            if let Some(target) = self.by_id.get_mut(&target) {
                target.said.extend(said);
                target.filed.extend(filed);
                target.subjects.extend(subjects);
            }
            // What was merged into it before goes along: every reader looks one step far.
            for one in self.by_id.values_mut().filter(|one| one.id == id || one.merged_into == Some(id)) {
                one.merged_into = Some(target);
                one.is_touched = true;
            }
        }
        target
    }

    /// Arranges and folds every dossier that was touched, once all messages of the batch are filed.
    pub(super) fn settle(&mut self, journal: &Journal, now: OffsetDateTime) {
        for dossier in self.by_id.values_mut().filter(|one| one.is_touched && one.merged_into.is_none()) {
            let named: BTreeSet<&[u8; 16]> =
                dossier.said.iter().flat_map(|one| &one.links).map(|link| &link.token).collect();
            let mentions = self.mentions.iter().filter(|((token, ..), _)| named.contains(token));
            dossier.mentions = mentions.map(|(_, one)| one.clone()).collect();
            let placed = dossier.settle(journal, now);
            self.placed.extend(placed);
        }
    }
}

/// The broken rule of an id that was never given, or of somebody who was erased.
fn no_such_id(reach: Reach, erased: bool) -> String {
    let pointer = if reach == Reach::Worker { "/data/placement/worker" } else { "/data/placement/id" };
    beside(None, &Fault::new(pointer, if erased { "erased-id" } else { "unknown-id" }))
}

/// Whether it is about a request of hers: what was done about it is said after she was erased.
fn answers_an_erasure(intent: &Intent) -> bool {
    let about = |effect: &Effect| matches!(effect, Effect::Status { kind: FactKind::SubjectAnswer, .. });
    intent.effects.iter().any(about)
}

/// A broken rule beside those that are on record.
fn beside(problem: Option<&str>, fault: &Fault) -> String {
    let mut faults = Fault::read_all(problem);
    faults.push(fault.clone());
    Fault::write_all(&faults)
}

/// Messages that an intent is about: those that it withdraws, decides on or follows.
fn targets(intent: &Intent) -> impl Iterator<Item = &[u8; 16]> {
    let follows = intent.links.as_ref().and_then(|links| links.follows.as_ref());
    let about = intent.effects.iter().filter_map(|effect| match effect {
        Effect::Invalidate { target } | Effect::Approve { target, .. } => Some(target),
        Effect::Status { .. } | Effect::Field { .. } | Effect::Correct { .. } => None,
    });
    about.chain(follows)
}

/// The first message under the id that an intent corrects: looked at together with it.
fn corrected(intent: &Intent) -> Option<&[u8; 16]> {
    intent.effects.iter().find_map(|effect| match effect {
        Effect::Correct { target } => Some(target),
        _ => None,
    })
}

/// What a dossier is settled by.
struct Settling<'a> {
    said: &'a [Assertion],
    standing: &'a Standing<'a>,
    journal: &'a Journal,
    now: OffsetDateTime,
}

impl Dossier {
    /// Gives each message its subject; gives those of new messages.
    fn settle(&mut self, journal: &Journal, now: OffsetDateTime) -> Vec<(Uuid, Uuid)> {
        let said = std::mem::take(&mut self.said);
        let by = Settling { said: &said, standing: &Standing::of(&said), journal, now };
        let arranged = match self.kind {
            SubjectKind::Placement => arrange(by.said, by.standing),
            SubjectKind::JobOrder | SubjectKind::Crisis | SubjectKind::Books => Arranged::default(),
        };
        if self.kind != SubjectKind::Placement {
            let all: Vec<usize> = (0..said.len()).collect();
            let at = self.claim(self.kind.as_str(), &all, None, None, &by);
            self.fold(at, (&all, &[]), [], &by);
        }
        for worker in &arranged.workers {
            let all: Vec<usize> = worker.placements.iter().flat_map(|one| one.members.iter().copied()).collect();
            let first = worker.placements.iter().find_map(|one| one.registration);
            let of = self.claim(WORKER, &all, first, None, &by);
            let of = self.subjects[of].id;
            let exceptions = [
                (worker.contested, Exception::SamePassport),
                (worker.awaits_second_officer, Exception::AwaitsSecondOfficer),
            ];
            let exceptions = || exceptions.into_iter().filter(|(open, _)| *open).map(|(_, exception)| exception);
            for Placement { members, deaths, registration, .. } in &worker.placements {
                let at = self.claim(SubjectKind::Placement.as_str(), members, *registration, Some(of), &by);
                self.fold(at, (members, deaths), exceptions(), &by);
            }
        }
        self.close_unclaimed();
        self.said = said;
        let placed = self.said.iter().zip(&self.filed).filter(|(_, filed)| filed.is_new);
        placed.filter_map(|(one, filed)| Some((one.message, filed.subject?))).collect()
    }

    /// A row whose message stands nowhere any more says nothing.
    fn close_unclaimed(&mut self) {
        let unclaimed = |one: &&mut Subject| one.state.is_none() && one.merged_into.is_none() && one.kind != WORKER;
        for row in self.subjects.iter_mut().filter(unclaimed) {
            row.is_changed = true;
            row.provisional = true;
            row.state = Some(Arc::new(fold_among(&Standing::default(), [], &FoldRules::default())));
            row.clocks = Vec::new();
        }
    }

    /// The row that stands for these messages: the oldest whose own message is among them; others of that kind join it.
    fn claim(
        &mut self,
        kind: &'static str,
        members: &[usize],
        registration: Option<usize>,
        worker: Option<Uuid>,
        by: &Settling<'_>,
    ) -> usize {
        let (said, standing) = (by.said, by.standing);
        let tags: BTreeSet<[u8; 16]> = members.iter().map(|n| said[*n].tag).collect();
        let mut own: Vec<usize> = (0..self.subjects.len())
            .filter(|at| self.subjects[*at].kind == kind && tags.contains(&self.subjects[*at].anchor))
            .collect();
        own.sort_by_key(|at| self.subjects[*at].id);
        // What waits for a person or was withdrawn stands for nothing while anything else can.
        let silent = |n: usize| !standing.in_force(&said[n]);
        let first = || members.iter().min_by_key(|n| (silent(**n), said[**n].asserted_at, &said[**n].digest));
        let at = own.first().copied().unwrap_or(self.subjects.len());
        if own.is_empty() {
            let anchor = first().map_or([0; 16], |n| said[*n].tag);
            let subject = self.open(kind, anchor, by);
            self.subjects.push(subject);
        }
        let target = self.subjects[at].id;
        for joined in own.into_iter().skip(1) {
            let joined = &mut self.subjects[joined];
            joined.is_changed |= joined.merged_into != Some(target);
            joined.merged_into = Some(target);
        }
        let anchor = registration.map(|n| said[n].tag);
        let row = &mut self.subjects[at];
        let before = (row.merged_into.take(), row.worker, row.anchor, row.provisional);
        row.worker = worker;
        row.provisional = registration.is_none();
        row.anchor = anchor.unwrap_or(row.anchor);
        row.is_changed |= before != (None, row.worker, row.anchor, row.provisional);
        at
    }

    fn open(&self, kind: &'static str, anchor: [u8; 16], by: &Settling<'_>) -> Subject {
        let Settling { journal, now, .. } = *by;
        Subject {
            id: uuid_v7(&*journal.clock, &*journal.random),
            kind,
            corridor: self.corridor.clone(),
            worker: None,
            anchor,
            provisional: true,
            merged_into: None,
            opened_at: now,
            is_new: true,
            is_changed: true,
            exceptions: BTreeSet::new(),
            axes: Default::default(),
            members: 0,
            pairwise: self.parties.iter().map(|party| (party.clone(), pairwise_id(&*journal.random))).collect(),
            state: None,
            clocks: Vec::new(),
        }
    }

    /// Folds the messages of a row into its state, with deaths that stand elsewhere and exceptions that follow from the dossier, and
    /// files them there.
    fn fold(
        &mut self,
        at: usize,
        (members, deaths): (&[usize], &[usize]),
        exceptions: impl IntoIterator<Item = Exception>,
        by: &Settling<'_>,
    ) {
        let rules = by.journal.rules_of(&self.corridor);
        let own = fold_among(by.standing, members.iter().map(|n| &by.said[*n]), &rules.fold);
        // A death that stands elsewhere stops no clock here, nor starts one: it may be another's, and hers runs there.
        let clocks = match &rules.sides {
            Some(sides) => running(&own, &self.mentions, &rules.clocks, sides, rules.fold.cut_over),
            None => Vec::new(),
        };
        let deaths = deaths.iter().map(|n| &by.said[*n]);
        let mut state = with_deaths(own, by.standing, members.iter().map(|n| &by.said[*n]), deaths, &rules.fold);
        state.exceptions.extend(exceptions);
        let row = &mut self.subjects[at];
        for n in members {
            let filed = &mut self.filed[*n];
            row.is_changed |= filed.is_new || filed.before != Some(row.id);
            filed.subject = Some(row.id);
        }
        // What is said elsewhere in the dossier may change it too: a withdrawal, another who claims the same passport.
        let axes = [state.stage.as_str(), state.stay.as_str(), state.welfare.as_str()];
        let exceptions: BTreeSet<String> = state.exceptions.iter().map(ToString::to_string).collect();
        row.is_changed |= self.is_changed;
        row.is_changed |= row.axes != axes || row.exceptions != exceptions || row.members != members.len();
        row.state = Some(Arc::new(state));
        row.clocks = clocks;
    }
}
