//! What must not bring an erased person back: a backup, a crash in the middle, a list that lacks her, a key of an earlier epoch.

use super::*;

/// The name of the database at the end of an address.
fn database(url: &str) -> &str {
    url.split('?').next().unwrap().rsplit('/').next().unwrap()
}

/// A copy of a database as it is now, as a backup would have it; gives its address.
async fn backup(url: &str, to: &str) -> String {
    let name = database(url);
    let mut admin = PgConnection::connect(&url.replace(name, "postgres")).await.unwrap();
    sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
        .bind(name)
        .execute(&mut admin)
        .await
        .unwrap();
    let copy = format!("create database {to} template {name}");
    sqlx::query(sqlx::AssertSqlSafe(copy)).execute(&mut admin).await.unwrap();
    url.replace(name, to)
}

#[tokio::test]
async fn a_restored_backup_does_not_bring_an_erased_person_back() {
    let mut gateway = TestGateway::start().await;
    let hers = sent(&gateway.system("kp2mi-system"), &nominated()).await;
    sent(&gateway.system("my-gateway"), &event("movement.arrived.v1", "P-IMM", |_| ())).await;
    let his = sent(&gateway.system("kp2mi-system"), &of_another("E7654322")).await;
    let id = hers["placement"]["id"].as_str().unwrap().to_owned();
    gateway.stop_and_verify().await;
    let (channel, vault) = (gateway.databases.url.clone(), gateway.databases.vault_url.clone());
    let names = [database(&channel), database(&vault)].map(|name| format!("{name}_kept"));
    let kept = [backup(&channel, &names[0]).await, backup(&vault, &names[1]).await];
    gateway.serve().await;
    erase::erase(&use_cases(&gateway), &id, officers(), "request 17").await.unwrap();
    gateway.running.take().unwrap().stop().await;

    // Each database alone from the backup, then both; in the last case the vault's own list is gone with it.
    for (n, (of_channel, of_vault)) in [(true, false), (false, true), (true, true)].into_iter().enumerate() {
        let copy = async |restored: bool, kept: &str, now: &str, name: String| {
            backup(if restored { kept } else { now }, &name).await
        };
        let channel = copy(of_channel, &kept[0], &channel, format!("{}_{n}", names[0])).await;
        let vault = copy(of_vault, &kept[1], &vault, format!("{}_{n}", names[1])).await;
        let as_app = |url: &str| format!("{url}?options[role]=onechannel_app");
        (gateway.config.database.channel, gateway.config.database.vault) = (as_app(&channel), as_app(&vault));
        let owner = onechannel::store::pool(&channel, 1).unwrap();
        gateway.databases.owner = owner.clone();
        let assembled = gateway::assemble(&gateway.config).await.unwrap();
        assert_eq!(!still_read(&assembled).await.is_empty(), of_channel && of_vault, "the backup brings her back");
        let named = !erase::faults_of_list(&assembled).await.unwrap().is_empty();
        assert_eq!(named, of_channel, "check says so");
        drop(assembled);
        gateway.serve().await;
        let use_cases = use_cases(&gateway);
        assert_eq!(still_read(&use_cases).await, Vec::<String>::new());
        let desk = Desk::of(&gateway, &["MISSION"]);
        assert_eq!(desk.get(&format!("/api/v1/placements/{id}"), "PROTECTION_CASE").await.0, StatusCode::GONE);
        let path = format!("/api/v1/placements/{}", his["placement"]["id"].as_str().unwrap());
        let (_, whole) = desk.get(&path, "PROTECTION_CASE").await;
        assert_eq!(whole["fields"]["/worker/name/full"]["value"], HIS, "nothing of others is lost: {whole}");
        assert_eq!(count(&owner, "select count(*) from erasure_replays").await, 1);
        let replays = "select count(*) from acts where outcome = 'erasure-replayed' and leaf is not null";
        assert_eq!(count(&owner, replays).await, 1, "and is on record");
        assert_eq!(erasures::listed(&use_cases.journal.vault).await.unwrap().len(), 1, "the vault knows it again");
        assert_eq!(erase::replay(&use_cases).await.unwrap(), 0, "once");
        assert_eq!(erase::faults_of_list(&use_cases).await.unwrap(), Vec::<String>::new());
        drop(use_cases);
        gateway.stop_and_verify().await;
    }
}

