//! `onechannel bench ledger`: durable appends with their proofs, beside `pgbench` committing single rows of the same size on the
//! same server in the same run; the same on a log of 10^7 leaves beside one of 10^5; proofs; the check of a whole log.
//!
//! The measured appends are the gateway's own ([`store::ledger::append`] in batches and with as many workers as the journal's),
//! with default durability, and end when the tiles of what was appended are stored too.

use super::{super::ledger::progress, CommandFault, Holds, fsync_us, median, peak_mib, pgbench, psql};
use crate::{
    app::system::{SystemClock, SystemRandom},
    domain::clock::{Clock, Random, uuid_v7},
    ledger::{
        audit::Audit,
        entry::{Entry, EntryKind},
        note::{Checkpoint, NoteSigner, VerifierKey},
        receipt::Receipt,
        tile,
        tree::{Hash, leaf_hash},
    },
    sandbox::postgres::{Durability, PrivatePostgres},
    store::{
        self,
        journal::{BATCH_MAX, WORKERS},
        ledger::append,
    },
};
use aws_lc_rs::signature::Ed25519KeyPair;
use serde_json::json;
use sqlx::PgPool;
use std::{
    fs,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use uuid::Uuid;

const LOG: &str = "bench.example/test/xa";
const CORRIDOR: &str = "xa";
/// Leaves of the small log.
const SMALL: u64 = 100_000;
/// Leaves in one transaction where a log is filled.
const FILL: usize = 10_000;
/// Runs of each kind, alternating.
const ROUNDS: usize = 3;
/// Clients among which pgbench's best is looked for.
const CLIENTS: [usize; 4] = [8, 16, 32, 64];
const SINGLE: &str = "insert into reference (body) values (:body);\n";
/// Receipts verified one after another, of as many places.
const RECEIPTS: u64 = 2_000;
/// Entries hashed in memory.
const HASHED: usize = 500_000;

/// What a run is asked for.
#[derive(Debug, clap::Args)]
pub(in crate::app::command) struct Options {
    /// Leaves of the large log
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(SMALL..))]
    leaves: u64,
    /// Length of each measured run, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// A log in a database of its own.
#[derive(Clone)]
struct Log {
    database: String,
    pool: PgPool,
    writing: PgPool,
    signer: Arc<NoteSigner>,
}

