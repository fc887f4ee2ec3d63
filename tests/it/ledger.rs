//! The ledger as tiles: proofs at any size, what is served, and whatever a superuser or the holder of a folder may do to it.

use crate::support::{
    Databases,
    gateway::{TestGateway, event},
    journal,
};
use onechannel::{
    app::system::{SystemClock, SystemRandom},
    domain::clock::uuid_v7,
    ledger::{
        audit,
        entry::{Entry, EntryKind},
        note::{Checkpoint, NoteSigner, VerifierKey},
        tile::{self, Edge, Resource, Tile},
        tree::{Frontier, Hash, is_consistent, leaf_hash, root_from_inclusion},
    },
    store::ledger,
};
use sqlx::{AssertSqlSafe, PgPool};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use time::macros::datetime;

const AT: time::OffsetDateTime = datetime!(2026-11-24 00:00 UTC);

/// The line of entry `n`; `salt` tells logs apart.
fn line(salt: u8, n: u64) -> String {
    let entry = Entry {
        kind: EntryKind::Received,
        time: AT,
        id: uuid::Uuid::from_u128(n.into()),
        outcome: "applied".into(),
        policy: [3; 32],
        assurance: "tls".into(),
        commitment: [salt; 32],
    };
    entry.encode()
}

/// Appends entries up to `size`, in transactions of `step`; gives the lines.
pub(crate) async fn grow(databases: &Databases, signer: &NoteSigner, salt: u8, size: u64, step: u64) -> Vec<String> {
    let lines: Vec<String> = (0..size).map(|n| line(salt, n)).collect();
    for piece in lines.chunks(step as usize) {
        let mut transaction = databases.channel.begin().await.unwrap();
        ledger::append(&mut transaction, &signer.verifier().name, piece, signer, AT).await.unwrap();
        transaction.commit().await.unwrap();
    }
    lines
}

async fn build(pool: &PgPool, log: &str) {
    while ledger::build(pool, log).await.unwrap() > 0 {}
}

/// Statements of somebody who may more than the gateway, past every trigger.
async fn superuser(databases: &Databases, statements: &[&str]) {
    let mut transaction = databases.owner.begin().await.unwrap();
    sqlx::query("set local session_replication_role = replica").execute(&mut *transaction).await.unwrap();
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe((*statement).to_owned())).execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn any_proof_at_any_size_comes_from_tiles_and_from_entries_where_tiles_are_gone() {
    const SIZE: u64 = 66_100;
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let (log, signer) = (journal.log("xa"), &journal.signers["xa"]);
    let lines = grow(&databases, signer, 1, SIZE, 4_001).await;
    let leaves: Vec<Hash> = lines.iter().map(|line| leaf_hash(line.as_bytes())).collect();
    let mut tree = Frontier::default();
    let mut roots = vec![tree.root()];
    for leaf in &leaves {
        tree.append(*leaf);
        roots.push(tree.root());
    }
    let sizes = [1, 2, 255, 256, 257, 4_001, 65_535, 65_536, 65_537, SIZE - 1, SIZE];
    // Without its tiles a proof reads the entries: one size of each kind shows that.
    let few = [257, 4_001, SIZE];
    let holds = async |stage: &str, sizes: &[u64]| {
        for (n, &size) in sizes.iter().enumerate() {
            for index in [0, size / 3, size - 1] {
                let path = ledger::inclusion(&databases.channel, &log, index, size).await.unwrap().unwrap();
                let root = root_from_inclusion(index, size, leaves[index as usize], &path);
                assert_eq!(root, Some(roots[size as usize]), "{stage}: entry {index} of {size}");
            }
            for old in &sizes[..=n] {
                let path = ledger::consistency(&databases.channel, &log, *old, size).await.unwrap().unwrap();
                let (before, after) = (&roots[*old as usize], &roots[size as usize]);
                assert!(is_consistent(*old, before, size, after, &path), "{stage}: {old} to {size}");
            }
        }
    };
    holds("before any tile is built", &few).await;
    build(&databases.channel, &log).await;
    let stored = async || -> Vec<(i16, i64)> {
        let rows = "select level, count(*) from tiles group by level order by level";
        sqlx::query_as(rows).fetch_all(&databases.channel).await.unwrap()
    };
    assert_eq!(stored().await, [(0, 258), (1, 1)]);
    holds("from tiles", &sizes).await;
    assert_eq!(ledger::inclusion(&databases.channel, &log, SIZE, SIZE).await.unwrap(), None);
    assert_eq!(ledger::inclusion(&databases.channel, &log, 0, SIZE + 1).await.unwrap(), None);
    assert_eq!(ledger::consistency(&databases.channel, &log, 5, SIZE + 1).await.unwrap(), None);
    assert_eq!(ledger::consistency(&databases.channel, &log, 6, 5).await.unwrap(), None);
    assert_eq!(ledger::consistency(&databases.channel, "nobody's", 1, 1).await.unwrap(), None);

    // Every tile of the tree, stored or not, is what the entries say; and one of any width.
    let mut edge = Edge::default();
    let mut tiles: BTreeMap<Tile, Vec<Hash>> = leaves.iter().flat_map(|leaf| edge.append(*leaf)).collect();
    tiles.extend(edge.partial());
    assert_eq!(tiles.len(), 258 + 1 + 3);
    for (tile, hashes) in &tiles {
        let read = ledger::read(&databases.channel, &log, Resource::Hashes(*tile)).await.unwrap();
        assert_eq!(read, Some(hashes.concat()), "{tile:?}");
        let narrow = Tile { width: 1, ..*tile };
        let read = ledger::read(&databases.channel, &log, Resource::Hashes(narrow)).await.unwrap();
        assert_eq!(read, Some(hashes[0].to_vec()), "{narrow:?}");
    }
    let keys = [signer.verifier().clone()];
    let checked = ledger::check(&databases.owner, &log, &keys).await.unwrap();
    assert_eq!((checked.size, checked.tiles, checked.faults), (SIZE, 259, vec![]));

    superuser(&databases, &["delete from tiles where level = 1 or idx % 3 = 1"]).await;
    holds("with holes", &few).await;
    let checked = ledger::check(&databases.owner, &log, &keys).await.unwrap();
    assert!(checked.faults.contains(&"tile 0/001 is missing before others that are stored".to_owned()), "{checked:?}");
    // A hole is bridged, not filled: a level that was taken away whole is built again from what is there.
    build(&databases.channel, &log).await;
    assert_eq!(stored().await, [(0, 258 - 86), (1, 1)]);
    holds("with holes, a level built again", &few).await;
}