#[tokio::test]
async fn a_backup_from_before_people_were_told_apart_loses_nothing_that_is_not_hers() {
    let mut gateway = TestGateway::start().await;
    sent(&gateway.system("my-gateway"), &arrived("a-1", "E7654321")).await;
    let hers = sent(&gateway.system("kp2mi-system"), &nominated()).await;
    gateway.stop_and_verify().await;
    let (channel, vault) = (gateway.databases.url.clone(), gateway.databases.vault_url.clone());
    let names = [database(&channel), database(&vault)].map(|name| format!("{name}_kept"));
    let kept = [backup(&channel, &names[0]).await, backup(&vault, &names[1]).await];
    gateway.serve().await;
    sent(&gateway.system("kp2mi-system"), &of_another("E7654321")).await;
    let id = hers["placement"]["id"].as_str().unwrap();
    erase::erase(&use_cases(&gateway), id, officers(), "request 17").await.unwrap();
    gateway.running.take().unwrap().stop().await;
    let as_app = |url: &str| format!("{url}?options[role]=onechannel_app");
    (gateway.config.database.channel, gateway.config.database.vault) = (as_app(&kept[0]), as_app(&kept[1]));
    gateway.databases.owner = onechannel::store::pool(&kept[0], 1).unwrap();
    gateway.serve().await;
    let left = still_read(&use_cases(&gateway)).await;
    assert!(
        left.len() == 1 && left[0].contains("\"a-1\""),
        "what may be another's stays, what is hers goes: {left:#?}"
    );
    gateway.stop_and_verify().await;
}

#[tokio::test]
async fn an_erasure_that_was_cut_off_is_finished_by_the_next_start_and_a_list_that_lacks_one_is_named() {
    let mut gateway = TestGateway::start().await;
    let hers = sent(&gateway.system("kp2mi-system"), &nominated()).await;
    let id = hers["placement"]["id"].as_str().unwrap().to_owned();
    // The disk of the list is full: nothing is destroyed without it.
    let list = gateway.config.erasure.list.clone();
    std::fs::create_dir(&list).unwrap();
    let cut = erase::erase(&use_cases(&gateway), &id, officers(), "request 17").await;
    assert!(matches!(cut, Err(EraseFault::Store(onechannel::store::StoreFault::List(_)))), "{cut:?}");
    assert!(!still_read(&use_cases(&gateway)).await.is_empty());
    assert!(gateway::ready(&gateway.config).await.is_err(), "nothing is served without the list");
    std::fs::remove_dir(&list).unwrap();
    // But it stood in the vault's list by then: the next start goes through with it, and the list outside has it too.
    gateway.running.take().unwrap().stop().await;
    gateway.serve().await;
    assert_eq!(still_read(&use_cases(&gateway)).await, Vec::<String>::new());
    assert_eq!(List::new(&list).read().unwrap().len(), 1);
    let config = gateway.stand.config.to_str().unwrap().to_owned();
    assert_eq!(run(&["check", "--config", &config]).0, Some(0));
    std::fs::remove_file(&list).unwrap();
    let (code, said) = run(&["check", "--config", &config]);
    assert!(code == Some(1) && said.contains("erasures.list lacks 1 of 1"), "{said}");
    gateway.stop_and_verify().await;
}

