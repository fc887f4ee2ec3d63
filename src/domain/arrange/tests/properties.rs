//! What holds of any set of messages.

use super::*;
use proptest::prelude::*;
use time::OffsetDateTime;

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

fn numbered(mut said: Vec<Assertion>) -> Set {
    for (n, one) in (1u8..).zip(&mut said) {
        (one.tag, one.digest, one.message) = ([n; 16], [n; 32], Uuid::from_u128(n.into()));
    }
    Set(said)
}

/// A set of messages, shown briefly where a test fails.
#[derive(Clone)]
struct Set(Vec<Assertion>);

impl std::ops::Deref for Set {
    type Target = [Assertion];
    fn deref(&self) -> &[Assertion] {
        &self.0
    }
}

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for one in &self.0 {
            let hour = (one.asserted_at - says(0, 0, FactKind::Entry, "", &[]).asserted_at).whole_hours();
            let links: Vec<String> =
                one.links.iter().map(|link| format!("{:?} {}.{}", link.reach, link.token[0], link.token[1])).collect();
            write!(f, "\n{} at {hour}{}: ", one.tag[0], if one.held { ", held" } else { "" })?;
            for effect in &one.effects {
                match effect {
                    Effect::Status { kind, .. } => write!(f, "{kind} ")?,
                    Effect::Invalidate { target } => write!(f, "withdraws {} ", target[0])?,
                    Effect::Correct { target } => write!(f, "corrects {} ", target[0])?,
                    Effect::Approve { target, officer } => write!(f, "officer {} for {} ", officer[0], target[0])?,
                    Effect::Field { .. } => {}
                }
            }
            write!(f, "{}", links.join(", "))?;
        }
        Ok(())
    }
}

/// What may come without an officer, as (what, hour, placement's references, passports, lifelong number, case). Only who registers
/// states a lifelong number.
type Draw = (u8, i64, BTreeSet<u8>, BTreeSet<u8>, u8, u8);

fn draw() -> impl Strategy<Value = Draw> {
    let some = || prop::collection::btree_set(1..6u8, 0..3);
    (0..10u8, 0..40i64, some(), some(), 0..6u8, 0..8u8)
}

fn claim((what, hour, references, passports, number, case): Draw) -> Assertion {
    let mut links: Vec<Link> = references.into_iter().map(reference).collect();
    links.extend(passports.into_iter().map(passport));
    links.extend(Some(link(Reach::Case, case)).filter(|_| case < 3));
    let number = Some(nik(number)).filter(|_| number < 3);
    match what {
        0 | 1 => registers(0, hour, &links.into_iter().chain(number).collect::<Vec<_>>()),
        2 => says(0, hour, FactKind::Clearance, "CLEARED", &links.into_iter().chain(number).collect::<Vec<_>>()),
        3..6 => says(0, hour, FactKind::Permit, "ISSUED", &links),
        6 => says(0, hour, FactKind::FinalExit, "EXITED", &links),
        7 if hour % 4 == 0 => says(0, hour / 2, FactKind::Death, "DECEASED", &number.into_iter().collect::<Vec<_>>()),
        _ => says(0, hour / 2, FactKind::Death, "DECEASED", &links),
    }
}

/// Messages, some of which name what the first of them is known by.
fn claims() -> impl Strategy<Value = Set> {
    let one = (draw(), 0..30u8).prop_map(|(draw, of)| (claim(draw), of));
    prop::collection::vec(one, 1..16).prop_map(|all| {
        let of = all.iter().map(|(_, of)| *of).collect::<Vec<_>>();
        let mut said = numbered(all.into_iter().map(|(one, _)| one).collect());
        let count = said.len() as u8;
        for (one, of) in said.0.iter_mut().zip(of).filter(|(_, of)| (1..=count).contains(of)) {
            one.links.push(Link { token: [of; 16], reach: Reach::Placement });
        }
        said
    })
}

fn states_a_number(one: &Assertion) -> bool {
    one.links.iter().any(|link| link.reach == Reach::Person)
}

/// A case, or nothing at all.
fn names_nobody(one: &Assertion) -> bool {
    one.links.iter().all(|link| link.reach == Reach::Case)
}

fn is_death(one: &Assertion) -> bool {
    one.asserts(FactKind::Death) && about(one).is_none()
}

