mod deaths;
mod properties;
mod steps;

use super::*;
use crate::domain::{
    facts::{Effect, FactKind, Link, Reach, Stage},
    fold::{FoldRules, fold_among},
};
use std::collections::{BTreeMap, BTreeSet};
use time::{Duration, macros::datetime};
use uuid::Uuid;

fn link(reach: Reach, n: u8) -> Link {
    let kind = match reach {
        Reach::Placement => 1,
        Reach::Worker => 2,
        Reach::Person => 3,
        Reach::Case => 4,
    };
    Link { token: [kind, n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], reach }
}

fn reference(n: u8) -> Link {
    link(Reach::Placement, n)
}

fn passport(n: u8) -> Link {
    link(Reach::Worker, n)
}

fn nik(n: u8) -> Link {
    link(Reach::Person, n)
}

fn says(n: u8, hour: i64, kind: FactKind, value: &str, links: &[Link]) -> Assertion {
    Assertion {
        message: Uuid::from_u128(n.into()),
        tag: [n; 16],
        authority: "A".into(),
        asserted_at: datetime!(2026-11-24 00:00 UTC) + Duration::hours(hour),
        revision: None,
        digest: [n; 32],
        effects: vec![Effect::Status { kind, value: value.into(), at: None, owner: true, case: None }],
        links: links.to_vec(),
        registers: kind == FactKind::Registered,
        held: false,
    }
}

fn registers(n: u8, hour: i64, links: &[Link]) -> Assertion {
    says(n, hour, FactKind::Registered, "REGISTERED", links)
}

fn about_message(n: u8, hour: i64, effect: Effect) -> Assertion {
    Assertion { effects: vec![effect], links: vec![], ..says(n, hour, FactKind::Reminder, "", &[]) }
}

/// A placement's stage, whether it is registered, and the tags of its messages.
type Told = (Stage, bool, BTreeSet<[u8; 16]>);

fn arranged(said: &[Assertion]) -> Arranged {
    arrange(said, &Standing::of(said))
}

/// What is told of people and placements, without positions: for each worker, of each placement its stage and messages.
fn told(said: &[Assertion]) -> BTreeSet<(bool, Vec<Told>)> {
    let standing = Standing::of(said);
    let arranged = arrange(said, &standing);
    let place = |one: &Placement| {
        let all = one.members.iter().chain(&one.deaths).map(|n| &said[*n]);
        let state = fold_among(&standing, all, &FoldRules::default());
        (state.stage, one.registration.is_some(), one.members.iter().map(|n| said[*n].tag).collect())
    };
    arranged.workers.iter().map(|worker| (worker.contested, worker.placements.iter().map(place).collect())).collect()
}

fn stages(said: &[Assertion]) -> Vec<Vec<Stage>> {
    told(said).into_iter().map(|(_, placements)| placements.into_iter().map(|one| one.0).collect()).collect()
}

/// Of each message that stands with a placement, whether that reads as dead, and whether officers are asked.
fn dead(said: &[Assertion]) -> BTreeMap<Token, (bool, bool)> {
    let standing = Standing::of(said);
    let mut found = BTreeMap::new();
    for worker in arrange(said, &standing).workers {
        for one in &worker.placements {
            let all = one.members.iter().chain(&one.deaths).map(|n| &said[*n]);
            let is_dead = fold_among(&standing, all, &FoldRules::default()).stage == Stage::Deceased;
            let tags = one.members.iter().map(|n| said[*n].tag);
            found.extend(tags.map(|tag| (tag, (is_dead, worker.awaits_second_officer))));
        }
    }
    found
}

/// Two officers stand by a message.
fn two_stand_by(target: u8, n: u8, hour: i64) -> [Assertion; 2] {
    [1, 2].map(|officer| {
        about_message(n + officer, hour, Effect::Approve { target: [target; 16], officer: [officer; 16] })
    })
}

