//! Clocks: what is awaited from whom until when, as a pure function of a placement's state and the corridor's rules.
//!
//! A fact starts a clock and a later one stops it. Whether a clock has run out depends on the day and is asked when it is read;
//! nothing here knows the day, a message type or a country.

use super::{
    facts::{FactKind, Stage},
    fold::{Facts, State, Winner},
    workdays::{Term, Workdays, due},
};
use std::collections::BTreeSet;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

/// One of the two sides of a corridor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The home party's.
    Home,
    /// The partner's.
    Partner,
}

impl Side {
    /// The side across.
    pub fn other(self) -> Self {
        match self {
            Self::Home => Self::Partner,
            Self::Partner => Self::Home,
        }
    }
}

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsOn {
    /// Always the same side's.
    One(Side),
    /// The other side's than that of who started the clock: each who starts it waits for an answer of its own.
    Other,
}

impl WaitsOn {
    /// The side whose move it is after one of `started_by` started it.
    pub fn side(self, started_by: Side) -> Side {
        match self {
            Self::One(side) => side,
            Self::Other => started_by.other(),
        }
    }
}

/// A fact of a kind, with this value or any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// Kind of the fact.
    pub kind: FactKind,
    /// Its value; any where absent.
    pub value: Option<String>,
}

impl Sign {
    fn is(&self, kind: FactKind, value: &str) -> bool {
        self.kind == kind && self.value.as_ref().is_none_or(|wanted| wanted == value)
    }

    fn in_force<'f>(&self, facts: &'f Facts) -> Option<&'f Winner> {
        facts.get(&self.kind).filter(|fact| self.is(self.kind, &fact.value))
    }

    /// Everybody's last statement of this kind that is one of this.
    fn said<'f>(&self, facts: &'f Facts) -> impl Iterator<Item = &'f Winner> {
        facts.get(&self.kind).into_iter().flat_map(Winner::each).filter(|fact| self.is(self.kind, &fact.value))
    }
}

/// A fact that stops a clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The fact.
    pub sign: Sign,
    /// Whether it counts from either side also where the clock waits on the other side than the one that started it.
    pub anyone: bool,
}

/// A clock of a corridor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockRule {
    /// Its name, unique in the corridor.
    pub name: String,
    /// The fact that starts it.
    pub starts: Sign,
    /// It runs only while this fact is in force, and facts that happened after it stop it: where what starts it is a day ahead.
    pub during: Option<Sign>,
    /// Whether its terms count from when that was told, not from when it happened.
    pub told: bool,
    /// The facts that stop it.
    pub stops: Vec<Stop>,
    /// Whether they stop it also if they happened before it started.
    pub ever: bool,
    /// Whether it runs on when the placement has ended.
    pub beyond: bool,
    /// When the answer is overdue.
    pub due: Term,
    /// When a person must look; with `due` where absent.
    pub alarm: Option<Term>,
    /// Whose move it is.
    pub waits_on: WaitsOn,
}

/// The two sides of a corridor: who is who, the days on which each works, and their zones.
#[derive(Debug, Clone)]
pub struct Sides {
    /// The home party's authorities; all others are the partner's.
    pub authorities: BTreeSet<String>,
    /// Days and zone of the home party.
    pub home: (Workdays, UtcOffset),
    /// Days and zone of the partner.
    pub partner: (Workdays, UtcOffset),
}

impl Sides {
    fn of(&self, authority: &str) -> Side {
        if self.authorities.contains(authority) { Side::Home } else { Side::Partner }
    }

    fn zone(&self, side: Side) -> UtcOffset {
        match side {
            Side::Home => self.home.1,
            Side::Partner => self.partner.1,
        }
    }
}

/// What an authority last said of this in messages that are about something else: of a crisis, in words about somebody in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// What it was about.
    pub kind: FactKind,
    /// The catalogue's value.
    pub value: String,
    /// When it was said.
    pub at: OffsetDateTime,
    /// By whom.
    pub authority: String,
}

