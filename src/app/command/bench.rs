//! `onechannel bench journal`: durable messages per second through the journal, beside `pgbench` on the same server in the
//! same run. Only the ratio means anything elsewhere.

mod intake;
mod ledger;

use super::{CommandFault, Holds};
use crate::{
    app::system::{SystemClock, SystemRandom},
    domain::{
        clock::{Clock, Random, uuid_v7},
        facts::{Effect, FactKind, Link, Reach},
    },
    ledger::note::NoteSigner,
    sandbox::postgres::{Durability, PrivatePostgres},
    store::{
        self,
        access::Spend,
        journal::{Intent, Journal, JournalHandle, Links, Outcome, SubjectKind},
    },
    vault::{KeyEncryption, TokenKey},
};
use aws_lc_rs::signature::Ed25519KeyPair;
use std::{fs, process, sync::Arc};
use time::Duration;

const CORRIDOR: &str = "xa";
const CONCURRENCY: usize = 64;
const BODY: usize = 2_048;
const REFERENCE: &str = "begin;
insert into reference_a (body) values (:body);
insert into reference_b (body) values (:body);
commit;
";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// The whole path, over mutual TLS, at 1, 16 and 64 connections and in batches
    #[command(after_help = "Example: onechannel bench intake --seconds 5")]
    Intake(intake::Options),
    /// The ledger alone: durable appends with their proofs, at two sizes; proofs; the check of a whole log
    #[command(after_help = "Example: onechannel bench ledger --leaves 10000000 --seconds 5")]
    Ledger(ledger::Options),
    /// The journal alone (no TLS, no signatures): seal, fold, ledger, deliveries, commit
    #[command(after_help = "Example: onechannel bench journal --seconds 10")]
    Journal {
        /// Length of each of the six runs (A B A B A B), in seconds
        #[arg(long, default_value_t = 5)]
        seconds: u32,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        let (seconds, json) = match self {
            Self::Intake(options) => return intake::run(options).await,
            Self::Ledger(options) => return ledger::run(options).await,
            Self::Journal { seconds, json } => (seconds, json),
        };
        let server = PrivatePostgres::start(Durability::Default, None, &SystemRandom)?;
        let journal = Arc::new(prepare(&server).await?);
        let fsync_us = fsync_us(&server)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            ours.push(load(&journal, seconds).await?);
            theirs.push(reference(&server, seconds)?);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        let checked = {
            let keys = [journal.signers[CORRIDOR].verifier().clone()];
            store::ledger::check(&journal.channel, &journal.log(CORRIDOR), &keys).await?
        };
        let holds = checked.faults.is_empty();
        if json {
            let result = serde_json::json!({"journal_per_s": ours, "pgbench_tps": theirs, "ratio": ours / theirs,
                "fsync_us": fsync_us, "ledger_holds": holds, "entries": checked.size});
            println!("{result}");
        } else {
            println!(
                "{CONCURRENCY} senders, {BODY}-byte messages, medians of three runs of {seconds} s each, alternating:"
            );
            println!("  journal  {ours:>8.0} messages/s");
            println!("  pgbench  {theirs:>8.0} transactions/s (BEGIN, two INSERTs of {BODY} bytes, COMMIT)");
            println!("  ratio    {:>8.2}   one fdatasync: {fsync_us:.0} µs", ours / theirs);
            println!("  ledger   {} entries, {}", checked.size, if holds { "holds" } else { "DOES NOT HOLD" });
        }
        Ok(holds)
    }
}