#[test]
fn a_worker_who_goes_again_has_two_placements_and_what_names_only_her_goes_to_the_one_that_ran() {
    let said = [
        registers(1, 0, &[reference(1), passport(1), nik(1)]),
        says(2, 10, FactKind::Entry, "ARRIVED", &[passport(1)]),
        says(3, 20, FactKind::Return, "END_OF_CONTRACT", &[passport(1)]),
        registers(4, 30, &[reference(2), passport(2), passport(1), nik(1)]),
        says(5, 40, FactKind::Exit, "DEPARTED", &[passport(2)]),
    ];
    assert_eq!(stages(&said), [[Stage::ReturnedHome, Stage::Departed]]);
}

#[test]
fn a_late_registration_takes_over_what_is_its_own() {
    let first = registers(1, 0, &[reference(1), passport(1)]);
    let back = says(2, 20, FactKind::Return, "END_OF_CONTRACT", &[passport(1)]);
    let arrived = says(3, 40, FactKind::Entry, "ARRIVED", &[passport(1)]);
    let second = registers(4, 30, &[reference(2), passport(1)]);
    assert_eq!(stages(&[first.clone(), back.clone(), arrived.clone()]), [[Stage::ReturnedHome]]);
    assert_eq!(stages(&[first, back, arrived, second]), [[Stage::ReturnedHome, Stage::Arrived]]);
}

#[test]
fn two_people_who_claim_one_passport_stay_two_and_what_names_only_it_belongs_to_neither() {
    let said = [
        says(1, 5, FactKind::Entry, "ARRIVED", &[passport(1)]),
        registers(2, 0, &[reference(1), passport(1), nik(1)]),
        registers(3, 1, &[reference(2), passport(1), nik(2)]),
        says(4, 6, FactKind::Permit, "ISSUED", &[reference(2), passport(9)]),
    ];
    let found = told(&said);
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|(contested, _)| *contested), "each is shown to an officer: {found:?}");
    assert!(found.iter().any(|(_, placements)| placements[0].0 == Stage::Arrived && !placements[0].1));
    assert!(found.iter().any(|(_, placements)| placements[0].0 == Stage::InService && placements[0].1));
    // The lifelong number of the second was wrong; its registrar corrects it, and there is one person with two placements.
    let mut corrected = registers(5, 2, &[reference(2), passport(1), nik(1)]);
    corrected.revision = Some(2);
    let mended: Vec<Assertion> = said.into_iter().chain([corrected]).collect();
    let found = told(&mended);
    assert_eq!(found.len(), 1);
    assert!(found.iter().all(|(contested, placements)| !contested && placements.len() == 2));
}

#[test]
fn twins_with_consecutive_passports_stay_two() {
    let said = [
        registers(1, 0, &[reference(1), passport(1), nik(1)]),
        registers(2, 0, &[reference(2), passport(2), nik(2)]),
        says(3, 9, FactKind::Death, "DECEASED", &[passport(2)]),
    ];
    assert_eq!(stages(&said), [[Stage::Registered], [Stage::Deceased]]);
}

#[test]
fn a_renewed_passport_links_and_chains_reach_through() {
    let said = [
        registers(1, 0, &[reference(1), passport(1), nik(1)]),
        says(2, 1, FactKind::Clearance, "CLEARED", &[passport(2), passport(1)]),
        says(3, 2, FactKind::Permit, "ISSUED", &[passport(2), passport(7)]),
        says(4, 3, FactKind::Absence, "ALLEGED", &[passport(7)]),
    ];
    let found = told(&said);
    assert_eq!(found.len(), 1);
    assert_eq!(found.first().map(|(contested, all)| (*contested, all[0].2.len())), Some((false, 4)));
}

#[test]
fn a_case_without_a_person_is_linked_later() {
    let case_number = link(Reach::Case, 9);
    let case = says(1, 0, FactKind::ProtectionRequest, "REQUESTED", &[case_number]);
    assert_eq!(told(std::slice::from_ref(&case)).len(), 1);
    let said = [
        case,
        registers(2, -5, &[reference(1), passport(1)]),
        says(3, 4, FactKind::ProtectionAnswer, "ACCEPTED", &[case_number, passport(1)]),
    ];
    assert_eq!(told(&said).len(), 1);
}