/// A clock that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// Name of its rule.
    pub name: String,
    /// The case that it belongs to, as a blind token.
    pub case: Option<[u8; 16]>,
    /// The message that started it.
    pub message: Uuid,
    /// In whose name.
    pub authority: String,
    /// When it started.
    pub started_at: OffsetDateTime,
    /// When the answer is overdue.
    pub due_at: OffsetDateTime,
    /// When a person must look.
    pub alarm_at: OffsetDateTime,
}

/// Clocks that run by a state and by what is mentioned of it elsewhere. Those that started before `cut_over` do not.
pub fn running(
    state: &State,
    mentions: &[Mention],
    rules: &[ClockRule],
    sides: &Sides,
    cut_over: Option<OffsetDateTime>,
) -> Vec<Clock> {
    let over = matches!(state.stage, Stage::Deceased | Stage::Closed | Stage::ReturnedHome | Stage::Cancelled);
    let mut clocks = Vec::new();
    for rule in rules.iter().filter(|rule| rule.beyond || !over) {
        let about =
            std::iter::once((None, &state.facts)).chain(state.cases.iter().map(|(case, facts)| (Some(*case), facts)));
        for (case, facts) in about {
            let run = Run { rule, facts, state, mentions, sides };
            clocks.extend(run.starts().into_iter().map(|start| run.clock(start, case)));
        }
    }
    clocks.retain(|clock| cut_over.is_none_or(|cut_over| clock.started_at >= cut_over));
    clocks
}

/// One rule looked at for a placement or for one of its cases.
struct Run<'a> {
    rule: &'a ClockRule,
    facts: &'a Facts,
    state: &'a State,
    mentions: &'a [Mention],
    sides: &'a Sides,
}

