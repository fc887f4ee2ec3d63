//! Subject keys in the vault database.

use crate::support::Databases;
use onechannel::{
    app::system::{SystemClock, SystemRandom},
    store::vault_keys::{self, KeyOwner},
    vault::KeyEncryption,
};
use uuid::Uuid;

#[tokio::test]
async fn one_key_an_owner_and_none_after_one_of_its_subjects_is_erased() {
    let databases = Databases::fresh().await;
    let kek = KeyEncryption::new(1, [1; 32]);
    let (worker, employer) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let owners = [
        KeyOwner::new(vec![worker], "placement"),
        KeyOwner::new(vec![employer], "placement"),
        KeyOwner::new(vec![employer, worker, worker], "placement"),
    ];
    let ensure = || vault_keys::ensure(&databases.vault, &kek, &owners, |_| false, &SystemClock, &SystemRandom);
    let (first, again) = (ensure().await.unwrap(), ensure().await.unwrap());
    let ids: Vec<Uuid> = owners.iter().map(|owner| first[owner].id).collect();
    assert_eq!(ids, owners.iter().map(|owner| again[owner].id).collect::<Vec<_>>());
    assert_eq!(first[&owners[0]].opening(Uuid::nil()), again[&owners[0]].opening(Uuid::nil()));
    let retired = vault_keys::retire(&databases.vault, &[], &[worker]).await.unwrap();
    assert_eq!(retired.values().map(|key| key.class.as_str()).collect::<Vec<_>>(), ["placement", "placement"]);
    let fresh = ensure().await.unwrap();
    assert_eq!(fresh[&owners[1]].id, ids[1]);
    assert!(
        fresh[&owners[0]].id != ids[0] && fresh[&owners[2]].id != ids[2],
        "nothing new is sealed under a retired key"
    );
    assert_eq!(vault_keys::destroy(&databases.vault, &ids[2..], &[worker]).await.unwrap().keys, 4);
    let left = vault_keys::find(&databases.vault, &kek, &ids).await.unwrap();
    assert_eq!(left.into_keys().collect::<Vec<_>>(), [ids[1]]);
}
