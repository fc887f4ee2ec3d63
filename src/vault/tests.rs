use super::*;

struct Counting(std::sync::atomic::AtomicU8);
impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    }
}
fn random() -> Counting {
    Counting(7.into())
}

#[test]
fn a_value_opens_only_at_its_place_under_its_key() {
    let random = random();
    let key = SealingKey::generate(Uuid::from_u128(1), &random);
    let place = Place { column: "messages.sealed", row: Uuid::from_u128(2), key: key.id };
    for plain in [&b""[..], b"x", &b"abc ".repeat(1000)] {
        let sealed = key.seal(place, plain, &random);
        assert_eq!(key.open(place, &sealed).unwrap(), plain);
        assert_eq!(key.open(Place { row: Uuid::from_u128(3), ..place }, &sealed), Err(SealFault::DoesNotOpen));
        assert_eq!(key.open(Place { column: "messages.canonical", ..place }, &sealed), Err(SealFault::DoesNotOpen));
        let other = SealingKey::generate(key.id, &random);
        assert_eq!(other.open(place, &sealed), Err(SealFault::DoesNotOpen));
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(key.open(place, &changed), Err(SealFault::DoesNotOpen));
    }
    assert!(key.seal(place, &b"abc ".repeat(1000), &random).len() < 200);
}

#[test]
fn a_wrapped_key_returns_only_under_its_epoch_and_id() {
    let random = random();
    let epoch = KeyEncryption::new(1, [9; 32]);
    let key = SealingKey::generate(Uuid::from_u128(1), &random);
    let wrapped = epoch.wrap(&key, &random);
    let opens = |by: &KeyEncryption, epoch, id| by.unwrap_key(epoch, id, &wrapped).map(|key| key.opening(Uuid::nil()));
    assert_eq!(opens(&epoch, 1, key.id), Ok(key.opening(Uuid::nil())));
    assert_eq!(opens(&epoch, 1, Uuid::from_u128(5)), Err(SealFault::DoesNotOpen));
    let next = KeyEncryption::new(2, [8; 32]);
    assert_eq!(opens(&next, 1, key.id), Err(SealFault::UnknownEpoch));
    let next = next.knowing(1, [9; 32]);
    assert_eq!(opens(&next, 1, key.id), Ok(key.opening(Uuid::nil())));
    assert_eq!(opens(&next, 2, key.id), Err(SealFault::DoesNotOpen));
}

#[test]
fn lists_of_parts_do_not_collide() {
    let key = TokenKey::new(&[1; 32]);
    assert_ne!(key.token("a", &[b"bc"]), key.token("ab", &[b"c"]));
    assert_ne!(key.token("a", &[b"b", b"c"]), key.token("a", &[b"bc"]));
    assert_eq!(key.term("passport", "X1"), key.term("passport", "X1"));
}

#[test]
fn openings_differ_by_entry_and_commit_to_the_exact_bytes() {
    let key = SealingKey::generate(Uuid::from_u128(1), &random());
    let (a, b) = (key.opening(Uuid::from_u128(1)), key.opening(Uuid::from_u128(2)));
    assert_ne!(a, b);
    assert_ne!(commitment(&a, b"x"), commitment(&b, b"x"));
    assert_ne!(commitment(&a, b"x"), commitment(&a, b"y"));
}