#[test]
fn a_case_about_several_makes_them_no_one_and_what_names_it_alone_belongs_to_neither() {
    let case = link(Reach::Case, 9);
    let said = [
        registers(1, 0, &[reference(1), passport(1), nik(1)]),
        registers(2, 0, &[reference(2), passport(2), nik(2)]),
        says(3, 5, FactKind::Detention, "DETAINED", &[reference(1), case]),
        says(4, 6, FactKind::Death, "DECEASED", &[reference(2), case]),
        says(5, 7, FactKind::ProtectionAnswer, "ANSWERED", &[case]),
    ];
    let mut found = stages(&said);
    found.sort();
    assert_eq!(found, [vec![Stage::None], vec![Stage::Registered], vec![Stage::Deceased]]);
}

#[test]
fn a_held_message_counts_once_an_officer_stands_by_it() {
    let mut held = says(1, 5, FactKind::Entry, "ARRIVED", &[passport(1)]);
    held.held = true;
    let registered = registers(2, 0, &[reference(1), passport(1)]);
    assert_eq!(arranged(std::slice::from_ref(&held)).loose, [0], "nobody knows whom it is about");
    assert_eq!(stages(&[held.clone(), registered.clone()]), [[Stage::Registered]]);
    let approve = about_message(3, 6, Effect::Approve { target: [1; 16], officer: [7; 16] });
    assert_eq!(stages(&[approve, held, registered]), [[Stage::Arrived]]);
}

#[test]
fn a_correction_of_the_passport_takes_the_first_version_from_the_wrong_person() {
    let first = says(3, 2, FactKind::Entry, "ARRIVED", &[passport(1)]);
    let mut second = says(4, 3, FactKind::Entry, "ARRIVED", &[passport(2)]);
    second.effects.push(Effect::Correct { target: [3; 16] });
    let said = [
        registers(1, 0, &[reference(1), passport(1), nik(1)]),
        registers(2, 0, &[reference(2), passport(2), nik(2)]),
        first,
        second,
    ];
    assert_eq!(stages(&said), [[Stage::Registered], [Stage::Arrived]]);
}

#[test]
fn a_mistyped_number_makes_no_one_of_two_who_are_registered() {
    let registered =
        [registers(1, 0, &[reference(1), passport(1), nik(1)]), registers(2, 1, &[reference(2), passport(2), nik(2)])];
    let permit = says(3, 2, FactKind::Permit, "ISSUED", &[reference(2), reference(7)]);
    let exit = says(4, 3, FactKind::ExitAuthorised, "AUTHORISED", &[reference(1), reference(7)]);
    let said = [&registered[..], &[permit, exit]].concat();
    let found = told(&said);
    assert_eq!(stages(&said), [[Stage::InService], [Stage::ExitAuthorised]], "each number of hers is nearer");
    assert!(found.iter().all(|(contested, _)| *contested), "an officer is shown both");
    // What names both, or only the number that both have, is nobody's.
    for links in [[reference(1), reference(2)], [reference(7), reference(7)]] {
        let entry = says(5, 4, FactKind::Entry, "ARRIVED", &links);
        let mut found = stages(&[&said[..], &[entry]].concat());
        found.sort();
        assert_eq!(found, [[Stage::Arrived], [Stage::InService], [Stage::ExitAuthorised]]);
    }
    // Two placements of one person may be joined by what names both.
    let again = registers(2, 1, &[reference(2), passport(1), nik(1)]);
    let both = says(5, 4, FactKind::Entry, "ARRIVED", &[reference(1), reference(2)]);
    let said = [registered[0].clone(), again, both];
    assert_eq!(stages(&said), [[Stage::Arrived]]);
}
