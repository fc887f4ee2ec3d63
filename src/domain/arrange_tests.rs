use super::*;
use crate::domain::{
    facts::{Link, Stage},
    fold::{FoldRules, fold_among},
};
use proptest::prelude::*;
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
fn the_death_of_the_wrong_twin_is_undone_by_a_withdrawal_and_two_officers() {
    let registered = registers(1, 0, &[reference(1), passport(1)]);
    let death = says(2, 1, FactKind::Death, "DECEASED", &[passport(1)]);
    let undo = about_message(3, 2, Effect::Invalidate { target: [2; 16] });
    let by = |n: u8, officer: u8| about_message(n, 3, Effect::Approve { target: [3; 16], officer: [officer; 16] });
    let mut said = vec![undo, registered, death, by(4, 1), by(5, 1)];
    assert_eq!(stages(&said), [[Stage::Deceased]], "one officer twice is one");
    said.push(by(6, 2));
    assert_eq!(stages(&said), [[Stage::Registered]]);
}

#[test]
fn a_withdrawn_link_moves_a_death_only_with_two_officers() {
    let registered = registers(1, 0, &[reference(1), passport(1), nik(1)]);
    let permit = says(2, 1, FactKind::Permit, "ISSUED", &[passport(1), passport(7)]);
    let death = says(3, 2, FactKind::Death, "DECEASED", &[passport(7)]);
    let undo = about_message(4, 3, Effect::Invalidate { target: [2; 16] });
    let by = |n: u8, officer: u8| about_message(n, 3, Effect::Approve { target: [4; 16], officer: [officer; 16] });
    let mut said = vec![undo, registered, permit, death];
    let not_yet = |said: &[Assertion]| assert_eq!(dead(said)[&[1; 16]], (true, true));
    not_yet(&said);
    said.push(by(5, 1));
    not_yet(&said);
    said.push(by(6, 2));
    assert_eq!(dead(&said)[&[1; 16]], (false, false));
    // The withdrawn permit leads to both by then, and so to neither.
    let mut found = stages(&said);
    found.sort();
    assert_eq!(found, [[Stage::None], [Stage::Registered], [Stage::Deceased]]);
}

#[test]
fn a_withdrawal_that_moves_no_death_takes_effect_at_once() {
    let said = [
        registers(1, 0, &[reference(1), passport(1), nik(1)]),
        says(2, 1, FactKind::Permit, "ISSUED", &[passport(1), passport(7)]),
        says(3, 2, FactKind::Death, "DECEASED", &[passport(1)]),
        about_message(4, 3, Effect::Invalidate { target: [2; 16] }),
    ];
    assert!(!arranged(&said).workers.iter().any(|worker| worker.awaits_second_officer));
    assert_eq!(stages(&said), [[Stage::Deceased]]);
}

/// Of each registration, whether the worker whom it registers reads as dead anywhere, and whether officers are asked.
fn dead(said: &[Assertion]) -> BTreeMap<Token, (bool, bool)> {
    let standing = Standing::of(said);
    let mut found = BTreeMap::new();
    for worker in arrange(said, &standing).workers {
        let state = |one: &Placement| {
            let all = one.members.iter().chain(&one.deaths).map(|n| &said[*n]);
            fold_among(&standing, all, &FoldRules::default()).stage
        };
        let is_dead = worker.placements.iter().any(|one| state(one) == Stage::Deceased);
        for n in worker.placements.iter().flat_map(|one| &one.members) {
            if said[*n].registers && about(&said[*n]).is_none() {
                found.insert(said[*n].tag, (is_dead, worker.awaits_second_officer));
            }
        }
    }
    found
}

#[test]
fn anothers_registration_with_her_passport_takes_no_death_from_her() {
    let first = registers(1, 0, &[reference(1), passport(1), nik(1)]);
    let death = says(3, 9, FactKind::Death, "DECEASED", &[passport(1)]);
    for hour in [-5, 5, 10] {
        let second = registers(2, hour, &[reference(2), passport(1), nik(2)]);
        let found = dead(&[first.clone(), death.clone(), second.clone()]);
        assert_eq!(found[&[1; 16]], (true, true), "registered at {hour}");
        assert_eq!(found[&[2; 16]], (true, true), "nobody knows who of the two died");
        // The home party puts the passport of the second right; two officers stand by that.
        let mut right = registers(4, 12, &[reference(2), passport(2), nik(2)]);
        right.effects.push(Effect::Correct { target: [2; 16] });
        let mut said = vec![first.clone(), death.clone(), second, right];
        assert_eq!(dead(&said)[&[4; 16]], (true, true));
        for officer in 1..3 {
            said.push(about_message(4 + officer, 13, Effect::Approve { target: [4; 16], officer: [officer; 16] }));
        }
        let found = dead(&said);
        assert_eq!((found[&[1; 16]], found[&[4; 16]]), ((true, false), (false, false)));
    }
}