pub(super) async fn run(options: Options) -> Result<Holds, CommandFault> {
    let Options { leaves, seconds, json: as_json } = options;
    let hashing = hashing()?;
    let server = PrivatePostgres::start(Durability::Default, None, &SystemRandom)?;
    let fsync = fsync_us(&server)?;
    let large = Log::fresh(&server, "large").await?;
    large.fill(&server, leaves).await?;
    let small = Log::fresh(&server, "small").await?;
    small.fill(&server, SMALL).await?;
    let checked = [small.check().await?, large.check().await?];
    let proofs = large.proofs(leaves).await?;

    let body = line();
    psql(&server, "small", &["-c", "create table reference (body text)"])?;
    let clients = |count| Ok((pgbench(&server, "small", SINGLE, &body, count, seconds.max(3))?, count));
    let tried = CLIENTS.into_iter().map(clients).collect::<Result<Vec<_>, CommandFault>>()?;
    let most = tried.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).map_or(CLIENTS[0], |(_, count)| count);
    let (mut one, mut best, mut at_small, mut at_large) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        one.push(pgbench(&server, "small", SINGLE, &body, 1, seconds)?);
        best.push(pgbench(&server, "small", SINGLE, &body, most, seconds)?);
        // A small log stays small: each run has its own.
        let small = Log::fresh(&server, &format!("small_{round}")).await?;
        small.fill(&server, SMALL).await?;
        at_small.push(small.rate(&server, seconds).await?);
        at_large.push(large.rate(&server, seconds).await?);
    }
    let [one, best, at_small, at_large] = [one, best, at_small, at_large].map(median);
    let grown = large.check().await?;
    let holds = checked.iter().chain([&grown]).all(|check| check.holds);
    let sizes = (3..=7).map(|power| size_of_proof(10u64.pow(power)));
    let sizes: Vec<(u64, usize, usize)> = sizes.collect();
    if as_json {
        let size = |(leaves, proof, receipt): &(u64, usize, usize)| json!({"leaves": leaves, "proof_bytes": proof, "receipt_bytes": receipt});
        let check = |check: &Whole| json!({"leaves": check.leaves, "leaves_per_s": check.per_s, "peak_growth_mib": check.growth_mib});
        let result = json!({
            "fsync_us": fsync, "appends_per_s": at_small, "small": SMALL, "large": leaves, "appends_per_s_large": at_large,
            "large_over_small": at_large / at_small, "pgbench_one_tps": one, "over_one": at_small / one,
            "pgbench_best_tps": best, "pgbench_best_clients": most, "over_best": at_small / best,
            "proofs": sizes.iter().map(size).collect::<Vec<_>>(),
            "verified_per_s": proofs.verified_per_s, "proven_from_tiles_per_s": proofs.proven_per_s,
            "hashed_per_s": hashing.hashed_per_s, "read_and_hashed_per_s": hashing.read_per_s,
            "checks": checked.iter().chain([&grown]).map(check).collect::<Vec<_>>(), "holds": holds,
        });
        println!("{result}");
        return Ok(holds);
    }
    println!(
        "medians of {ROUNDS} runs of {seconds} s each, alternating; server and client on the same cores; one fdatasync {fsync:.0} µs"
    );
    println!("durable appends, batches of {BATCH_MAX}, {WORKERS} workers, a proof for each, tiles stored:");
    println!("  on {SMALL} leaves    {at_small:>9.0} /s");
    println!("  on {leaves} leaves  {at_large:>9.0} /s   {:.2} of that", at_large / at_small);
    println!("pgbench, single rows of {} bytes, a commit each:", body.len());
    println!("  1 client    {one:>9.0} /s   the ledger's appends are {:.1} times as many", at_small / one);
    println!(
        "  {most} clients  {best:>9.0} /s   its best; the ledger's appends are {:.2} times as many",
        at_small / best
    );
    println!("the longest proof, and the whole receipt (JSON):");
    for (leaves, proof, receipt) in sizes {
        println!("  {leaves:>10} leaves  {proof:>4} bytes, {receipt:>5} bytes");
    }
    println!("one core, cold: {:.0} receipts verified /s (file, key, signature, proof, entry)", proofs.verified_per_s);
    println!("proofs computed from stored tiles, one after another: {:.0} /s", proofs.proven_per_s);
    println!(
        "check, one core, in memory: {:.0} leaves/s hashed into tree and tiles; {:.0} with each entry read",
        hashing.hashed_per_s, hashing.read_per_s
    );
    println!("check from the database, every row of the log:");
    for check in checked.iter().chain([&grown]) {
        let verdict = if check.holds { "holds" } else { "DOES NOT HOLD" };
        println!(
            "  {:>10} leaves  {:>8.0} leaves/s, memory grew by {:.0} MiB, {verdict}",
            check.leaves, check.per_s, check.growth_mib
        );
    }
    Ok(holds)
}

fn bad(fault: impl std::fmt::Display) -> CommandFault {
    CommandFault::Bench(fault.to_string())
}

fn entry() -> Entry {
    let mut commitment = [0; 32];
    SystemRandom.fill(&mut commitment);
    Entry {
        kind: EntryKind::Received,
        time: SystemClock.now(),
        id: uuid_v7(&SystemClock, &SystemRandom),
        outcome: "applied".into(),
        policy: [7; 32],
        assurance: "answer-signed".into(),
        commitment,
    }
}

fn line() -> String {
    entry().encode()
}

/// What one core does of a check when nothing is read from anywhere.
struct Hashing {
    hashed_per_s: f64,
    read_per_s: f64,
}

