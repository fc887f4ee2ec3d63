//! Clocks: what is awaited from whom until when, as a pure function of a placement's state and the corridor's rules.
//!
//! A fact starts a clock and a later one stops it. Whether a clock has run out depends on the day and is asked when it is read;
//! nothing here knows the day, a message type or a country.

use super::{
    facts::{FactKind, Stage},
    fold::{Facts, State},
    workdays::{Term, Workdays, due},
};
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The home party's.
    Home,
    /// The partner's.
    Partner,
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
    fn in_facts<'f>(&self, facts: &'f Facts) -> Option<&'f super::fold::Winner> {
        facts.get(&self.kind).filter(|fact| self.value.as_ref().is_none_or(|value| *value == fact.value))
    }
}

/// A clock of a corridor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockRule {
    /// Its name, unique in the corridor.
    pub name: String,
    /// The fact that starts it.
    pub starts: Sign,
    /// The facts that stop it.
    pub stops: Vec<Sign>,
    /// Whether they stop it also if they happened before it started.
    pub ever: bool,
    /// Whether it runs on when the placement has ended.
    pub beyond: bool,
    /// When the answer is overdue.
    pub due: Term,
    /// When a person must look; with `due` where absent.
    pub alarm: Option<Term>,
    /// Whose move it is.
    pub waits_on: Side,
}

/// The days on which both sides of a corridor work, and their zones.
#[derive(Debug, Clone)]
pub struct Calendars {
    /// Of the home party.
    pub home: (Workdays, UtcOffset),
    /// Of the partner.
    pub partner: (Workdays, UtcOffset),
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

/// Clocks that run by a state. Those that started before `cut_over` do not.
pub fn running(
    state: &State,
    rules: &[ClockRule],
    calendars: &Calendars,
    cut_over: Option<OffsetDateTime>,
) -> Vec<Clock> {
    let over = matches!(state.stage, Stage::Deceased | Stage::Closed | Stage::ReturnedHome | Stage::Cancelled);
    let mut clocks = Vec::new();
    for rule in rules.iter().filter(|rule| rule.beyond || !over) {
        clocks.extend(clock(rule, None, &state.facts, state, calendars));
        for (case, facts) in &state.cases {
            clocks.extend(clock(rule, Some(*case), facts, state, calendars));
        }
    }
    clocks.retain(|clock| cut_over.is_none_or(|cut_over| clock.started_at >= cut_over));
    clocks
}

fn clock(
    rule: &ClockRule,
    case: Option<[u8; 16]>,
    facts: &Facts,
    state: &State,
    calendars: &Calendars,
) -> Option<Clock> {
    let start = rule.starts.in_facts(facts)?;
    // What stops a case's clock may be said of the case or of the placement itself.
    let stop = |sign: &Sign| sign.in_facts(facts).or_else(|| sign.in_facts(&state.facts));
    if rule.stops.iter().filter_map(stop).any(|fact| rule.ever || fact.at >= start.at) {
        return None;
    }
    let sides = [&calendars.home.0, &calendars.partner.0];
    let zone = match rule.waits_on {
        Side::Home => calendars.home.1,
        Side::Partner => calendars.partner.1,
    };
    let ends = |term| due(term, start.at, &sides, zone);
    let due_at = ends(rule.due);
    Some(Clock {
        name: rule.name.clone(),
        case,
        message: start.source.message,
        authority: start.source.authority.clone(),
        started_at: start.at,
        due_at,
        alarm_at: rule.alarm.map_or(due_at, ends),
    })
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

    fn calendars() -> Calendars {
        let week = |free: &[Weekday]| Workdays::new(free, [], Time::from_hms(16, 0, 0).unwrap()).unwrap();
        Calendars {
            home: (week(&[Weekday::Saturday, Weekday::Sunday]), offset!(+7)),
            partner: (week(&[Weekday::Friday, Weekday::Saturday]), offset!(+3)),
        }
    }

    fn rule(starts: (FactKind, &str), stops: FactKind, due: Term, alarm: Option<Term>, ever: bool) -> ClockRule {
        ClockRule {
            name: "C".into(),
            starts: Sign { kind: starts.0, value: Some(starts.1.into()) },
            stops: vec![Sign { kind: stops, value: None }],
            ever,
            beyond: false,
            due,
            alarm,
            waits_on: Side::Partner,
        }
    }

    fn clocks(said: &[Assertion], rule: ClockRule) -> Vec<Clock> {
        running(&fold(said, &FoldRules::default()), &[rule], &calendars(), None)
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

    #[test]
    fn backfilled_facts_start_no_clocks() {
        let state =
            fold(&[says(1, datetime!(2020-01-01 00:00 UTC), FactKind::Exit, "DEPARTED")], &FoldRules::default());
        let rule = rule((FactKind::Exit, "DEPARTED"), FactKind::Entry, Term::Hours(24), None, true);
        let found = |cut_over| running(&state, std::slice::from_ref(&rule), &calendars(), cut_over).len();
        assert_eq!((found(None), found(Some(datetime!(2026-01-01 00:00 UTC)))), (1, 0));
    }
}
