//! Whom a death is told of, and who takes it away.

use super::*;

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

#[test]
fn anothers_registration_with_her_passport_takes_no_death_from_her() {
    let first = registers(1, 0, &[reference(1), passport(1), nik(1)]);
    let death = says(3, 9, FactKind::Death, "DECEASED", &[passport(1)]);
    for hour in [-5, 5, 10] {
        let second = registers(2, hour, &[reference(2), passport(1), nik(2)]);
        let found = dead(&[first.clone(), death.clone(), second.clone()]);
        assert_eq!(found[&[1; 16]], (true, true), "registered at {hour}");
        assert_eq!(found[&[2; 16]], (true, true), "nobody knows who of the two died");
        // The home party withdraws it and registers the second with her own; two officers stand by that.
        let undo = about_message(5, 12, Effect::Invalidate { target: [2; 16] });
        let right = registers(4, 12, &[reference(2), passport(2), nik(2)]);
        let mut said = vec![first.clone(), death.clone(), second, right, undo];
        assert_eq!(dead(&said)[&[4; 16]], (true, true));
        said.extend(two_stand_by(5, 5, 13));
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

/// Whether each of these reads as dead.
fn reads(said: &[Assertion], tags: &[u8]) -> Vec<bool> {
    let found = dead(said);
    tags.iter().map(|tag| found[&[*tag; 16]].0).collect()
}

#[test]
fn a_mistyped_number_tells_nobody_dead_who_is_alive_and_takes_no_death() {
    let known = [
        registers(1, 0, &[reference(1), nik(1)]),
        registers(2, 1, &[reference(2), nik(2)]),
        registers(3, 1, &[reference(3), nik(1)]),
        says(4, 2, FactKind::Permit, "ISSUED", &[reference(2), reference(7)]),
    ];
    let death = |link| says(9, 9, FactKind::Death, "DECEASED", &[link]);
    let exit = says(5, 8, FactKind::ExitAuthorised, "AUTHORISED", &[reference(1), reference(7)]);
    let said = |link| [&known[..], &[death(link)]].concat();
    assert_eq!(reads(&said(reference(1)), &[1, 2, 3]), [true, false, true]);
    let with = [said(reference(1)), vec![exit.clone()]].concat();
    assert_eq!(reads(&with, &[1, 2, 3]), [true, false, true]);
    assert_eq!(dead(&with)[&[1; 16]], (true, false), "whose it is is certain");
    assert_eq!(reads(&said(reference(7)), &[1, 2, 3]), [false, true, false]);
    let with = [said(reference(7)), vec![exit]].concat();
    assert_eq!(reads(&with, &[1, 2, 3]), [true, true, true], "by the number that both have it may be either");
    assert!(dead(&with).values().all(|(_, awaits)| *awaits));
}

#[test]
fn a_case_of_several_spreads_no_death() {
    for numbers in [vec![nik(1), nik(2)], vec![]] {
        let number = |n: usize| numbers.get(n).copied();
        let case = link(Reach::Case, 9);
        let registered = |n: u8| {
            let links = [reference(n), passport(n)].into_iter().chain(number(usize::from(n) - 1));
            registers(n, 0, &links.collect::<Vec<_>>())
        };
        let said = [
            registered(1),
            registered(2),
            says(3, 5, FactKind::ProtectionRequest, "REQUESTED", &[passport(1), case]),
            says(4, 5, FactKind::ProtectionRequest, "REQUESTED", &[passport(2), case]),
            says(5, 9, FactKind::Death, "DECEASED", &[passport(2)]),
            says(6, 6, FactKind::ProtectionAnswer, "ACCEPTED", &[case]),
        ];
        assert_eq!(reads(&said[..5], &[1, 2]), [false, true]);
        assert_eq!(dead(&said)[&[1; 16]], (false, false));
        assert_eq!(dead(&said)[&[2; 16]], (true, false));
        // One that names the case alone may be anybody's in it, whatever joins it later.
        let told = says(7, 9, FactKind::Death, "DECEASED", &[case]);
        let said = [&said[..4], &[told]].concat();
        assert_eq!(reads(&said, &[1, 2]), [true, true]);
        let joins = says(8, 10, FactKind::DeathInstruction, "BURIAL", &[link_to(7), passport(4)]);
        assert_eq!(reads(&[said, vec![joins]].concat(), &[1, 2]), [true, true]);
    }
}

/// What a message names that was given the id of another's row.
fn link_to(n: u8) -> Link {
    Link { token: [n; 16], reach: Reach::Placement }
}

#[test]
fn a_lifelong_number_stated_since_takes_no_death() {
    let said = [
        says(1, 1, FactKind::Permit, "ISSUED", &[reference(7), passport(1)]),
        says(2, 9, FactKind::Death, "DECEASED", &[reference(7)]),
        registers(3, 0, &[reference(1), passport(1), nik(1)]),
        registers(4, 0, &[reference(2), passport(1), nik(2)]),
        says(5, 20, FactKind::Agreement, "AGREED", &[link_to(1), passport(3), nik(3)]),
    ];
    assert_eq!(reads(&said[..4], &[1, 3, 4]), [true, true, true]);
    assert_eq!(reads(&said, &[1, 3, 4]), [true, true, true]);
    assert!(dead(&said).values().all(|(_, awaits)| *awaits));
    // Also where only she who was told dead shared it with one who was nobody yet.
    let said = [
        registers(1, 0, &[reference(1), passport(1), nik(1)]),
        registers(2, 0, &[reference(9), passport(1)]),
        says(3, 9, FactKind::Death, "DECEASED", &[link_to(1)]),
        says(4, 20, FactKind::Clearance, "CLEARED", &[reference(9), nik(9)]),
    ];
    assert_eq!(reads(&said[..3], &[1, 2]), [true, true]);
    assert_eq!(dead(&said)[&[2; 16]], (true, true));
    // The limit: one that was stated before tells whose it is, whenever it comes.
    let mut known = said;
    known[3] = says(4, 5, FactKind::Clearance, "CLEARED", &[reference(9), nik(9)]);
    assert_eq!(reads(&known, &[1, 2]), [true, false]);
}

#[test]
fn a_row_that_nobody_registered_keeps_its_death() {
    let said = [
        says(1, 1, FactKind::Permit, "ISSUED", &[passport(1)]),
        says(2, 9, FactKind::Death, "DECEASED", &[passport(1)]),
        registers(3, 0, &[reference(1), passport(1), nik(1)]),
        registers(4, 0, &[reference(2), passport(1), nik(2)]),
    ];
    for known in 2..5 {
        assert!(reads(&said[..known], &[1])[0], "with {known}");
    }
    assert_eq!(dead(&said)[&[1; 16]], (true, true));
    assert_eq!(reads(&said, &[3, 4]), [true, true]);
}

#[test]
fn an_ending_after_the_death_takes_it_from_no_placement() {
    let said = [
        registers(1, 0, &[reference(1), passport(1)]),
        registers(2, 3, &[reference(2), passport(1)]),
        says(3, 9, FactKind::Death, "DECEASED", &[passport(1)]),
        says(4, 20, FactKind::FinalExit, "EXITED", &[reference(1)]),
        registers(5, 30, &[reference(3), passport(1)]),
        registers(6, 25, &[reference(4), passport(1)]),
    ];
    for known in 3..7 {
        assert_eq!(reads(&said[..known], &[1, 2]), [true, true], "with {known}");
    }
    assert_eq!(reads(&said, &[5, 6]), [false, false], "registered since: officers see to it");
}

#[test]
fn a_placement_that_was_opened_again_is_not_over() {
    let closed = |n, hour, value| says(n, hour, FactKind::Closed, value, &[reference(1)]);
    let said = [
        registers(1, 0, &[reference(1), passport(1)]),
        registers(2, 3, &[reference(2), passport(1)]),
        closed(3, 5, "CLOSED"),
        says(4, 9, FactKind::Death, "DECEASED", &[passport(1)]),
        closed(5, 7, "REOPENED"),
    ];
    assert_eq!(reads(&said[..4], &[1, 2]), [false, true]);
    assert_eq!(reads(&said, &[1, 2]), [true, true]);
    // Whoever does not own it ends nothing.
    let mut claim = closed(3, 5, "CLOSED");
    claim.effects =
        vec![Effect::Status { kind: FactKind::Closed, value: "CLOSED".into(), at: None, owner: false, case: None }];
    let claimed = [said[0].clone(), said[1].clone(), claim, said[3].clone()];
    assert_eq!(reads(&claimed, &[1, 2]), [true, true]);
}

#[test]
fn two_officers_who_stand_by_a_death_settle_where_it_lies() {
    let said = [
        registers(1, 0, &[reference(1), passport(1), nik(1)]),
        says(2, 9, FactKind::Death, "DECEASED", &[reference(1)]),
        registers(3, 10, &[reference(2), passport(2), nik(1)]),
    ];
    assert_eq!(dead(&said)[&[1; 16]], (true, true));
    let settled = [&said[..], &two_stand_by(2, 4, 11)].concat();
    assert_eq!(dead(&settled)[&[1; 16]], (true, false));
    // Not whose it is.
    let other = registers(7, 12, &[reference(3), passport(1), nik(2)]);
    let death = says(2, 9, FactKind::Death, "DECEASED", &[passport(1)]);
    let said = [&[said[0].clone(), death, other][..], &two_stand_by(2, 4, 13)].concat();
    assert_eq!(dead(&said)[&[1; 16]], (true, true));
}

#[test]
fn a_death_that_names_one_and_anothers_passport_may_be_eithers() {
    let said = [
        registers(1, 0, &[reference(1), passport(1), nik(1)]),
        registers(2, 0, &[reference(2), passport(2), nik(2)]),
        says(3, 1, FactKind::Permit, "ISSUED", &[passport(1), passport(3)]),
        registers(4, 0, &[reference(4), passport(3), nik(4)]),
        says(5, 9, FactKind::Death, "DECEASED", &[reference(1), passport(2)]),
    ];
    assert_eq!(reads(&said, &[1, 2, 4]), [true, true, false]);
    let hers = says(5, 9, FactKind::Death, "DECEASED", &[reference(1), passport(1)]);
    let said = [&said[..4], &[hers]].concat();
    assert_eq!(reads(&said, &[1, 2, 4]), [true, false, false], "her own number beside it adds nothing");
}

#[test]
fn a_register_that_names_the_row_of_a_death_takes_it_from_nobody() {
    let said = [
        registers(1, 0, &[passport(1), nik(1)]),
        says(2, 1, FactKind::Permit, "ISSUED", &[reference(7), passport(1)]),
        says(3, 9, FactKind::Death, "DECEASED", &[reference(7), reference(8)]),
        registers(4, 20, &[passport(2), nik(2), link_to(3)]),
        registers(5, 20, &[passport(3), nik(3), reference(8)]),
        registers(6, 21, &[passport(1), nik(4)]),
    ];
    for known in 3..7 {
        assert!(reads(&said[..known], &[1])[0], "with {known}");
    }
    assert_eq!(reads(&said, &[4, 5, 6]), [true, true, true], "a register says that it may be either");
}