#[test]
fn a_line_of_the_list_that_a_crash_cut_off_counts_for_nothing_and_nonsense_is_named() {
    let folder = std::env::temp_dir().join(format!("onechannel-list-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("erasures.list");
    let list = List::new(&file);
    assert_eq!(list.read().unwrap(), []);
    let one = erasures::Listed {
        erasure: Uuid::from_u128(1),
        at: 1_795_500_000,
        subject: Uuid::from_u128(2),
        basis: "request 17".into(),
        officers: officers(),
        subjects: vec![Uuid::from_u128(2)],
        messages: vec![],
        keys: vec![Uuid::from_u128(3)],
    };
    list.append(&one.line()).unwrap();
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{whole}{}", &whole[..20])).unwrap();
    assert_eq!(list.read().unwrap(), std::slice::from_ref(&one));
    list.append(&one.line()).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{whole}{whole}"));
    std::fs::write(&file, format!("{whole}nonsense\n")).unwrap();
    assert!(list.read().unwrap_err().to_string().contains("line 2"));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn rotating_the_key_encryption_key_goes_on_after_a_kill_and_completes_erasures() {
    let mut gateway = TestGateway::start().await;
    let hers = sent(&gateway.system("kp2mi-system"), &nominated()).await;
    sent(&gateway.system("kp2mi-system"), &of_another("E7654322")).await;
    erase::erase(&use_cases(&gateway), hers["placement"]["id"].as_str().unwrap(), officers(), "request 17")
        .await
        .unwrap();
    // Enough keys for several transactions.
    let journal = use_cases(&gateway).journal.clone();
    let owners: Vec<vault_keys::KeyOwner> =
        (0..700).map(|n| vault_keys::KeyOwner::new(vec![Uuid::from_u128(n)], "placement")).collect();
    let made = vault_keys::ensure(&journal.vault, &journal.kek, &owners, |_| true, &*journal.clock, &*journal.random)
        .await
        .unwrap();
    gateway.running.take().unwrap().stop().await;
    let text = std::fs::read_to_string(&gateway.stand.config).unwrap();
    std::fs::write(gateway.folder.join("keys/encryption-2.key"), hex::encode([7; 32])).unwrap();
    let rotated = text
        .replace("keys/encryption.key", "keys/encryption-2.key")
        .replace("encryption_epoch = 1", "encryption_epoch = 2\nencryption_others = { 1 = \"keys/encryption.key\" }")
        .replace("vault_backup_days = 35", "vault_backup_days = 0");
    let without = rotated.replace("encryption_others = { 1 = \"keys/encryption.key\" }\n", "");
    std::fs::write(&gateway.stand.config, &rotated).unwrap();
    let config = gateway.stand.config.to_str().unwrap().to_owned();

    let vault = onechannel::store::pool(&gateway.databases.vault_url, 2).unwrap();
    let (old, new) = ("select count(*) from keys where epoch = 1", "select count(*) from keys where epoch = 2");
    // One key in the middle is held by somebody: the command comes so far and waits, and is killed there.
    let mut holder = vault.begin().await.unwrap();
    // An OFFSET would lock what it passes over too.
    let held = "select id from keys where id = (select id from keys order by id offset 400 limit 1) for update";
    sqlx::query(held).fetch_one(&mut *holder).await.unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_onechannel"));
    command.args(["keys", "rotate-kek", "--config", &config]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    until(async || {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        count(&vault, new).await > 0
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    holder.rollback().await.unwrap();
    let left = count(&vault, old).await;
    assert!(left > 0 && count(&vault, new).await > 0, "it was killed in the middle");
    let state = |text: &str| -> Value { serde_json::from_str::<Value>(text).unwrap()["erasures"][0]["state"].clone() };
    assert_eq!(
        state(&run(&["erase", "status", "--json", "--config", &config]).1),
        "destroyed",
        "epoch 1 is still in use"
    );

    let (code, said) = run(&["keys", "rotate-kek", "--config", &config]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("epoch 1 is retired"), "{said}");
    assert_eq!(count(&vault, old).await, 0);
    assert_eq!(run(&["keys", "rotate-kek", "--config", &config]).0, Some(0), "again is nothing");
    assert_eq!(state(&run(&["erase", "status", "--json", "--config", &config]).1), "complete");
    // The old key is not needed any more: every key is the same as before.
    std::fs::write(&gateway.stand.config, without).unwrap();
    gateway.config = onechannel::app::config::Config::read(&gateway.stand.config).unwrap();
    gateway.serve().await;
    let use_cases = use_cases(&gateway);
    let ids: Vec<Uuid> = made.values().map(|key| key.id).collect();
    let found = vault_keys::find(&use_cases.journal.vault, &use_cases.journal.kek, &ids).await.unwrap();
    assert!(
        found.len() == 700 && made.values().all(|key| found[&key.id].opening(Uuid::nil()) == key.opening(Uuid::nil()))
    );
    assert!(readable(&use_cases).await.iter().any(|text| text.contains(HIS)));
    // A gateway that was forgotten with the old epoch makes no key that nobody knows.
    let lagging = vault_keys::ensure(
        &journal.vault,
        &journal.kek,
        &[vault_keys::KeyOwner::new(vec![Uuid::max()], "placement")],
        |_| true,
        &*journal.clock,
        &*journal.random,
    )
    .await;
    assert!(matches!(lagging, Err(onechannel::store::StoreFault::BadRow { table: "epochs", .. })), "{lagging:?}");
    drop(use_cases);
    gateway.stop_and_verify().await;
}