fn hashing() -> Result<Hashing, CommandFault> {
    let lines: Vec<String> = (0..HASHED).map(|_| line()).collect();
    let per_s = |take: &dyn Fn(&mut Audit<'_>, &str)| {
        let mut audit = Audit::new(LOG, &[], None);
        let start = Instant::now();
        lines.iter().for_each(|line| take(&mut audit, line));
        (HASHED as f64 / start.elapsed().as_secs_f64(), audit.finish())
    };
    let (hashed_per_s, _) = per_s(&|audit, line| drop(black_box(audit.leaf(leaf_hash(line.as_bytes())))));
    let (read_per_s, checked) = per_s(&|audit, line| drop(black_box(audit.entry(line.as_bytes()))));
    if checked.faults.is_empty() { Ok(Hashing { hashed_per_s, read_per_s }) } else { Err(bad(&checked.faults[0])) }
}

/// Bytes of the longest proof of a tree of this size, and of a receipt that carries it.
fn size_of_proof(size: u64) -> (u64, usize, usize) {
    let path = vec![[7; 32]; tile::inclusion(0, size).unwrap_or_default().len()];
    let signer = signer();
    let note = signer.sign(&Checkpoint { origin: LOG.into(), size, root: [7; 32] }.to_text());
    let receipt = receipt(&entry(), (0, &path), &note);
    (size, path.len() * 32, receipt.len())
}

fn receipt(entry: &Entry, at: (u64, &[Hash]), note: &str) -> Vec<u8> {
    let receipt = Receipt::new(Uuid::nil(), CORRIDOR, entry, at, note, Some([7; 32]));
    serde_json::to_vec(&receipt).unwrap_or_default()
}

fn signer() -> NoteSigner {
    NoteSigner::new(LOG, Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("any 32 bytes are an Ed25519 seed"))
}

/// A check of a whole log.
struct Whole {
    leaves: u64,
    per_s: f64,
    growth_mib: f64,
    holds: bool,
}

struct Proofs {
    proven_per_s: f64,
    verified_per_s: f64,
}

impl Log {
    async fn fresh(server: &PrivatePostgres, database: &str) -> Result<Self, CommandFault> {
        let vault = format!("vault_{database}");
        for name in [database, &vault] {
            psql(server, "postgres", &["-c", &format!("create database {name}")])?;
        }
        let (channel, vault) = (server.url(database), server.url(&vault));
        store::migrate(&store::pool(&channel, 1)?, &store::pool(&vault, 1)?).await?;
        let app = format!("{channel}?options[role]=onechannel_app");
        let (pool, writing) = (store::pool(&app, 4)?, store::journal_pool(&app, 4)?);
        Ok(Self { database: database.to_owned(), pool, writing, signer: Arc::new(signer()) })
    }

    /// One transaction as the journal makes it, and the proof of each entry.
    async fn append(&self, count: usize) -> Result<(), CommandFault> {
        let lines: Vec<String> = (0..count).map(|_| line()).collect();
        let mut transaction = self.writing.begin().await.map_err(store::StoreFault::from)?;
        let appended = append(&mut transaction, LOG, &lines, &self.signer, SystemClock.now()).await?;
        transaction.commit().await.map_err(store::StoreFault::from)?;
        for index in appended.first..appended.first + count as u64 {
            black_box(appended.commit.inclusion(index).ok_or_else(|| bad("an entry has no proof"))?);
        }
        Ok(())
    }

    async fn build(&self) -> Result<u64, CommandFault> {
        Ok(store::ledger::build(&self.pool, LOG).await?)
    }

