//! `onechannel bench intake`: the whole path (TLS, token, signature, digest, JSON, schema, facts, fold, ledger, seals, deliveries,
//! commit, signed answer) against the gateway as its own process, beside `pgbench` on the same server in the same run.

use super::{BODY, CommandFault, Holds, fsync_us, median, peak_mib, psql, reference};
use crate::{
    app::system::{SystemClock, SystemRandom},
    domain::clock::{Clock, Random, uuid_v7},
    sandbox::{
        postgres::{Durability, PrivatePostgres},
        stand::{self, Parts, Ports, Stand},
        system::System,
    },
};
use http::Method;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};
use time::Duration;

/// Messages in a batch.
const BATCH: usize = 100;

/// One run.
#[derive(Debug, Clone, Default)]
struct Run {
    per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
}

struct Gateway {
    process: Child,
    stand: Stand,
    base: String,
    folder: PathBuf,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn bad(fault: impl std::fmt::Display) -> CommandFault {
    CommandFault::Bench(fault.to_string())
}

/// What a run is asked for.
#[derive(Debug, clap::Args)]
pub(in crate::app::command) struct Options {
    /// Length of each run, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Only this many connections (at most 64)
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: Option<u16>,
    /// Only this many messages in a batch, with --connections
    #[arg(long, default_value_t = 1, requires = "connections", value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Connections, messages in a batch, and the share of the rate just reached at which requests are paced (`None`: each
/// connection sends again as soon as it has its answer).
type Shape = (usize, usize, Option<f64>);

const SHAPES: [Shape; 5] = [(1, 1, None), (16, 1, None), (64, 1, None), (64, 1, Some(0.5)), (16, BATCH, None)];

pub(super) async fn run(options: Options) -> Result<Holds, CommandFault> {
    let Options { seconds, connections, batch, json: as_json } = options;
    let only = connections.map(|connections| vec![(usize::from(connections), usize::from(batch), None)]);
    let server = PrivatePostgres::start(Durability::Default, None, &SystemRandom)?;
    let gateway = prepare(&server).await?;
    let systems = gateway.systems(64).await?;
    let fsync = fsync_us(&server)?;
    let mut lines = Vec::new();
    let mut references = vec![reference(&server, seconds)?];
    let mut reached = 0.0;
    for (connections, batch, share) in only.unwrap_or(SHAPES.to_vec()) {
        let mut runs = Vec::new();
        let pace = share.map(|share: f64| share * reached);
        for _ in 0..2 {
            runs.push(gateway.load(&systems[..connections], batch, seconds, pace).await?);
            references.push(reference(&server, seconds)?);
        }
        let of = |value: fn(&Run) -> f64| runs.iter().map(value).sum::<f64>() / runs.len() as f64;
        let middle = Run {
            per_s: of(|r| r.per_s),
            p50_ms: of(|r| r.p50_ms),
            p99_ms: of(|r| r.p99_ms),
            cpu_us: of(|r| r.cpu_us),
        };
        reached = middle.per_s;
        lines.push((connections, batch, pace, middle));
    }
    let pgbench = median(references);
    let memory = peak_mib(&gateway.process.id().to_string());
    if as_json {
        let runs = lines.iter().map(|(connections, batch, pace, run)| {
            json!({"connections": connections, "batch": batch, "paced_per_s": pace, "records_per_s": run.per_s, "ratio": run.per_s / pgbench,
                "p50_ms": run.p50_ms, "p99_ms": run.p99_ms, "gateway_cpu_us_per_record": run.cpu_us})
        });
        let runs: Vec<Value> = runs.collect();
        println!(
            "{}",
            json!({"fsync_us": fsync, "pgbench_tps": pgbench, "gateway_peak_rss_mib": memory, "runs": runs})
        );
        return Ok(true);
    }
    println!(
        "{BODY}-byte signed messages over mutual TLS; gateway, PostgreSQL and clients on the same cores; two runs of"
    );
    println!(
        "{seconds} s each, pgbench (64 clients, BEGIN, two INSERTs of {BODY} bytes, COMMIT) between them, median:"
    );
    println!(
        "  pgbench {pgbench:>8.0} transactions/s; one fdatasync {fsync:.0} µs; gateway's peak memory {memory:.0} MiB"
    );
    for (connections, batch, pace, run) in lines {
        let ratio = run.per_s / pgbench;
        let paced = pace.map(|_| " at half of that rate").unwrap_or_default();
        println!(
            "  {connections:>3} connections, batch {batch:>3}{paced}: {:>7.0} records/s, ratio {ratio:.2}, p50 {:.2} ms, p99 {:.2} ms, \
             gateway CPU {:.0} µs a record",
            run.per_s, run.p50_ms, run.p99_ms, run.cpu_us
        );
    }
    Ok(true)
}

async fn prepare(server: &PrivatePostgres) -> Result<Gateway, CommandFault> {
    for statement in ["create database channel", "create database vault"] {
        psql(server, "postgres", &["-c", statement])?;
    }
    let (channel, vault) = (server.url("channel"), server.url("vault"));
    let mut word = [0; 6];
    SystemRandom.fill(&mut word);
    let folder = std::env::temp_dir().join(format!("onechannel-bench-{}", hex::encode(word)));
    fs::create_dir_all(&folder).map_err(bad)?;
    let mut ports = [0; 3];
    for port in &mut ports {
        *port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|held| held.local_addr()).map_err(bad)?.port();
    }
    let parts = Parts {
        folder: &folder,
        schemas: Path::new("schemas"),
        partners: Path::new("partners"),
        channel: &channel,
        vault: &vault,
        ports: Ports { channel: ports[0], ministry: ports[1], ops: ports[2] },
        endpoints: &[],
    };
    let stand = stand::set_up(&parts, &SystemClock, &SystemRandom).await.map_err(bad)?;
    let tables = ["-c", "create table reference_a (body text)", "-c", "create table reference_b (body text)"];
    psql(server, "channel", &tables)?;
    let mut serve = Command::new(std::env::current_exe().map_err(bad)?);
    serve.args(["serve", "--config"]).arg(&stand.config).env("RUST_LOG", "error").stdout(Stdio::null());
    let process = serve.spawn().map_err(bad)?;
    Ok(Gateway { process, stand, base: format!("https://localhost:{}", ports[0]), folder })
}

impl Gateway {
    /// `n` systems of one partner's client, a connection each.
    async fn systems(&self, n: usize) -> Result<Vec<Arc<System>>, CommandFault> {
        let pki = &self.stand.pki;
        let files = pki.clients.values().find(|files| pki.mocks.contains_key(&files.party));
        let files = files.ok_or_else(|| bad("there is no partner"))?;
        let public = self.folder.join("pki/gateway-sign.pub.pem");
        let system = |_| System::new(&self.base, &pki.ca, files, &public, "gateway-sign-1").map(Arc::new).map_err(bad);
        let systems = (0..n).map(system).collect::<Result<Vec<_>, _>>()?;
        for _ in 0..200 {
            if systems[0].fresh_token().await.is_ok() {
                return Ok(systems);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Err(bad("the gateway does not answer"))
    }

    async fn load(
        &self,
        systems: &[Arc<System>],
        batch: usize,
        seconds: u32,
        pace: Option<f64>,
    ) -> Result<Run, CommandFault> {
        let sample = Arc::new(sample()?);
        for system in systems {
            send(system, &sample, batch).await?;
        }
        let (cpu, start) = (self.cpu_us(), SystemClock.now());
        let end = start + Duration::seconds(seconds.into());
        let mut senders = tokio::task::JoinSet::new();
        let every = pace.map(|pace| std::time::Duration::from_secs_f64((systems.len() * batch) as f64 / pace));
        for (n, system) in systems.iter().enumerate() {
            let (system, sample) = (system.clone(), sample.clone());
            let first = every.map(|every| tokio::time::Instant::now() + every.mul_f64(n as f64 / systems.len() as f64));
            senders.spawn(async move {
                let mut times = Vec::new();
                let mut due = first;
                while SystemClock.now() < end {
                    // A request that could not leave in its time counts from when it should have.
                    let now = tokio::time::Instant::now();
                    let late = due.filter(|due| *due < now);
                    if let (Some(at), None) = (due, late) {
                        tokio::time::sleep_until(at).await;
                    }
                    let before = late.unwrap_or_else(tokio::time::Instant::now);
                    due = due.zip(every).map(|(due, every)| due + every);
                    send(&system, &sample, batch).await?;
                    times.push(before.elapsed().as_secs_f64() * 1e3);
                }
                Ok::<Vec<f64>, CommandFault>(times)
            });
        }
        let mut times = Vec::new();
        while let Some(done) = senders.join_next().await {
            times.extend(done.map_err(bad)??);
        }
        let (records, elapsed) = ((times.len() * batch) as f64, (SystemClock.now() - start).as_seconds_f64());
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
        let cpu_us = (self.cpu_us() - cpu) / records;
        Ok(Run { per_s: records / elapsed, p50_ms: at(0.5), p99_ms: at(0.99), cpu_us })
    }

    /// User and system time of the gateway's process so far, in microseconds (proc(5), 100 ticks a second).
    fn cpu_us(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        let fields: Vec<f64> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .map(|text| text.parse().unwrap_or_default())
            .collect();
        fields.iter().skip(10).take(2).sum::<f64>() * 10_000.0
    }
}

/// A contract for endorsement with its worker.
fn sample() -> Result<Value, CommandFault> {
    let example = |name: &str| -> Result<Value, CommandFault> {
        let bytes = fs::read(format!("schemas/examples/valid/{name}.json")).map_err(bad)?;
        serde_json::from_slice(&bytes).map_err(bad)
    };
    let mut event = example("contract.submitted.v1")?;
    let worker = &example("placement.nominated.v1")?["data"]["worker"];
    event["data"]["worker"] = json!({"name": {"full": worker["name"]["full"]}, "sex": worker["sex"],
        "nationality": worker["nationality"], "birthDate": worker["birthDate"]});
    event["data"]["contract"]["reason"] = "r".repeat(400).into();
    Ok(event)
}

/// The sample about a placement of its own, filled up with white space to the size of the reference's rows.
fn fresh(sample: &Value) -> String {
    let id = uuid_v7(&SystemClock, &SystemRandom);
    let mut passport = [0; 9];
    SystemRandom.fill(&mut passport);
    let passport: String =
        passport.map(|byte| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[usize::from(byte % 32)])).iter().collect();
    let mut event = sample.clone();
    event["id"] = id.to_string().into();
    event["data"]["placement"]["reference"] = id.simple().to_string().into();
    event["data"]["travelDocument"]["number"] = passport.into();
    let mut text = event.to_string();
    text.insert_str(1, &" ".repeat(BODY.saturating_sub(text.len())));
    text
}

async fn send(system: &System, sample: &Value, batch: usize) -> Result<(), CommandFault> {
    let single = batch == 1;
    let (body, content_type) = if single {
        (fresh(sample), "application/cloudevents+json")
    } else {
        let items: Vec<String> = (0..batch).map(|_| fresh(sample)).collect();
        (format!("[{}]", items.join(",")), "application/cloudevents-batch+json")
    };
    let reply = system.call(Method::POST, "/v1/messages", content_type, body.into_bytes()).await.map_err(bad)?;
    let stored = |item: &Value| item["status"] == 201;
    let all =
        if single { reply.status == 201 } else { reply.body.as_array().is_some_and(|items| items.iter().all(stored)) };
    if all { Ok(()) } else { Err(bad(&reply.body)) }
}