impl<'a> Run<'a> {
    /// Statements that started the clock and were not answered yet: one, or one of each who asks.
    fn starts(&self) -> Vec<&'a Winner> {
        let during = self.rule.during.as_ref().map(|sign| sign.in_force(self.facts));
        let since = match during {
            Some(None) => return Vec::new(),
            Some(Some(during)) => Some(during.at),
            None => None,
        };
        let starts: Vec<&Winner> = match self.rule.waits_on {
            WaitsOn::One(_) => self.rule.starts.in_force(self.facts).into_iter().collect(),
            WaitsOn::Other => self.rule.starts.said(self.facts).collect(),
        };
        let runs = |start: &&Winner| {
            since.is_none_or(|since| start.at >= since) && !self.is_stopped(start, since.unwrap_or(self.began(start)))
        };
        starts.into_iter().filter(runs).collect()
    }

    fn is_stopped(&self, start: &Winner, since: OffsetDateTime) -> bool {
        let awaited = self.awaited(start);
        // What stops a case's clock may be said of the case or of the placement itself.
        let known = [self.facts, &self.state.facts];
        self.rule.stops.iter().any(|stop| {
            let anyone = stop.anyone || matches!(self.rule.waits_on, WaitsOn::One(_));
            let counts = |at: OffsetDateTime, authority: &str| {
                (self.rule.ever || at >= since) && (anyone || self.sides.of(authority) == awaited)
            };
            let mut said: Vec<&Winner> = known.iter().filter_map(|facts| stop.sign.in_force(facts)).collect();
            if !anyone {
                said.extend(known.iter().flat_map(|facts| stop.sign.said(facts)));
            }
            let mut mentioned = self.mentions.iter().filter(|one| stop.sign.is(one.kind, &one.value));
            said.iter().any(|fact| counts(fact.at, &fact.source.authority))
                || mentioned.any(|one| counts(one.at, &one.authority))
        })
    }

    fn awaited(&self, start: &Winner) -> Side {
        self.rule.waits_on.side(self.sides.of(&start.source.authority))
    }

    /// Nothing has happened after it was told: a false date ahead would keep the clock from ever running out.
    fn began(&self, start: &Winner) -> OffsetDateTime {
        if self.rule.starts.kind.lies_ahead() { start.at } else { start.at.min(start.source.asserted_at) }
    }

    fn clock(&self, start: &Winner, case: Option<[u8; 16]>) -> Clock {
        let work = [&self.sides.home.0, &self.sides.partner.0];
        let zone = self.sides.zone(self.awaited(start));
        let started_at = if self.rule.told { start.source.asserted_at } else { self.began(start) };
        let ends = |term| due(term, started_at, &work, zone);
        let due_at = ends(self.rule.due);
        Clock {
            name: self.rule.name.clone(),
            case,
            message: start.source.message,
            authority: start.source.authority.clone(),
            started_at,
            due_at,
            alarm_at: self.rule.alarm.map_or(due_at, ends),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        facts::{Assertion, Effect},
        fold::{FoldRules, fold},
    };
    use time::{
        Time, Weekday,
        macros::{datetime, offset},
    };

    fn says(n: u8, at: OffsetDateTime, kind: FactKind, value: &str) -> Assertion {
        Assertion {
            message: Uuid::from_u128(n.into()),
            tag: [n; 16],
            authority: "A".into(),
            asserted_at: at,
            revision: None,
            digest: [n; 32],
            effects: vec![Effect::Status { kind, value: value.into(), at: None, owner: true, case: None }],
            links: Vec::new(),
            registers: false,
            held: false,
        }
    }

    fn sides() -> Sides {
        let week = |free: &[Weekday]| Workdays::new(free, [], Time::from_hms(16, 0, 0).unwrap()).unwrap();
        Sides {
            authorities: BTreeSet::from(["H".to_owned()]),
            home: (week(&[Weekday::Saturday, Weekday::Sunday]), offset!(+7)),
            partner: (week(&[Weekday::Friday, Weekday::Saturday]), offset!(+3)),
        }
    }

    fn rule(starts: (FactKind, &str), stops: FactKind, due: Term, alarm: Option<Term>, ever: bool) -> ClockRule {
        ClockRule {
            name: "C".into(),
            starts: Sign { kind: starts.0, value: Some(starts.1.into()) },
            during: None,
            told: false,
            stops: vec![Stop { sign: Sign { kind: stops, value: None }, anyone: false }],
            ever,
            beyond: false,
            due,
            alarm,
            waits_on: WaitsOn::One(Side::Partner),
        }
    }

    fn clocks(said: &[Assertion], rule: ClockRule) -> Vec<Clock> {
        running(&fold(said, &FoldRules::default()), &[], &[rule], &sides(), None)
    }

    #[test]
    fn a_clock_starts_with_a_fact_and_stops_with_its_answer() {
        let start = datetime!(2027-01-04 09:00 +8);
        let submitted = says(1, start, FactKind::Submission, "SUBMITTED");
        let rule = rule((FactKind::Submission, "SUBMITTED"), FactKind::Endorsement, Term::Hours(72), None, false);
        let found = clocks(std::slice::from_ref(&submitted), rule.clone());
        assert_eq!(found[0].due_at, datetime!(2027-01-07 09:00 +8));
        assert_eq!((found[0].alarm_at, found[0].message), (found[0].due_at, Uuid::from_u128(1)));
        let decided = says(2, start + time::Duration::hours(1), FactKind::Endorsement, "RETURNED");
        assert_eq!(clocks(&[decided.clone(), submitted.clone()], rule.clone()), []);
        // Submitted again: the old decision answers nothing.
        let again = says(3, start + time::Duration::hours(2), FactKind::Submission, "SUBMITTED");
        assert_eq!(clocks(&[again, decided, submitted], rule).len(), 1);
    }

    #[test]
    fn an_arrival_learned_first_stops_the_clock_of_the_departure() {
        let departed = says(1, datetime!(2027-01-04 09:00 UTC), FactKind::Exit, "DEPARTED");
        let arrived = says(2, datetime!(2027-01-04 08:59 UTC), FactKind::Entry, "ARRIVED");
        let rule = rule((FactKind::Exit, "DEPARTED"), FactKind::Entry, Term::Hours(24), Some(Term::Hours(72)), true);
        let found = clocks(std::slice::from_ref(&departed), rule.clone());
        assert_eq!(found[0].alarm_at - found[0].due_at, time::Duration::hours(48));
        assert_eq!(clocks(&[departed, arrived], rule), []);
    }

    #[test]
    fn an_absence_starts_clocks_that_its_withdrawal_ends() {
        let alleged = says(1, datetime!(2027-01-04 09:00 +3), FactKind::Absence, "ALLEGED");
        let rule =
            rule((FactKind::Absence, "ALLEGED"), FactKind::FinalExit, Term::Days(60), Some(Term::Days(45)), false);
        let found = clocks(std::slice::from_ref(&alleged), rule.clone());
        assert_eq!(found[0].due_at, datetime!(2027-03-05 23:59:59 +3));
        assert_eq!(found[0].alarm_at, datetime!(2027-02-18 23:59:59 +3));
        let withdrawn = says(2, datetime!(2027-01-09 09:00 +3), FactKind::Absence, "WITHDRAWN");
        assert_eq!(clocks(&[alleged, withdrawn], rule), []);
    }

    fn by(authority: &str, one: Assertion) -> Assertion {
        Assertion { authority: authority.into(), ..one }
    }

    #[test]
    fn where_either_side_may_ask_each_waits_for_the_other_by_its_own_zone() {
        let monday = datetime!(2027-01-04 09:00 UTC);
        let ours = by("H", says(1, monday, FactKind::Clarification, "ASKED"));
        let theirs = by("P", says(2, monday + time::Duration::hours(1), FactKind::Clarification, "ASKED"));
        let start = (FactKind::Clarification, "ASKED");
        let rule = ClockRule {
            waits_on: WaitsOn::Other,
            ..rule(start, FactKind::ClarificationAnswer, Term::Days(3), None, false)
        };
        let found = clocks(&[theirs.clone(), ours.clone()], rule.clone());
        let due = |authority: &str| found.iter().find(|clock| clock.authority == authority).unwrap().due_at;
        assert_eq!(found.len(), 2);
        assert_eq!(due("H"), datetime!(2027-01-07 23:59:59 +3), "the partner's move");
        assert_eq!(due("P"), datetime!(2027-01-07 23:59:59 +7), "the home party's move");
        // Who asked does not answer for the other; another authority of the asked side may.
        let own = by("H", says(3, monday + time::Duration::hours(2), FactKind::ClarificationAnswer, "GIVEN"));
        let found = clocks(&[own.clone(), theirs.clone(), ours.clone()], rule.clone());
        assert_eq!(found.iter().map(|clock| clock.authority.as_str()).collect::<Vec<_>>(), ["H"]);
        let answer = by("P2", says(4, monday + time::Duration::hours(3), FactKind::ClarificationAnswer, "GIVEN"));
        assert_eq!(clocks(&[ours.clone(), answer.clone(), theirs, own], rule.clone()), []);
        // Asked again later: the old answer answers nothing.
        let again = by("H", says(5, monday + time::Duration::hours(9), FactKind::Clarification, "ASKED"));
        assert_eq!(clocks(&[again, ours, answer], rule).len(), 1);
    }

    #[test]
    fn some_facts_end_a_wait_whoever_states_them() {
        let monday = datetime!(2027-01-04 09:00 UTC);
        let asked = by("H", says(1, monday, FactKind::RosterRequest, "ASKED"));
        let closed = by("H", says(2, monday + time::Duration::hours(1), FactKind::Crisis, "CLOSED"));
        let start = (FactKind::RosterRequest, "ASKED");
        let rule =
            ClockRule { waits_on: WaitsOn::Other, ..rule(start, FactKind::Crisis, Term::Minutes(15), None, false) };
        assert_eq!(clocks(&[asked.clone(), closed.clone()], rule.clone()).len(), 1);
        let stop = Stop { anyone: true, ..rule.stops[0].clone() };
        assert_eq!(clocks(&[asked, closed], ClockRule { stops: vec![stop], ..rule }), []);
    }

    #[test]
    fn what_the_asked_side_mentions_elsewhere_answers_too() {
        let asked_at = datetime!(2027-01-04 09:00 UTC);
        let asked = by("H", says(1, asked_at, FactKind::RosterRequest, "ASKED"));
        let rule = ClockRule {
            waits_on: WaitsOn::Other,
            ..rule((FactKind::RosterRequest, "ASKED"), FactKind::RollCall, Term::Minutes(15), None, false)
        };
        let state = fold(&[asked], &FoldRules::default());
        let runs = |authority: &str, minutes: i64| {
            let at = asked_at + time::Duration::minutes(minutes);
            let (value, authority) = ("SAFE".to_owned(), authority.to_owned());
            let mention = Mention { kind: FactKind::RollCall, value, at, authority };
            running(&state, &[mention], std::slice::from_ref(&rule), &sides(), None).len()
        };
        assert_eq!((runs("P", 1), runs("P", -1), runs("H", 1)), (0, 1, 1));
    }

    #[test]
    fn a_clock_that_starts_on_a_day_ahead_is_stopped_by_what_happens_before_that_day() {
        let left = datetime!(2027-01-04 09:00 +3);
        let back_by = datetime!(2027-02-15 23:59:59 +3);
        let said = |n, at, kind, value: &str| {
            let mut one = says(n, left, kind, value);
            if let Effect::Status { at: happened, .. } = &mut one.effects[0] {
                *happened = Some(at);
            }
            one
        };
        let arrived = said(1, left - time::Duration::days(300), FactKind::Entry, "ARRIVED");
        let leave = said(2, left, FactKind::Leave, "ON_LEAVE");
        let expected = said(3, back_by, FactKind::LeaveReturn, "EXPECTED");
        let rule = ClockRule {
            during: Some(Sign { kind: FactKind::Leave, value: Some("ON_LEAVE".into()) }),
            ..rule((FactKind::LeaveReturn, "EXPECTED"), FactKind::Entry, Term::Days(3), None, false)
        };
        let on_leave = [arrived, leave, expected];
        let with = |one: Assertion| clocks(&[&on_leave[..], &[one]].concat(), rule.clone()).len();
        assert_eq!(clocks(&on_leave, rule.clone())[0].due_at, datetime!(2027-02-18 23:59:59 +3));
        let entered = said(4, back_by - time::Duration::days(3), FactKind::Entry, "ARRIVED");
        let back = Assertion { asserted_at: back_by, ..said(5, back_by, FactKind::Leave, "BACK") };
        // Another leave, of which nobody says how long it is: the old day is not of this one.
        let next = back_by + time::Duration::days(200);
        let again = Assertion { asserted_at: next, ..said(6, next, FactKind::Leave, "ON_LEAVE") };
        assert_eq!((with(Assertion { asserted_at: back_by, ..entered }), with(back), with(again)), (0, 0, 0));
    }

    #[test]
    fn what_is_said_to_happen_later_than_it_was_told_starts_its_clock_when_it_was_told() {
        let told = datetime!(2027-01-04 09:00 +3);
        let mut detained = says(1, told, FactKind::Detention, "DETAINED");
        if let Effect::Status { at, .. } = &mut detained.effects[0] {
            *at = Some(datetime!(2199-01-01 00:00 UTC));
        }
        let rule = rule((FactKind::Detention, "DETAINED"), FactKind::ConsularAccess, Term::Hours(72), None, false);
        let found = clocks(std::slice::from_ref(&detained), rule.clone());
        assert_eq!(found[0].due_at, datetime!(2027-01-07 09:00 +3));
        let access = says(2, told + time::Duration::hours(1), FactKind::ConsularAccess, "REQUESTED");
        assert_eq!(clocks(&[detained, access], rule), []);
        // A day ahead is one.
        let mut permit = says(3, told, FactKind::PermitExpiry, "EXPIRES");
        if let Effect::Status { at, .. } = &mut permit.effects[0] {
            *at = Some(datetime!(2028-01-04 23:59:59 +3));
        }
        let rule = self::rule((FactKind::PermitExpiry, "EXPIRES"), FactKind::FinalExit, Term::Days(0), None, true);
        assert_eq!(clocks(&[permit], rule)[0].due_at, datetime!(2028-01-04 23:59:59 +3));
    }

    #[test]
    fn backfilled_facts_start_no_clocks() {
        let state =
            fold(&[says(1, datetime!(2020-01-01 00:00 UTC), FactKind::Exit, "DEPARTED")], &FoldRules::default());
        let rule = rule((FactKind::Exit, "DEPARTED"), FactKind::Entry, Term::Hours(24), None, true);
        let found = |cut_over| running(&state, &[], std::slice::from_ref(&rule), &sides(), cut_over).len();
        assert_eq!((found(None), found(Some(datetime!(2026-01-01 00:00 UTC)))), (1, 0));
    }
}
