use super::*;
use proptest::prelude::*;
use time::{Duration, macros::datetime};

fn says(n: u8, hour: i64, effects: Vec<Effect>) -> Assertion {
    Assertion {
        message: Uuid::from_u128(n.into()),
        tag: [n; 16],
        authority: format!("A{}", n % 3),
        asserted_at: datetime!(2026-11-24 00:00 UTC) + Duration::hours(hour),
        revision: None,
        digest: [n; 32],
        effects,
        links: Vec::new(),
        registers: false,
        held: false,
    }
}

fn state_of(said: &[Assertion]) -> State {
    fold(said, &FoldRules::default())
}

fn status(kind: FactKind, value: &str) -> Effect {
    Effect::Status { kind, value: value.into(), at: None, owner: true, case: None }
}

/// Each step of a placement that goes well, with the stage it leads to.
fn happy() -> Vec<(Effect, Stage)> {
    use FactKind as K;
    [
        (K::Registered, "REGISTERED", Stage::Registered),
        (K::Agreement, "MATCHED", Stage::Matched),
        (K::Submission, "SUBMITTED", Stage::ContractSubmitted),
        (K::Endorsement, "ENDORSED", Stage::Endorsed),
        (K::Visa, "APPROVED", Stage::PartnerApproved),
        (K::Visa, "ISSUED", Stage::VisaIssued),
        (K::Clearance, "CLEARED", Stage::Cleared),
        (K::Exit, "DEPARTED", Stage::Departed),
        (K::Entry, "ARRIVED", Stage::Arrived),
        (K::Permit, "ISSUED", Stage::InService),
        (K::Leave, "ON_LEAVE", Stage::OnLeave),
        (K::Leave, "BACK", Stage::InService),
        (K::End, "ENDED", Stage::Ended),
        (K::ExitAuthorised, "AUTHORISED", Stage::ExitAuthorised),
        (K::FinalExit, "EXITED", Stage::Exited),
        (K::Return, "RETURNED", Stage::ReturnedHome),
        (K::Closed, "CLOSED", Stage::Closed),
    ]
    .into_iter()
    .map(|(kind, value, stage)| (status(kind, value), stage))
    .collect()
}

#[test]
fn each_fact_of_a_placement_that_goes_well_moves_it() {
    let mut history = Vec::new();
    for (n, (effect, stage)) in happy().into_iter().enumerate() {
        history.push(says(n as u8, n as i64, vec![effect]));
        let state = state_of(&history);
        assert_eq!(state.stage, stage);
        assert!(state.exceptions.is_empty());
    }
    assert_eq!(state_of(&history).stay, Stay::Left);
}

#[test]
fn a_contract_returned_and_submitted_again_waits_for_endorsement() {
    let submit = |n, hour| says(n, hour, vec![status(FactKind::Submission, "SUBMITTED")]);
    let decide = |n, hour, value| says(n, hour, vec![status(FactKind::Endorsement, value)]);
    let mut history = vec![submit(1, 1), decide(2, 2, "RETURNED")];
    assert_eq!(state_of(&history).stage, Stage::ContractReturned);
    history.push(submit(3, 3));
    assert_eq!(state_of(&history).stage, Stage::ContractSubmitted);
    history.push(decide(4, 4, "ENDORSED"));
    assert_eq!(state_of(&history).stage, Stage::Endorsed);
}

#[test]
fn a_revoked_visa_takes_back_the_clearance() {
    let history = [
        says(1, 1, vec![status(FactKind::Visa, "ISSUED")]),
        says(2, 2, vec![status(FactKind::Clearance, "CLEARED")]),
        says(3, 3, vec![status(FactKind::Visa, "REVOKED")]),
    ];
    assert_eq!(state_of(&history[..2]).stage, Stage::Cleared);
    assert_eq!(state_of(&history).stage, Stage::PartnerApproved);
}

#[test]
fn a_withdrawn_absence_returns_to_what_was_before() {
    let permit = says(1, 1, vec![status(FactKind::Permit, "ISSUED")]);
    let alleged = says(2, 2, vec![status(FactKind::Absence, "ALLEGED")]);
    let withdrawn = says(3, 3, vec![status(FactKind::Absence, "WITHDRAWN")]);
    assert_eq!(state_of(&[permit.clone(), alleged.clone()]).stay, Stay::AbsenceAlleged);
    assert_eq!(state_of(&[withdrawn, alleged, permit]).stay, Stay::PermitValid);
}

#[test]
fn an_arrival_that_nobody_saw_leave_is_a_ghost_and_a_cancelled_one_keeps_both() {
    let arrived = says(1, 1, vec![status(FactKind::Entry, "ARRIVED")]);
    assert!(state_of(std::slice::from_ref(&arrived)).exceptions.contains(&Exception::GhostArrival));
    let cancelled = says(2, 2, vec![status(FactKind::Cancelled, "CANCELLED")]);
    assert_eq!(state_of(std::slice::from_ref(&cancelled)).stage, Stage::Cancelled);
    let both = state_of(&[arrived, cancelled]);
    assert_eq!(both.stage, Stage::Arrived);
    assert!(both.exceptions.contains(&Exception::CancelledButArrived));
}