#[tokio::test]
async fn whatever_a_superuser_does_to_entries_tiles_checkpoints_and_heads_is_found_and_named() {
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let (log, signer) = (journal.log("xa"), &journal.signers["xa"]);
    grow(&databases, signer, 1, 1_300, 130).await;
    build(&databases.channel, &log).await;
    for statement in [
        "update tiles set idx = 9 where idx = 1",
        "delete from tiles",
        "truncate tiles",
        "insert into tiles select log, 0, 9, root, '' from tiles limit 1",
    ] {
        assert!(sqlx::query(statement).execute(&databases.channel).await.is_err(), "{statement}");
    }
    for statement in ["update tiles set level = 1", "delete from tiles", "truncate tiles"] {
        let refused = sqlx::query(statement).execute(&databases.owner).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{statement}: {refused}");
    }
    let keys = [signer.verifier().clone()];
    let tables = ["entries", "tiles", "commits", "heads"];
    for table in tables {
        superuser(&databases, &[&format!("create table kept_{table} as select * from {table}")]).await;
    }
    let other = line(2, 1);
    let inserted = format!("insert into entries select log, 1300, '{other}' from heads");
    let before = format!("insert into entries select log, -1, '{other}' from heads");
    let attacks = [
        ("update entries set entry = replace(entry, 'applied', 'refused') where idx = 700", "differ at entry 700"),
        ("update entries set entry = replace(entry, 'applied', 'refused') where idx = 700", "checkpoint 780 is not of"),
        ("update entries set entry = entry || ' ' where idx = 700", "entry 700 is not canonical"),
        ("delete from entries where idx = 700", "entry 700 is missing"),
        ("delete from entries where idx = 1299", "the newest checkpoint is of 1170 entries and there are 1299"),
        ("delete from entries where idx = 1299", "checkpoint 1300 is of more entries than there are"),
        (&inserted, "the newest checkpoint is of 1300 entries and there are 1301"),
        (&inserted, "the head is not the tree of the 1301 entries"),
        (&before, "entry -1 has no place"),
        (
            "update entries set idx = 10 + 900 - idx + 10000 where idx in (10, 900);
          update entries set idx = idx - 10000 where idx > 10000",
            "tile 0/000 is not of these entries: they differ at entry 10",
        ),
        (
            "update entries set idx = -1 - idx where idx >= 512;
          update entries set idx = 1811 + 1 + idx where idx < 0",
            "tile 0/002 is not of these entries: they differ at entry 512",
        ),
        ("truncate entries", "the head is not the tree of the 0 entries"),
        (
            "update tiles set hashes = set_byte(hashes, 33, 255 - get_byte(hashes, 33)) where idx = 2",
            "tile 0/002 is not of these entries: they differ at entry 513",
        ),
        (
            "update tiles set root = set_byte(root, 3, 255 - get_byte(root, 3)) where idx = 2",
            "the root beside tile 0/002",
        ),
        ("delete from tiles where idx = 2", "tile 0/002 is missing before others"),
        ("insert into tiles select log, 0, 77, root, hashes from tiles where idx = 1", "tile 0/77 is of more entries"),
        ("insert into tiles select log, 3, 0, root, hashes from tiles where idx = 1", "tile 3/0 is of more entries"),
        (
            "update tiles set idx = 9 - idx where idx in (1, 2); update tiles set idx = idx - 6 where idx > 6",
            "tile 0/001 is not of these entries",
        ),
        ("delete from commits where size = 390", "checkpoint 520 does not begin where the one before it ended"),
        ("delete from commits where size = 1300", "the newest checkpoint is of 1170 entries"),
        (
            "update commits set note = (select note from kept_commits where size = 390) where size = 520",
            "checkpoint 520 is not of",
        ),
        ("update commits set root = frontier_before where size = 260", "the root beside checkpoint 260"),
        ("update commits set frontier_before = '' where size = 260", "checkpoint 260 does not begin where"),
        ("update commits set size = 5000 where size = 1300", "checkpoint 5000 is of more entries"),
        ("truncate commits", "the newest checkpoint is of 0 entries"),
        ("delete from heads", "the head is not the tree"),
        ("truncate heads", "the head is not the tree"),
        ("update heads set frontier = ''", "the head is not the tree"),
    ];
    for (attack, named) in attacks {
        superuser(&databases, &[attack]).await;
        assert_eq!(ledger::logs(&databases.owner).await.unwrap(), [log.as_str()], "{attack}");
        let checked = ledger::check(&databases.owner, &log, &keys).await.unwrap();
        assert!(checked.faults.iter().any(|fault| fault.contains(named)), "{attack}: {:?}", checked.faults);
        for table in tables {
            let mend = [format!("delete from {table}"), format!("insert into {table} select * from kept_{table}")];
            superuser(&databases, &mend.each_ref().map(String::as_str)).await;
        }
    }
    let checked = ledger::check(&databases.owner, &log, &keys).await.unwrap();
    assert_eq!((checked.size, checked.tiles, checked.checkpoints, checked.faults), (1_300, 5, 10, vec![]));
    // Tiles say nothing that the entries do not: all of them gone is a log whose tiles are built again, the same.
    superuser(&databases, &["truncate tiles"]).await;
    build(&databases.channel, &log).await;
    let rows = "select count(*) from tiles natural join kept_tiles";
    assert_eq!(sqlx::query_scalar::<_, i64>(rows).fetch_one(&databases.owner).await.unwrap(), 5);
}