    /// Fills the log and stores its tiles.
    async fn fill(&self, server: &PrivatePostgres, leaves: u64) -> Result<(), CommandFault> {
        let bar = progress(&format!("filling {leaves}"));
        let left = Arc::new(AtomicU64::new(leaves));
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..WORKERS {
            let (log, left, bar) = (self.clone(), left.clone(), bar.clone());
            workers.spawn(async move {
                let take = |left: u64| left.checked_sub(1).map(|_| left.saturating_sub(FILL as u64));
                while let Ok(before) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
                    let count = before.min(FILL as u64);
                    log.append(count as usize).await?;
                    bar.inc(count);
                }
                Ok::<(), CommandFault>(())
            });
        }
        while let Some(done) = workers.join_next().await {
            done.map_err(bad)??;
        }
        while self.build().await? > 0 {}
        bar.finish_and_clear();
        self.settle(server)
    }

    /// Does what the server would otherwise do in the background of a run, on every log alike.
    fn settle(&self, server: &PrivatePostgres) -> Result<(), CommandFault> {
        psql(server, &self.database, &["-c", "vacuum (analyze) entries, commits, tiles", "-c", "checkpoint"])
    }

    /// Durable appends per second.
    async fn rate(&self, server: &PrivatePostgres, seconds: u32) -> Result<f64, CommandFault> {
        self.settle(server)?;
        let over = Arc::new(AtomicBool::new(false));
        let start = Instant::now();
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..WORKERS {
            let log = self.clone();
            workers.spawn(async move {
                let mut batches = 0u32;
                while start.elapsed() < Duration::from_secs(seconds.into()) {
                    log.append(BATCH_MAX).await?;
                    batches += 1;
                }
                Ok::<u32, CommandFault>(batches)
            });
        }
        let builder = {
            let (log, over) = (self.clone(), over.clone());
            tokio::spawn(async move {
                loop {
                    let last = over.load(Ordering::Relaxed);
                    match log.build().await? {
                        0 if last => return Ok::<(), CommandFault>(()),
                        0 => tokio::time::sleep(Duration::from_millis(20)).await,
                        _ => {}
                    }
                }
            })
        };
        let mut batches = 0;
        while let Some(done) = workers.join_next().await {
            batches += done.map_err(bad)??;
        }
        over.store(true, Ordering::Relaxed);
        builder.await.map_err(bad)??;
        Ok(f64::from(batches) * BATCH_MAX as f64 / start.elapsed().as_secs_f64())
    }

    async fn check(&self) -> Result<Whole, CommandFault> {
        let bar = progress(&format!("checking {}", self.database));
        // The kernel counts the peak from here on (proc(5), clear_refs).
        fs::write("/proc/self/clear_refs", "5").map_err(bad)?;
        let (before, start) = (peak_mib("self"), Instant::now());
        let keys = [self.signer.verifier().clone()];
        let mut told = |done| bar.set_position(done);
        let checked = store::ledger::check_against(&self.pool, LOG, &keys, None, None, &mut told).await?;
        let per_s = checked.size as f64 / start.elapsed().as_secs_f64();
        bar.finish_and_clear();
        checked.faults.iter().for_each(|fault| eprintln!("{fault}"));
        let growth_mib = peak_mib("self") - before;
        Ok(Whole { leaves: checked.size, per_s, growth_mib, holds: checked.faults.is_empty() })
    }

    /// Proofs of entries all over the log, from its tiles; each verified as a file from somebody else would be.
    async fn proofs(&self, leaves: u64) -> Result<Proofs, CommandFault> {
        let note = store::ledger::checkpoint(&self.pool, LOG).await?.ok_or_else(|| bad("no checkpoint"))?;
        let places = (0..RECEIPTS).map(|n| n * (leaves / RECEIPTS));
        let mut lines = Vec::new();
        for place in places.clone() {
            lines.extend(store::ledger::entries(&self.pool, LOG, place, 1).await?);
        }
        let (start, mut paths) = (Instant::now(), Vec::new());
        for place in places.clone() {
            let path = store::ledger::inclusion(&self.pool, LOG, place, leaves).await?;
            paths.push(path.ok_or_else(|| bad("an entry has no proof"))?);
        }
        let proven_per_s = RECEIPTS as f64 / start.elapsed().as_secs_f64();
        let files = places.zip(&lines).zip(&paths).map(|((place, line), path)| {
            let entry = Entry::decode(line).map_err(bad)?;
            Ok(receipt(&entry, (place, path), &note))
        });
        let files = files.collect::<Result<Vec<_>, CommandFault>>()?;
        let key = self.signer.verifier().to_string();
        let start = Instant::now();
        for file in &files {
            let receipt: Receipt = serde_json::from_slice(file).map_err(bad)?;
            let key = VerifierKey::parse(&key).map_err(bad)?;
            black_box(receipt.verify(&[key], None).map_err(bad)?);
        }
        Ok(Proofs { proven_per_s, verified_per_s: RECEIPTS as f64 / start.elapsed().as_secs_f64() })
    }
}