#[test]
fn a_registration_that_comes_between_takes_no_death_from_whom_a_chain_leads_to() {
    let said = [
        registers(1, 0, &[reference(1), passport(1), nik(1)]),
        says(2, 1, FactKind::Permit, "ISSUED", &[passport(1), passport(7)]),
        says(3, 9, FactKind::Death, "DECEASED", &[passport(7)]),
        registers(4, 10, &[reference(2), passport(7), nik(2)]),
        about_message(5, 11, Effect::Invalidate { target: [2; 16] }),
    ];
    assert_eq!(dead(&said[..3])[&[1; 16]], (true, false));
    assert_eq!(dead(&said[..4])[&[1; 16]], (true, true));
    assert_eq!(dead(&said)[&[1; 16]], (true, true), "also not with a withdrawal that nobody stands by");
}

#[test]
fn an_ending_told_later_of_an_earlier_day_takes_no_death_away() {
    let said = [
        registers(1, 0, &[reference(1), passport(1)]),
        registers(2, 100, &[reference(2), passport(1)]),
        says(3, 200, FactKind::Death, "DECEASED", &[passport(1)]),
        says(4, 150, FactKind::FinalExit, "EXITED", &[reference(2)]),
    ];
    assert_eq!(stages(&said[..3]), [[Stage::Deceased, Stage::Deceased]], "neither had ended");
    assert_eq!(stages(&said), [[Stage::Deceased, Stage::Deceased]]);
    assert!(arranged(&said).workers[0].awaits_second_officer);
    // One that had ended before ends as it did.
    let home = says(5, 50, FactKind::Return, "END_OF_CONTRACT", &[reference(1)]);
    let said: Vec<Assertion> = said[..3].iter().cloned().chain([home]).collect();
    assert_eq!(stages(&said), [[Stage::ReturnedHome, Stage::Deceased]]);
    assert!(!arranged(&said).workers[0].awaits_second_officer);
}

#[test]
fn whoever_is_registered_again_after_her_death_is_shown_to_officers() {
    let said = [
        registers(1, 0, &[reference(1), passport(1), nik(1)]),
        says(2, 9, FactKind::Death, "DECEASED", &[reference(1)]),
        registers(3, 10, &[reference(2), passport(2), nik(1)]),
    ];
    assert!(!arranged(&said[..2]).workers[0].awaits_second_officer);
    assert!(arranged(&said).workers[0].awaits_second_officer);
    assert_eq!(stages(&said), [[Stage::Deceased, Stage::Registered]]);
}