#[tokio::test]
async fn a_log_rolled_back_or_written_anew_is_no_extension_of_the_checkpoint_that_somebody_kept() {
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let (log, signer) = (journal.log("xa"), &journal.signers["xa"]);
    grow(&databases, signer, 1, 600, 100).await;
    build(&databases.channel, &log).await;
    let keys = [signer.verifier().clone(), journal.signers["xb"].verifier().clone()];
    let kept_note: String =
        sqlx::query_scalar("select note from commits where size = 500").fetch_one(&databases.owner).await.unwrap();
    let kept = audit::open(&kept_note, &keys).unwrap();
    // Another log's key, though known, signs nothing in this one's name.
    let forged = journal.signers["xb"].sign(&kept.to_text());
    assert!(audit::open(&forged, &keys).is_err());
    let check = async |databases: &Databases, kept: &Checkpoint| {
        ledger::check_against(&databases.owner, &log, &keys, Some(kept), None, &mut |_| ()).await.unwrap().faults
    };
    assert_eq!(check(&databases, &kept).await, Vec::<String>::new());
    // A whole and consistent past: the log by itself holds.
    // The frontier after 400 stands in the commit that began there.
    let frontier: Vec<u8> = sqlx::query_scalar("select frontier_before from commits where size = 500")
        .fetch_one(&databases.owner)
        .await
        .unwrap();
    let head = format!(
        "update heads set size = 400, root = (select root from commits where size = 400), frontier = '\\x{}'",
        hex::encode(frontier)
    );
    let past = [
        "delete from entries where idx >= 400",
        "delete from commits where size > 400",
        "delete from tiles where idx > 0",
        &head,
    ];
    superuser(&databases, &past).await;
    assert_eq!(ledger::check(&databases.owner, &log, &keys).await.unwrap().faults, Vec::<String>::new());
    let faults = check(&databases, &kept).await;
    assert!(faults.len() == 1 && faults[0].contains("of 500 entries and there are only 400"), "{faults:?}");
    // The same key over other entries.
    let anew = Databases::fresh().await;
    grow(&anew, signer, 2, 700, 100).await;
    assert_eq!(ledger::check(&anew.owner, &log, &keys).await.unwrap().faults, Vec::<String>::new());
    let faults = check(&anew, &kept).await;
    assert!(faults.len() == 1 && faults[0].contains("not an extension"), "{faults:?}");
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_onechannel")).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// What somebody does to a folder, and what must be said of it.
type Tamper<'a> = (&'a str, &'a dyn Fn(&Path), &'a str);

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("onechannel-it-ledger-{}", uuid_v7(&SystemClock, &SystemRandom)));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.0.join(name), text).unwrap();
        self.path(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn an_exported_folder_verifies_without_a_database_and_a_change_in_it_is_named() {
    let databases = Databases::fresh().await;
    let journal = journal(&databases);
    let (log, signer) = (journal.log("xa"), &journal.signers["xa"]);
    let lines = grow(&databases, signer, 1, 700, 100).await;
    let folder = Folder::new();
    let keys = folder.file("keys", &format!("{}\n{}\n", signer.verifier(), journal.signers["xb"].verifier()));
    let note = |size: i64| {
        let note = sqlx::query_scalar("select note from commits where size = $1").bind(size);
        note.fetch_one(&databases.owner)
    };
    let kept: String = note(300).await.unwrap();
    let kept = folder.file("kept", &kept);
    let [whole, url] = [folder.path("whole"), databases.url.clone()];
    let (code, text) = run(&["ledger", "export", "--log", &log, "--channel", &url, &whole]);
    assert!(code == Some(0) && text.contains("700 entries written"), "{text}");
    assert!(!text.contains('\u{1b}'), "progress is for a terminal");
    let (code, text) = run(&["ledger", "export", "--log", &log, "--channel", &url, &whole]);
    assert!(code == Some(2) && text.contains("not empty"), "{text}");
    let (code, text) = run(&["ledger", "export", "--log", "nobody", "--channel", &url, &folder.path("none")]);
    assert!(code == Some(2) && text.contains("no checkpoint of a log nobody"), "{text}");

    // Byte for byte what the specification says.
    let read = |name: &str| fs::read(Path::new(&whole).join(name)).unwrap();
    let bundle = read("tile/entries/002.p/188");
    let entries = tile::unbundle(&bundle).unwrap();
    assert!(entries.len() == 188 && entries[187] == lines[699].as_bytes());
    assert_eq!(read("tile/0/002.p/188").len(), 188 * 32);
    assert_eq!(read("tile/1/000.p/2").len(), 2 * 32);
    assert_eq!(read("tile/0/000")[..32], leaf_hash(lines[0].as_bytes()));

    let verify =
        |tiles: &str, more: &[&str]| run(&[&["ledger", "verify", "--tiles", tiles, "--keys", &keys], more].concat());
    let (code, text) = verify(&whole, &["--against", &kept]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("/xa: 700 entries, 1 checkpoints, 4 tiles: holds"), "{text}");
    assert!(text.contains("extends the checkpoint that was kept, of 300 entries"), "{text}");
    let (code, text) = run(&["ledger", "verify", "--channel", &url, "--keys", &keys, "--against", &kept, "--json"]);
    assert!(code == Some(0) && text.contains(r#""holds":true"#) && text.contains(r#""tiles":0"#), "{text}");

    let newest: String = note(700).await.unwrap();
    let newest = folder.file("newest", &newest);
    let older: String = note(200).await.unwrap();
    let tampers: [Tamper<'_>; 16] = [
        (
            "a bundle's entry",
            &|f| flip(&f.join("tile/entries/001"), 40),
            "tile 0/001 is not of these entries: they differ at entry 256",
        ),
        (
            "a bundle's entry, to the root",
            &|f| flip(&f.join("tile/entries/001"), 40),
            "checkpoint 700 is not of these entries",
        ),
        (
            "a hash",
            &|f| flip(&f.join("tile/0/001"), 64),
            "tile 0/001 is not of these entries: they differ at entry 258",
        ),
        (
            "an upper hash",
            &|f| flip(&f.join("tile/1/000.p/2"), 40),
            "tile 1/000.p/2 is not of these entries: they differ from entry 256",
        ),
        ("a bundle gone", &|f| fs::remove_file(f.join("tile/entries/001")).unwrap(), "bundle entries/001 is missing"),
        (
            "a bundle cut",
            &|f| cut(&f.join("tile/entries/001")),
            "bundle entries/001 does not hold the entries of its name",
        ),
        (
            "bundle and tile gone",
            &|f| {
                fs::remove_file(f.join("tile/entries/001")).unwrap();
                fs::remove_file(f.join("tile/0/001")).unwrap();
            },
            "nothing from entry 256 on can be checked",
        ),
        ("a tile gone", &|f| fs::remove_file(f.join("tile/0/001")).unwrap(), "tile 0/001 is missing"),
        ("a tile cut", &|f| cut(&f.join("tile/0/001")), "tile 0/001 has not the length of its name"),
        ("tiles swapped", &|f| swap(f, "tile/0/000", "tile/0/001"), "tile 0/000 is not of these entries"),
        ("bundles swapped", &|f| swap(f, "tile/entries/000", "tile/entries/001"), "tile 0/000 is not of these entries"),
        (
            "a tile too many",
            &|f| {
                fs::copy(f.join("tile/0/000"), f.join("tile/0/003")).unwrap();
            },
            "0/003 is of more entries",
        ),
        ("another file", &|f| fs::write(f.join("tile/0/readme"), "x").unwrap(), "0/readme is no tile's name"),
        (
            "a false beginning",
            &|f| {
                fs::create_dir(f.join("tile/0/000.p")).unwrap();
                fs::write(f.join("tile/0/000.p/3"), [7; 96]).unwrap();
            },
            "tile 0/000.p/3 is not of these entries",
        ),
        (
            "an older checkpoint",
            &|f| fs::write(f.join("checkpoint"), &older).unwrap(),
            "bundle entries/000.p/200 is missing",
        ),
        (
            "a checkpoint's size",
            &|f| {
                let note = fs::read_to_string(f.join("checkpoint")).unwrap();
                fs::write(f.join("checkpoint"), note.replace("\n700\n", "\n699\n")).unwrap();
            },
            "the checkpoint: ",
        ),
    ];
    for (name, tamper, named) in tampers {
        let copied = folder.path("copy");
        copy(Path::new(&whole), Path::new(&copied));
        tamper(Path::new(&copied));
        let (code, text) = verify(&copied, &[]);
        assert!(code == Some(1) && text.contains(named), "{name}: {text}");
        fs::remove_dir_all(&copied).unwrap();
    }
    // What the log served while it was smaller may stay beside it, as long as it is its beginning.
    fs::create_dir_all(Path::new(&whole).join("tile/entries/000.p")).unwrap();
    let two = tile::bundle(lines[..2].iter().map(String::as_bytes)).unwrap();
    fs::write(Path::new(&whole).join("tile/entries/000.p/2"), two).unwrap();
    assert_eq!(verify(&whole, &[]).0, Some(0));
    fs::write(Path::new(&whole).join("tile/entries/000.p/2"), "x").unwrap();
    assert!(verify(&whole, &[]).1.contains("bundle entries/000.p/2 is not the beginning of entries/000"));
    // Behind what was kept, and not the log that was kept.
    superuser(&databases, &["delete from commits where size > 600", "delete from entries where idx >= 600"]).await;
    let behind = folder.path("behind");
    assert_eq!(run(&["ledger", "export", "--log", &log, "--channel", &url, &behind]).0, Some(0));
    let (code, text) = verify(&behind, &["--against", &newest]);
    assert!(code == Some(1) && text.contains("of 700 entries and there are only 600"), "{text}");
    let of_xb = journal.signers["xb"].sign(&Checkpoint { origin: journal.log("xb"), size: 9, root: [1; 32] }.to_text());
    let (code, text) = verify(&behind, &["--against", &folder.file("xb", &of_xb)]);
    assert!(code == Some(1) && text.contains("the log is not here"), "{text}");
    assert_eq!(verify(&behind, &["--against", &keys]).0, Some(2));
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn cut(file: &Path) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() - 1]).unwrap();
}

fn swap(folder: &Path, one: &str, other: &str) {
    let between = folder.join("between");
    fs::rename(folder.join(one), &between).unwrap();
    fs::rename(folder.join(other), folder.join(one)).unwrap();
    fs::rename(&between, folder.join(other)).unwrap();
}

#[tokio::test]
async fn a_caller_reads_the_tiles_of_its_own_corridor_and_computes_the_checkpoint_from_them() {
    let mut gateway = TestGateway::start().await;
    let (my, kp2mi, sa) = (gateway.system("my-gateway"), gateway.system("kp2mi-system"), gateway.system("sa-gateway"));
    my.send(&event("movement.arrived.v1", "P-IMM", |_| ())).await.unwrap();
    let inner = gateway.running.as_ref().unwrap().gateway.clone();
    let (log, signer) = (inner.journal.log("my"), &inner.journal.signers["my"]);
    grow(&gateway.databases, signer, 1, 300, 300).await;
    let read = async |system: &onechannel::sandbox::system::System, path: &str| {
        let answer = system.http.get(format!("{}/v1/ledger/{path}", system.base)).send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let headers = [header("content-type"), header("cache-control")].map(Option::unwrap_or_default);
        (answer.status().as_u16(), headers, answer.bytes().await.unwrap().to_vec())
    };
    let (status, headers, note) = read(&my, "checkpoint").await;
    assert_eq!((status, headers[1].as_str()), (200, "private, no-cache"));
    let keys: Vec<VerifierKey> = vec![signer.verifier().clone()];
    let checkpoint = audit::open(&String::from_utf8(note).unwrap(), &keys).unwrap();
    assert_eq!((checkpoint.origin.as_str(), checkpoint.size), (log.as_str(), 301));

    let path = tile::root(checkpoint.size);
    let mut held = BTreeMap::new();
    for tile in tile::needs(&path, checkpoint.size) {
        let (status, headers, bytes) = read(&my, &format!("tile/{}", Resource::Hashes(tile))).await;
        assert_eq!(status, 200, "{tile:?}");
        assert_eq!(headers, ["application/octet-stream", "private, max-age=31536000, immutable"]);
        held.insert(tile, tile::read(&bytes, tile.width).unwrap());
    }
    assert_eq!(tile::hashes(&path, checkpoint.size, &held), Some(vec![checkpoint.root]));
    // The bundles are the entries' exact lines, under the same checkpoint.
    let mut tree = Frontier::default();
    for name in ["tile/entries/000", "tile/entries/001.p/45"] {
        let (status, headers, bytes) = read(&my, name).await;
        assert_eq!((status, headers[0].as_str()), (200, "application/octet-stream"));
        tile::unbundle(&bytes).unwrap().iter().for_each(|entry| tree.append(leaf_hash(entry)));
    }
    assert_eq!((tree.size(), tree.root()), (301, checkpoint.root));
    // A home system names the corridor; each partner reads its own under the same path.
    let (_, _, own) = read(&my, "tile/0/000").await;
    assert_eq!(read(&kp2mi, "tile/0/000?corridor=my").await.2, own);
    for (system, path, status) in [
        (&kp2mi, "tile/0/000", 403),
        (&sa, "tile/0/000?corridor=my", 403),
        (&sa, "tile/0/000", 404),
        (&my, "tile/0/001", 404),
        (&my, "tile/0/001.p/46", 404),
        (&my, "tile/0/001.p/44", 200),
        (&my, "tile/1/000.p/2", 404),
        (&my, "tile/entries/001", 404),
        (&my, "tile/0/000.p/256", 404),
        (&my, "tile/0/0", 404),
        (&my, "tile/0/%30%30%30", 404),
        (&my, "tile/9/000", 404),
        (&my, "tile/", 404),
        (&my, "tile/0/x18446744073709551615/000", 404),
    ] {
        assert_eq!(read(system, path).await.0, status, "{path}");
    }
    // Nobody asked for tiles to be built: the loop did it, or does it again and finds nothing to do.
    build(&gateway.databases.channel, &log).await;
    let rows = "select count(*) from tiles where log = $1 and level = 0";
    let stored: i64 = sqlx::query_scalar(rows).bind(&log).fetch_one(&gateway.databases.owner).await.unwrap();
    assert_eq!(stored, 1);
    assert_eq!(gateway.stop_and_verify().await, 301);
}