fn last_death(said: &[Assertion]) -> Option<OffsetDateTime> {
    said.iter().filter(|one| is_death(one)).map(|one| one.asserted_at).max()
}

/// What a message reads of whom it is about.
#[derive(Debug)]
struct Fate {
    /// Whether its placement reads as dead.
    here: bool,
    /// Whether any of the worker's does.
    anywhere: bool,
    /// Whether it registers a placement that was running when each death was told.
    ran: bool,
    /// Whether it names nobody, or registers nobody and is known to be somebody's: it may turn out to be another's.
    is_loose: bool,
    /// Whether registers state several lifelong numbers of its placement.
    is_mixed: bool,
}

fn fates(said: &[Assertion]) -> BTreeMap<Token, Fate> {
    let all = dead(said);
    let of = |n: &usize| all[&said[*n].tag].0;
    let deaths = || said.iter().filter(|one| is_death(one)).map(|one| one.asserted_at);
    let mut found = BTreeMap::new();
    for worker in arranged(said).workers {
        let anywhere = worker.placements.iter().flat_map(|one| &one.members).any(of);
        for one in &worker.placements {
            let over = one.endings.over();
            let numbers = one.members.iter().flat_map(|n| &said[*n].links).filter(|link| link.reach == Reach::Person);
            let is_mixed = numbers.collect::<BTreeSet<_>>().len() > 1;
            for n in &one.members {
                let registers = said[*n].registers && about(&said[*n]).is_none();
                let from = said[*n].asserted_at;
                let ran = |told| from <= told && over.is_none_or(|over| over >= told);
                let fate = Fate {
                    here: of(n),
                    anywhere,
                    ran: registers && deaths().all(ran),
                    is_loose: names_nobody(&said[*n]) || (!registers && worker.person.is_some()),
                    is_mixed,
                };
                found.insert(said[*n].tag, fate);
            }
        }
    }
    found
}

/// Whether whoever was told dead before is so after: also in each placement that ran, where what came since is of later.
fn stays_dead(before: &BTreeMap<Token, Fate>, after: &BTreeMap<Token, Fate>, each: bool) -> Result<(), Token> {
    for (tag, was) in before.iter().filter(|(_, was)| was.here && !was.is_mixed) {
        let Some(is) = after.get(tag) else { continue };
        let stays = is.is_loose || if each && was.ran { is.here } else { is.anywhere };
        if !stays {
            return Err(*tag);
        }
    }
    Ok(())
}