async fn prepare(server: &PrivatePostgres) -> Result<Journal, CommandFault> {
    for statement in ["create database channel", "create database vault"] {
        psql(server, "postgres", &["-c", statement])?;
    }
    let (channel, vault) = (server.url("channel"), server.url("vault"));
    store::migrate(&store::pool(&channel, 1)?, &store::pool(&vault, 1)?).await?;
    psql(
        server,
        "channel",
        &["-c", "create table reference_a (body text)", "-c", "create table reference_b (body text)"],
    )?;
    let as_app = |url: &str| store::pool(&format!("{url}?options[role]=onechannel_app"), 4);
    let mut seeds = [[0; 32]; 3];
    seeds.iter_mut().for_each(|seed| SystemRandom.fill(seed));
    let origin = "bench.example/test";
    let key = Ed25519KeyPair::from_seed_unchecked(&seeds[2]).expect("any 32 bytes are an Ed25519 seed");
    let signer = NoteSigner::new(&format!("{origin}/{CORRIDOR}"), key);
    Ok(Journal {
        channel: as_app(&channel)?,
        writing: store::journal_pool(&format!("{channel}?options[role]=onechannel_app"), 4)?,
        vault: store::journal_pool(&format!("{vault}?options[role]=onechannel_app"), 4)?,
        kek: KeyEncryption::new(1, seeds[0]),
        tokens: TokenKey::new(&seeds[1]),
        origin: origin.to_owned(),
        signers: [(CORRIDOR.to_owned(), signer)].into(),
        rules: std::collections::HashMap::new(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    })
}

/// Each message is about a placement of its own and asserts a status and twenty fields.
fn intent(journal: &Journal, body: &[u8]) -> Intent {
    let id = uuid_v7(&SystemClock, &SystemRandom);
    let (now, name) = (SystemClock.now(), id.as_bytes());
    let tag = journal.tokens.token("message", &[name]);
    let mut bytes = name.to_vec();
    bytes.extend_from_slice(body);
    let mut effects = vec![Effect::Status {
        kind: FactKind::Submission,
        value: "SUBMITTED".into(),
        at: None,
        owner: true,
        case: None,
    }];
    effects.extend((0..20).map(|path| Effect::Field { path, digest: tag, owner: true }));
    Intent {
        id,
        party: CORRIDOR.into(),
        client: "bench".into(),
        corridor: CORRIDOR.into(),
        type_name: "contract.submitted.v1".into(),
        authority: "LABOUR".into(),
        tag,
        body_tag: journal.tokens.digest("body", &[&bytes]),
        bytes,
        canonical: None,
        evidence: vec![b'e'; 600],
        asserted_at: now,
        revision: None,
        effects,
        links: Some(Links {
            kind: SubjectKind::Placement,
            pairwise: None,
            worker: None,
            follows: None,
            links: vec![Link { token: tag, reach: Reach::Worker }],
            identifies: true,
        }),
        mentions: Vec::new(),
        retention: "placement".into(),
        terms: (0..12).map(|term| i64::from(tag[term]) * 1_000 + term as i64).collect(),
        outcome: Outcome::Applied,
        problem: None,
        policy: [0; 32],
        assurance: "tls".into(),
        recipients: vec!["home".into()],
        parties: vec![CORRIDOR.into(), "home".into()],
        urgency: 5,
        spends: vec![Spend { scope: "bench".into(), value: id.to_string(), expires_at: now + Duration::minutes(3) }],
        token: None,
        safety: false,
        stamped_at_once: false,
        decision: None,
        stands_beside: None,
    }
}

async fn load(journal: &Arc<Journal>, seconds: u32) -> Result<f64, CommandFault> {
    let handle = JournalHandle::start(journal.clone());
    let body = Arc::new(sample_body());
    let start = SystemClock.now();
    let end = start + Duration::seconds(seconds.into());
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..CONCURRENCY {
        let (handle, journal, body) = (handle.clone(), journal.clone(), body.clone());
        senders.spawn(async move {
            let mut sent = 0u32;
            while SystemClock.now() < end {
                handle.submit(intent(&journal, &body)).await.map_err(|e| CommandFault::Bench(e.to_string()))?;
                sent += 1;
            }
            Ok::<u32, CommandFault>(sent)
        });
    }
    let mut sent = 0;
    while let Some(done) = senders.join_next().await {
        sent += done.map_err(|e| CommandFault::Bench(e.to_string()))??;
    }
    Ok(f64::from(sent) / (SystemClock.now() - start).as_seconds_f64())
}

/// Text that compresses about as a real message does: member names repeat, values do not.
fn sample_body() -> Vec<u8> {
    let mut body = Vec::with_capacity(BODY);
    while body.len() < BODY {
        let mut value = [0; 12];
        SystemRandom.fill(&mut value);
        body.extend_from_slice(format!("\"member{:02}\":\"{}\",", body.len() % 40, hex::encode(value)).as_bytes());
    }
    body.truncate(BODY);
    body
}

fn reference(server: &PrivatePostgres, seconds: u32) -> Result<f64, CommandFault> {
    let body = hex::encode(&sample_body()[..BODY / 2]);
    pgbench(server, "channel", REFERENCE, &body, CONCURRENCY, seconds)
}

/// Transactions per second of a script, whose `:body` is a bound parameter.
fn pgbench(
    server: &PrivatePostgres,
    database: &str,
    sql: &str,
    body: &str,
    clients: usize,
    seconds: u32,
) -> Result<f64, CommandFault> {
    let script = std::env::temp_dir().join(format!("onechannel-bench-{}.sql", process::id()));
    fs::write(&script, sql).map_err(|e| CommandFault::File(script.clone(), e))?;
    let threads = clients.min(2).to_string();
    let output = process::Command::new(server.program("pgbench"))
        .args(["-n", "-M", "prepared", "-c", &clients.to_string(), "-j", &threads, "-T", &seconds.to_string()])
        .args(["-D", &format!("body={body}"), "-f"])
        .arg(&script)
        .arg(server.url(database))
        .output()
        .map_err(|e| CommandFault::Bench(e.to_string()))?;
    fs::remove_file(&script).map_err(|e| CommandFault::File(script.clone(), e))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let tps = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    tps.ok_or_else(|| CommandFault::Bench(String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn psql(server: &PrivatePostgres, database: &str, arguments: &[&str]) -> Result<(), CommandFault> {
    let output = process::Command::new(server.program("psql"))
        .args(["-qX", "-v", "ON_ERROR_STOP=1"])
        .args(arguments)
        .arg(server.url(database))
        .output()
        .map_err(|e| CommandFault::Bench(e.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(CommandFault::Bench(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Latency of one fdatasync on the server's disk, in microseconds, by the server's own tool.
fn fsync_us(server: &PrivatePostgres) -> Result<f64, CommandFault> {
    let file = std::env::temp_dir().join(format!("onechannel-fsync-{}", process::id()));
    let output = process::Command::new(server.program("pg_test_fsync"))
        .args(["-s", "1", "-f"])
        .arg(&file)
        .output()
        .map_err(|e| CommandFault::Bench(e.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.trim_start().starts_with("fdatasync"));
    let latency = line.and_then(|line| line.split_whitespace().rev().nth(1)?.parse().ok());
    latency.ok_or_else(|| CommandFault::Bench("pg_test_fsync gave no figure".into()))
}

/// Peak resident memory of a process (`self` for this one), in MiB (proc(5)).
fn peak_mib(process: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    peak.unwrap_or_default() / 1024.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