#[test]
fn a_death_of_this_very_placement_is_nobody_elses() {
    // A message of the first placement states the second's passport by mistake.
    let said = [
        registers(1, 0, &[reference(1), passport(1), nik(1)]),
        registers(2, 0, &[reference(2), passport(2), nik(2)]),
        says(3, 1, FactKind::Permit, "ISSUED", &[reference(1), passport(2)]),
        says(4, 9, FactKind::Death, "DECEASED", &[reference(1)]),
    ];
    let found = dead(&said);
    assert_eq!((found[&[1; 16]], found[&[2; 16]]), ((true, false), (false, false)));
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

fn message() -> impl Strategy<Value = Assertion> {
    let kinds = [
        (FactKind::Registered, "REGISTERED"),
        (FactKind::Entry, "ARRIVED"),
        (FactKind::Permit, "ISSUED"),
        (FactKind::Return, "END_OF_CONTRACT"),
        (FactKind::Death, "DECEASED"),
    ];
    let links = prop::collection::vec((0..4u8, 1..4u8), 0..3);
    (0..kinds.len(), 0..40i64, links, any::<bool>(), 0..9u8, 1..30u8).prop_map(
        move |(kind, hour, links, held, word, target)| {
            let reach = |(reach, n): (u8, u8)| {
                link([Reach::Placement, Reach::Worker, Reach::Person, Reach::Case][usize::from(reach)], n)
            };
            let links: Vec<Link> = links.into_iter().map(reach).collect();
            let mut one = says(0, hour, kinds[kind].0, kinds[kind].1, &links);
            one.held = held && word < 3;
            match word {
                6 => one.effects = vec![Effect::Invalidate { target: [target; 16] }],
                8 => one.effects.push(Effect::Correct { target: [target; 16] }),
                7 => one.effects = vec![Effect::Approve { target: [target; 16], officer: [target % 3; 16] }],
                _ => {}
            }
            one
        },
    )
}

fn numbered(mut said: Vec<Assertion>) -> Vec<Assertion> {
    for (n, one) in (1u8..).zip(&mut said) {
        (one.tag, one.digest, one.message) = ([n; 16], [n; 32], Uuid::from_u128(n.into()));
    }
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_order_tells_of_the_same_people_and_placements(
        (said, shuffled) in prop::collection::vec(message(), 0..24).prop_map(numbered).prop_flat_map(|said| {
            (Just(said.clone()), Just(said).prop_shuffle())
        })
    ) {
        prop_assert_eq!(told(&said), told(&shuffled));
    }

    #[test]
    fn every_message_stands_in_one_place(said in prop::collection::vec(message(), 0..24).prop_map(numbered)) {
        let arranged = arranged(&said);
        let placed = arranged.workers.iter().flat_map(|worker| &worker.placements).flat_map(|one| &one.members);
        let mut all: Vec<usize> = placed.chain(&arranged.loose).copied().collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..said.len()).collect::<Vec<_>>());
    }

    #[test]
    fn two_lifelong_numbers_are_never_one_person(said in prop::collection::vec(message(), 0..24).prop_map(numbered)) {
        let standing = Standing::of(&said);
        for worker in arrange(&said, &standing).workers {
            let in_force = |placement: &Placement| {
                let speaks = |one: &&Assertion| standing.in_force(one) && about(one).is_none();
                let speaking = placement.members.iter().map(|n| &said[*n]).filter(speaks);
                let own = speaking.flat_map(|one| one.links.iter().map(move |link| (one.rank(), link)));
                own.filter(|(_, link)| link.reach == Reach::Person).max().map(|(_, link)| link.token)
            };
            let people: BTreeSet<_> = worker.placements.iter().filter_map(in_force).collect();
            prop_assert!(people.len() <= 1, "{:?}", people);
        }
    }

    #[test]
    fn no_withdrawal_without_two_officers_brings_anybody_back_to_life(
        said in prop::collection::vec(message(), 0..24).prop_map(numbered)
    ) {
        let withdraws = |one: &Assertion| one.effects.iter().any(|e| matches!(e, Effect::Invalidate { .. } | Effect::Correct { .. }));
        let tags: BTreeSet<Token> = said.iter().filter(|one| withdraws(one)).map(|one| one.tag).collect();
        let confirms =
            |one: &Assertion| one.effects.iter().any(|e| matches!(e, Effect::Approve { target, .. } if tags.contains(target)));
        let with: Vec<Assertion> = said.into_iter().filter(|one| !confirms(one) && one.effects.iter().all(|e| !matches!(e, Effect::Correct { .. }))).collect();
        let without: Vec<Assertion> = with.iter().filter(|one| !withdraws(one)).cloned().collect();
        let standing = Standing::of(&with);
        let counts: BTreeSet<Token> = with.iter().filter(|one| standing.in_force(one)).map(|one| one.tag).collect();
        let after = dead(&with);
        for (registration, (was_dead, _)) in dead(&without).into_iter().filter(|(tag, _)| counts.contains(tag)) {
            prop_assert!(!was_dead || after[&registration].0, "{:?} of {:?}", registration, with);
        }
    }

    #[test]
    fn no_claim_brings_anybody_back_to_life(
        (said, kept) in prop::collection::vec(claim(), 1..16).prop_map(numbered).prop_flat_map(|said| {
            let kept = prop::collection::vec(any::<bool>(), said.len());
            (Just(said), kept)
        })
    ) {
        let some: Vec<Assertion> = said.iter().zip(kept).filter(|(_, kept)| *kept).map(|(one, _)| one.clone()).collect();
        let (before, after) = (dead(&some), dead(&said));
        for (registration, (was_dead, _)) in before {
            prop_assert!(!was_dead || after[&registration].0, "{:?} with {:?} of {:?}", registration, some, said);
        }
    }
}

/// What may be claimed without an officer. Who a placement's person is stays the same, and what names a person's identifiers does
/// not name a placement: whose that is its registration says.
fn claim() -> impl Strategy<Value = Assertion> {
    let passports = || prop::collection::btree_set(1..5u8, 0..3);
    (0..7u8, 0..40i64, 1..5u8, passports()).prop_map(|(what, hour, n, passports)| {
        let worker: Vec<Link> = passports.into_iter().map(passport).collect();
        // Two placements are one person's, one has no lifelong number.
        let person = [None, Some(nik(1)), Some(nik(2)), Some(nik(2))][usize::from(n - 1)];
        let by_placement = hour % 3 == 0;
        let named: Vec<Link> = if by_placement { vec![reference(n)] } else { worker.clone() };
        match what {
            0 | 1 => registers(0, hour, &worker.into_iter().chain([reference(n)]).chain(person).collect::<Vec<_>>()),
            2 => says(0, hour, FactKind::Permit, "ISSUED", &named),
            3 => says(0, hour, FactKind::FinalExit, "EXITED", &named),
            4 => says(0, hour, FactKind::Death, "DECEASED", &person.into_iter().collect::<Vec<_>>()),
            _ => says(0, hour, FactKind::Death, "DECEASED", &named),
        }
    })
}