/// Numbers that are one person's or are told of one placement, seen from what names this.
fn fellows(said: &[Assertion], named: &[Link]) -> BTreeSet<Token> {
    let mut tokens: BTreeSet<Token> = named.iter().map(|link| link.token).collect();
    let mut numbers = BTreeSet::new();
    for _ in said {
        for one in said.iter().filter(|one| states_a_number(one)) {
            let own = one.links.iter().filter(|link| link.reach == Reach::Placement).map(|link| link.token);
            let own: Vec<Token> = own.chain([one.tag]).collect();
            if own.iter().any(|token| tokens.contains(token)) {
                tokens.extend(own);
                numbers.extend(one.links.iter().filter(|link| link.reach == Reach::Person).map(|link| link.token));
            }
        }
    }
    numbers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(512)))]

    #[test]
    fn any_order_tells_of_the_same_people_and_placements(
        (said, shuffled) in prop::collection::vec(message(), 0..24).prop_map(numbered).prop_flat_map(|said| {
            (Just(said.clone()), Just(said.0).prop_shuffle())
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
    fn two_who_are_registered_are_one_placement_only_by_their_own_references(said in claims()) {
        for placement in arranged(&said).workers.iter().flat_map(|worker| &worker.placements) {
            let registered = placement.members.iter().map(|n| &said[*n]).filter(|one| one.registers && states_a_number(one));
            let own = |one: &Assertion| fellows(&said, &[Link { token: one.tag, reach: Reach::Placement }]);
            let numbers: Vec<BTreeSet<Token>> = registered.map(own).collect();
            for (a, b) in numbers.iter().zip(numbers.iter().skip(1)) {
                prop_assert!(!a.is_disjoint(b), "{:?}", said);
            }
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
        let is_new_number = |one: &Assertion| one.corrects().is_some() && states_a_number(one);
        let with: Vec<Assertion> = said.0.into_iter().filter(|one| !confirms(one) && !is_new_number(one)).collect();
        let without: Vec<Assertion> = with.iter().filter(|one| !withdraws(one)).cloned().collect();
        let standing = Standing::of(&with);
        let counts: BTreeSet<Token> =
            with.iter().filter(|one| standing.in_force(one) && one.registers && about(one).is_none()).map(|one| one.tag).collect();
        let mut before = fates(&without);
        before.retain(|tag, _| counts.contains(tag));
        prop_assert_eq!(stays_dead(&before, &fates(&with), false), Ok(()), "{:?}", Set(with.clone()));
    }

    #[test]
    fn no_claim_brings_anybody_back_to_life(
        (said, kept) in claims().prop_flat_map(|said| {
            let kept = prop::collection::vec(any::<bool>(), said.len());
            (Just(said), kept)
        })
    ) {
        // The limit of the rule: whose number a registrar stated before the death tells whose it is, whenever it comes.
        let last = last_death(&said);
        let known = |one: &Assertion| states_a_number(one) && last.is_some_and(|last| one.asserted_at <= last);
        let both = said.iter().zip(&kept);
        let some: Vec<Assertion> = both.filter(|(one, kept)| **kept || known(one)).map(|(one, _)| one.clone()).collect();
        let (before, after) = (fates(&some), fates(&said));
        prop_assert_eq!(stays_dead(&before, &after, false), Ok(()), "with {:?}\nof {:?}", Set(some.clone()), said);
    }

    #[test]
    fn nothing_of_a_later_day_takes_a_death_from_a_placement_that_ran(
        (said, kept) in claims().prop_flat_map(|said| {
            let kept = prop::collection::vec(any::<bool>(), said.len());
            (Just(said), kept)
        })
    ) {
        let last = last_death(&said);
        let known = |one: &Assertion| last.is_some_and(|last| one.asserted_at <= last);
        let both = said.iter().zip(&kept);
        let some: Vec<Assertion> = both.filter(|(one, kept)| **kept || known(one)).map(|(one, _)| one.clone()).collect();
        let (before, after) = (fates(&some), fates(&said));
        prop_assert_eq!(stays_dead(&before, &after, true), Ok(()), "with {:?}\nof {:?}", Set(some.clone()), said);
    }

    #[test]
    fn nobody_reads_dead_who_cannot_be_the_one(said in claims(), target in 0..16usize) {
        // Of these deaths each names the reference of somebody whose lifelong number was known.
        let known = |one: &Assertion| one.registers && states_a_number(one) && !is_death(one);
        let registered: Vec<Assertion> = said.iter().filter(|one| known(one)).cloned().collect();
        if registered.is_empty() {
            return Ok(());
        }
        let mut said: Vec<Assertion> = said.0.into_iter().filter(|one| !is_death(one)).collect();
        let of = &registered[target % registered.len()];
        let mut death = says(99, 50, FactKind::Death, "DECEASED", &[Link { token: of.tag, reach: Reach::Placement }]);
        death.digest = [99; 32];
        said.push(death);
        let may_be = fellows(&said, &[Link { token: of.tag, reach: Reach::Placement }]);
        let found = dead(&said);
        prop_assert!(found[&of.tag].0);
        for placement in arranged(&said).workers.iter().flat_map(|worker| &worker.placements) {
            let stating = || placement.members.iter().map(|n| &said[*n]).filter(|one| states_a_number(one));
            let own = |one: &Assertion| fellows(&said, &[Link { token: one.tag, reach: Reach::Placement }]);
            // A placement that was registered without a lifelong number may have been hers.
            let registers = |n: &usize| said[*n].registers && !states_a_number(&said[*n]);
            let is_anothers = !placement.members.iter().any(registers) && stating().next().is_some() && stating().all(|one| own(one).is_disjoint(&may_be));
            let is_dead = placement.members.iter().any(|n| found[&said[*n].tag].0);
            let members: Vec<u8> = placement.members.iter().map(|n| said[*n].tag[0]).collect();
            prop_assert!(!(is_anothers && is_dead), "{members:?} with {} of {:?}", of.tag[0], Set(said.clone()));
        }
    }
}