#[test]
fn an_echo_is_ignored_and_a_differing_value_is_a_claim() {
    let field = |digest: u8, owner| Effect::Field { path: 7, digest: [digest; 16], owner };
    let claim = says(1, 5, vec![field(2, false)]);
    let alone = state_of(std::slice::from_ref(&claim));
    assert!(alone.exceptions.is_empty(), "nobody contradicts while the owner is silent");
    let owner = says(2, 1, vec![field(1, true)]);
    let echo = says(3, 9, vec![field(1, false)]);
    assert!(state_of(&[owner.clone(), echo.clone()]).fields[&7].claims.is_empty());
    let state = state_of(&[claim, echo, owner]);
    assert!(state.exceptions.contains(&Exception::Disagreement));
    assert_eq!(state.fields[&7].owned.as_ref().unwrap().message, Uuid::from_u128(2));
    assert_eq!(state.fields[&7].claims.len(), 1);
}

#[test]
fn death_shows_on_all_axes_and_is_undone_only_by_a_withdrawal_and_two_officers() {
    let permit = says(1, 1, vec![status(FactKind::Permit, "ISSUED")]);
    let death = says(2, 2, vec![status(FactKind::Death, "DECEASED")]);
    let state = state_of(&[permit.clone(), death.clone()]);
    assert_eq!((state.stage, state.stay, state.welfare), (Stage::Deceased, Stay::Deceased, Welfare::Deceased));
    let undo = says(3, 0, vec![Effect::Invalidate { target: [2; 16] }]);
    let approve = |n, officer| says(n, 4, vec![Effect::Approve { target: [3; 16], officer: [officer; 16] }]);
    let one = state_of(&[undo.clone(), permit.clone(), death.clone(), approve(4, 1)]);
    assert_eq!(one.stage, Stage::Deceased);
    assert!(one.exceptions.contains(&Exception::AwaitsSecondOfficer));
    assert_eq!(state_of(&[undo, permit, death, approve(4, 1), approve(5, 2)]).stage, Stage::InService);
}

#[test]
fn a_greater_revision_wins_over_a_later_statement() {
    let mut first = says(1, 9, vec![status(FactKind::Entry, "ENTRY_REFUSED")]);
    first.revision = Some(1);
    let mut second = says(2, 1, vec![status(FactKind::Entry, "ARRIVED")]);
    second.revision = Some(2);
    second.authority.clone_from(&first.authority);
    assert_eq!(state_of(&[first, second]).facts[&FactKind::Entry].value, "ARRIVED");
}

#[test]
fn a_revision_of_one_author_says_nothing_against_a_later_statement_of_another() {
    let mut proposed = says(1, 1, vec![status(FactKind::Transfer, "PROPOSED")]);
    proposed.revision = Some(1);
    let consented = says(2, 2, vec![status(FactKind::Transfer, "CONSENTED")]);
    assert_eq!(state_of(&[proposed, consented]).facts[&FactKind::Transfer].value, "CONSENTED");
}

fn effect() -> impl Strategy<Value = Effect> {
    prop_oneof![
        4 => (0..FactKind::ALL.len(), 0..3usize, prop::option::of(0..90i64), any::<bool>()).prop_map(|(kind, value, at, owner)| {
            Effect::Status {
                kind: FactKind::ALL[kind],
                value: ["ARRIVED", "ISSUED", "WITHDRAWN"][value].into(),
                at: at.map(|hours| datetime!(2026-11-24 00:00 UTC) + Duration::hours(hours)),
                owner,
                case: None,
            }
        }),
        3 => (0..4u16, 0..3u8, any::<bool>()).prop_map(|(path, digest, owner)| Effect::Field { path, digest: [digest; 16], owner }),
        1 => (0..20u8).prop_map(|target| Effect::Invalidate { target: [target; 16] }),
    ]
}

fn history() -> impl Strategy<Value = Vec<Assertion>> {
    prop::collection::vec((0..5i64, prop::option::of(0..3i64), prop::collection::vec(effect(), 0..4)), 0..20).prop_map(
        |messages| {
            let message = |(n, (hour, revision, effects))| Assertion { revision, ..says(n as u8, hour, effects) };
            messages.into_iter().enumerate().map(message).collect()
        },
    )
}

proptest! {
    #[test]
    fn any_order_with_any_duplicates_ends_in_one_state(
        (history, shuffled) in history().prop_flat_map(|history| {
            let n = history.len();
            let doubled: Vec<_> = history.iter().chain(&history[..n / 2]).cloned().collect();
            (Just(history), Just(doubled).prop_shuffle())
        })
    ) {
        prop_assert_eq!(state_of(&history), state_of(&shuffled));
    }

    #[test]
    fn every_text_form_reads_back(stage in 0..Stage::ALL.len()) {
        prop_assert_eq!(Stage::ALL[stage].as_str().parse(), Ok(Stage::ALL[stage]));
    }
}

#[test]
fn a_death_that_stands_elsewhere_counts_and_is_no_word_of_her() {
    let own = [says(1, 1, vec![status(FactKind::Entry, "ARRIVED")])];
    let death = says(2, 9, vec![status(FactKind::Death, "DECEASED")]);
    let all = [own[0].clone(), death.clone()];
    let standing = Standing::of(&all);
    let rules = FoldRules::default();
    let alone = fold_among(&standing, &own, &rules);
    let with = with_deaths(alone.clone(), &standing, own.iter(), [death].iter(), &rules);
    assert_eq!((with.stage, with.heard_at), (Stage::Deceased, alone.heard_at));
    assert_eq!(with_deaths(alone.clone(), &standing, own.iter(), [].iter(), &rules), alone);
}
