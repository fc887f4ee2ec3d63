//! `onechannel demo`: the whole thing on one machine. A private PostgreSQL, a throw-away PKI, the gateway, a mock of every
//! partner government, and a synthetic population moving through the channel.

use super::{CommandFault, Holds, serve::end_asked};
use crate::{
    app::{
        config::Config,
        gateway::{self, Running},
        system::{SystemClock, SystemRandom},
    },
    domain::clock::{Clock, Random},
    ledger::note::VerifierKey,
    sandbox::{
        contract::Contract,
        mock::{Mock, log},
        officer,
        population::{Corridor, Population, Tally, Traveller},
        postgres::{Durability, PrivatePostgres},
        report::{self, Report},
        stand::{self, Parts, Ports, Stand},
        system::System,
        time_stamp_authority::TimeStampAuthority,
    },
};
use futures_util::{StreamExt, stream};
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, sync::watch};

/// Placements on the move at the same moment.
const ON_THE_MOVE: usize = 48;
/// Checkpoints are stamped in batches of this.
const STAMP_EVERY_S: u32 = 10;
/// A run that makes no progress for so many looks (a quarter of a second each) has come to rest or is stuck.
const PATIENCE: u32 = 120;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples: onechannel demo\n          onechannel demo --once --records 2000 --json")]
pub(super) struct Arguments {
    /// Run a bounded load to its end, print a report, exit 0 only if every number agrees
    #[arg(long)]
    once: bool,
    /// Placements to move (with --once)
    #[arg(long, default_value_t = 2_000)]
    records: u32,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Keep all state in this folder and write demo.json there
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The folder of schemas
    #[arg(long)]
    schemas: Option<PathBuf>,
    /// The folder of parties
    #[arg(long)]
    partners: Option<PathBuf>,
}

/// Everything that runs.
struct Demo {
    stand: Stand,
    config: Config,
    running: Running,
    population: Arc<Population>,
    stop: watch::Sender<bool>,
    folder: PathBuf,
    scratch: Option<Scratch>,
    private: Option<PrivatePostgres>,
    guests: Option<(String, [String; 2])>,
}

/// A folder that goes with us.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Arguments {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        super::log("onechannel=error");
        let mut demo = tokio::select! {
            demo = self.set_up() => demo?,
            () = end_asked() => return Ok(false),
        };
        let readers = tokio::spawn(read_mailboxes(demo.population.clone(), demo.stop.subscribe()));
        let logs = tokio::spawn(submit_logs(demo.population.clone(), demo.stop.subscribe()));
        if !self.json {
            demo.print_addresses();
        }
        let holds = if self.once {
            let report = tokio::select! {
                report = self.load(&demo) => Some(report?),
                () = end_asked() => None,
            };
            if let Some(report) = &report {
                self.print(report)?;
            }
            report.is_some_and(|report| report.agreed)
        } else {
            tokio::select! {
                () = self.go_on(&demo) => {}
                () = end_asked() => {}
            }
            true
        };
        demo.stop.send_replace(true);
        let _ = tokio::join!(readers, logs);
        demo.running.stop().await;
        // Ours first: the server's keeper, another user, takes away what is its own.
        drop(demo.scratch.take());
        if let Some(mut server) = demo.private.take() {
            server.halt()?;
        }
        if let Some((url, names)) = &demo.guests {
            crate::store::drop_databases(url, names).await?;
        }
        Ok(holds)
    }

    async fn set_up(&self) -> Result<Demo, CommandFault> {
        let root = std::env::var("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
        let schemas = self.schemas.clone().unwrap_or_else(|| root.join("schemas"));
        let partners = self.partners.clone().unwrap_or_else(|| root.join("partners"));
        for folder in [&schemas, &partners] {
            if !folder.is_dir() {
                let text = "is not there: run from the folder that holds it, or name it (see --help)";
                return Err(CommandFault::Content(folder.clone(), text.to_owned()));
            }
        }
        if let Some(dir) = self.dir.as_ref().filter(|dir| dir.join("demo.json").exists()) {
            let text = "holds a demo already: remove it, or choose another folder";
            return Err(CommandFault::Content(dir.clone(), text.to_owned()));
        }
        let Databases { private, channel, vault, guests } = databases(self.dir.as_deref()).await?;
        let (folder, scratch) = self.folder(private.as_ref())?;
        let file = |fault| CommandFault::File(folder.clone(), fault);
        let mut listeners = BTreeMap::new();
        for code in partner_codes(&partners)? {
            listeners.insert(code, TcpListener::bind("127.0.0.1:0").await.map_err(file)?);
        }
        let mut endpoints = Vec::new();
        for (code, listener) in &listeners {
            endpoints
                .push((code.clone(), format!("https://localhost:{}", listener.local_addr().map_err(file)?.port())));
        }
        let [channel_port, ministry, ops] = free_ports().map_err(file)?;
        let parts = Parts {
            folder: &folder,
            schemas: &schemas,
            partners: &partners,
            channel: &channel,
            vault: &vault,
            ports: Ports { channel: channel_port, ministry, ops },
            endpoints: &endpoints,
        };
        let stand = stand::set_up(&parts, &SystemClock, &SystemRandom).await;
        let stand = stand.map_err(|fault| CommandFault::Start(fault.to_string()))?;
        let (stop, stopped) = watch::channel(false);
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(file)?;
        let url = format!("http://{}/", listener.local_addr().map_err(file)?);
        let start = |fault: &dyn std::fmt::Display| CommandFault::Start(fault.to_string());
        let authority = TimeStampAuthority::start(listener, Arc::new(SystemClock), stopped.clone());
        let root = authority.map_err(|fault| start(&fault))?.root.clone();
        stand.stamped_by(&url, &root, STAMP_EVERY_S).map_err(|fault| start(&fault))?;
        let config = Config::read(&stand.config).map_err(CommandFault::Start)?;
        // The partners first: the gateway asks their witnesses before it signs anything.
        let mocks = listeners.into_iter().map(|(code, listener)| {
            let mock = Mock::start(&code, &stand.pki, listener, stopped.clone()).map_err(CommandFault::Start)?;
            Ok((code, mock))
        });
        let mocks = mocks.collect::<Result<BTreeMap<_, _>, CommandFault>>()?;
        let running = gateway::start(&config).await.map_err(|faults| CommandFault::Start(faults.to_string()))?;
        let population = population(&stand, &config, &running, mocks, &folder)?;
        let demo = Demo { stand, config, running, population, stop, folder, scratch, private, guests };
        if self.dir.is_some() {
            demo.write_json(&channel)?;
        }
        Ok(demo)
    }

    /// Where everything lies. Without `--dir` below the private server's folder: who ends us by force ends that too.
    fn folder(&self, private: Option<&PrivatePostgres>) -> Result<(PathBuf, Option<Scratch>), CommandFault> {
        let make = |path: &Path| fs::create_dir_all(path).map_err(|fault| CommandFault::File(path.to_owned(), fault));
        if let Some(dir) = &self.dir {
            make(dir)?;
            let whole = fs::canonicalize(dir).map_err(|fault| CommandFault::File(dir.clone(), fault))?;
            return Ok((whole, None));
        }
        let mut word = [0; 6];
        SystemRandom.fill(&mut word);
        let base = private.map_or_else(std::env::temp_dir, |server| server.folder().to_owned());
        let folder = base.join(format!("onechannel-demo-{}", hex::encode(word)));
        make(&folder)?;
        Ok((folder.clone(), Some(Scratch(folder))))
    }

    async fn load(&self, demo: &Demo) -> Result<Report, CommandFault> {
        let population = &demo.population;
        population.corridors.iter().for_each(|corridor| corridor.mock.trouble_every(50));
        let start = SystemClock.now();
        let bar = ProgressBar::new(self.records.into());
        if let Ok(style) = ProgressStyle::with_template("{msg:>10} {bar:40} {pos}/{len} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message("moving");
        let moving = (0..self.records).map(|n| population.move_one(n));
        let travellers: Vec<Traveller> = stream::iter(moving)
            .buffer_unordered(ON_THE_MOVE)
            .inspect(|_| bar.inc(1))
            .filter_map(|traveller| async { traveller })
            .collect()
            .await;
        let gateway = &demo.running.gateway;
        let (mut looks, mut last) = (0, i64::MAX);
        loop {
            let left = report::unfinished(gateway, population).await?;
            bar.set_message(format!("{left} open"));
            looks = if left < last { 0 } else { looks + 1 };
            last = left;
            if left == 0 || looks > PATIENCE {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        }
        bar.finish_and_clear();
        let seconds = (SystemClock.now() - start).as_seconds_f64();
        let text = fs::read_to_string(&demo.stand.log_keys);
        let text = text.map_err(|fault| CommandFault::File(demo.stand.log_keys.clone(), fault))?;
        let keys: Vec<VerifierKey> = text.lines().filter_map(|line| VerifierKey::parse(line).ok()).collect();
        gateway.journal.log_lookups(gateway.policy(crate::store::journal::DOMESTIC)).await?;
        Ok(report::make(gateway, population, &travellers, &keys, seconds).await?)
    }

    /// A slow, endless stream of placements, with a line of figures every few seconds.
    async fn go_on(&self, demo: &Demo) {
        for n in 0.. {
            let population = demo.population.clone();
            tokio::spawn(async move { population.move_one(n).await });
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            if n % 10 == 9 && !self.json {
                let tally = demo.population.tally.lock().expect("no holder of this lock can panic").clone();
                let told: usize = demo.population.corridors.iter().map(|corridor| corridor.mock.told().len()).sum();
                println!(
                    "{} placements on the move, {} messages sent, partners told {told}: {:?}",
                    n + 1,
                    tally.sent,
                    tally.answers
                );
            }
        }
    }

    fn print(&self, report: &Report) -> Result<(), CommandFault> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(report).unwrap_or_default());
            return Ok(());
        }
        println!("\n{} placements, {} messages sent in {:.1} s", report.placements, report.sent, report.seconds);
        println!(
            "  applied {}, held {}, refused {}, repeats {}",
            report.applied, report.held, report.refused, report.repeats
        );
        report.refused_by_reason.iter().for_each(|(reason, n)| println!("    refused for {reason}: {n}"));
        report.delivered.iter().for_each(|(party, n)| println!("  delivered to {party}: {n}"));
        report.not_delivered.iter().for_each(|(party, n)| println!("  NOT delivered to {party}: {n}"));
        for (code, sides) in &report.corridors {
            println!(
                "  corridor {code}: {} placements, gateway agrees on {}, partner agrees on {}",
                sides.placements, sides.gateway_agrees, sides.partner_agrees
            );
            sides.stages.iter().for_each(|(stage, n)| println!("    {stage}: {n}"));
        }
        for (log, state) in &report.logs {
            let cosigned = state.cosigned.map(|size| format!(", {size} cosigned by the partner")).unwrap_or_default();
            let holds = if state.holds { "holds" } else { "DOES NOT HOLD" };
            println!("  log {log}: {} leaves{cosigned}, {holds}", state.leaves);
        }
        report.surprises.iter().for_each(|surprise| println!("  ! {surprise}"));
        println!("{}", if report.agreed { "every number agrees" } else { "THE NUMBERS DO NOT AGREE" });
        Ok(())
    }
}

impl Demo {
    fn print_addresses(&self) {
        println!("channel port   {}", self.config.external);
        println!("ministry port  http://{}", self.config.ministry_listen);
        println!("operations     http://{}", self.config.ops_listen);
        for corridor in &self.population.corridors {
            println!("mock partner   {} {}", corridor.code, corridor.mock.base());
        }
        println!("credentials    {}", self.folder.join("pki").display());
        println!("log keys       {}", self.stand.log_keys.display());
        println!("configuration  {}", self.stand.config.display());
    }

    fn write_json(&self, database_url: &str) -> Result<(), CommandFault> {
        let clients: Vec<_> = self
            .stand
            .pki
            .clients
            .values()
            .map(|one| {
                json!({"client_id": one.client_id, "party": one.party, "authorities": one.authorities,
                    "ca": self.stand.pki.ca, "client_cert": one.client_cert, "client_key": one.client_key,
                    "signing_key": one.signing_key, "key_id": one.key_id})
            })
            .collect();
        let token = officer::token(&self.stand.officer_key, "demo-officer", &[], 30 * 24 * 3_600)
            .map_err(CommandFault::Start)?;
        let mocks: BTreeMap<&str, &str> =
            self.population.corridors.iter().map(|corridor| (corridor.code.as_str(), corridor.mock.base())).collect();
        let whole = json!({"channel_api": self.config.external, "ministry_api": format!("http://{}", self.config.ministry_listen),
            "ops": format!("http://{}", self.config.ops_listen), "database_url": database_url,
            "ministry_token": token, "clients": clients, "log_keys": self.stand.log_keys, "mock_partners": mocks,
            "gateway_signing_key": self.stand.pki.signing.with_extension("pub.pem"), "gateway_key_id": "gateway-sign-1",
            "config": self.stand.config});
        let file = self.folder.join("demo.json");
        let text = serde_json::to_string_pretty(&whole).unwrap_or_default();
        fs::write(&file, text).map_err(|fault| CommandFault::File(file, fault))
    }
}

/// Where the demo's databases are.
struct Databases {
    private: Option<PrivatePostgres>,
    channel: String,
    vault: String,
    /// Databases to be dropped in the end from a server that is not ours.
    guests: Option<(String, [String; 2])>,
}

/// `DATABASE_URL`'s server with two fresh databases, or a private one.
async fn databases(keep: Option<&Path>) -> Result<Databases, CommandFault> {
    let mut word = [0; 4];
    SystemRandom.fill(&mut word);
    if let Ok(url) = std::env::var("DATABASE_URL") {
        let (base, query) = url.split_once('?').unwrap_or((&url, ""));
        let server = base.rsplit_once('/').map_or(base, |(server, _)| server).to_owned();
        let names = ["channel", "vault"].map(|name| format!("onechannel_{name}_{}", hex::encode(word)));
        crate::store::create_databases(&url, &names).await?;
        let of =
            |name: &str| if query.is_empty() { format!("{server}/{name}") } else { format!("{server}/{name}?{query}") };
        let (channel, vault) = (of(&names[0]), of(&names[1]));
        return Ok(Databases { private: None, channel, vault, guests: keep.is_none().then_some((url, names)) });
    }
    let folder = keep.map(|dir| {
        // As root the server runs under another user, who must be able to enter every folder on the way.
        let reachable =
            dir.ancestors().all(|one| fs::metadata(one).is_ok_and(|about| about.permissions().mode() & 0o001 != 0));
        if reachable {
            dir.join("postgres")
        } else {
            std::env::temp_dir().join(format!("onechannel-postgres-{}", hex::encode(word)))
        }
    });
    let server = PrivatePostgres::start(Durability::Default, folder.as_deref(), &SystemRandom)?;
    crate::store::create_databases(&server.url("postgres"), &["channel".to_owned(), "vault".to_owned()]).await?;
    let (channel, vault) = (server.url("channel"), server.url("vault"));
    Ok(Databases { private: Some(server), channel, vault, guests: None })
}

fn partner_codes(partners: &Path) -> Result<Vec<String>, CommandFault> {
    let fault = |fault| CommandFault::File(partners.to_owned(), fault);
    let mut codes = Vec::new();
    for entry in fs::read_dir(partners).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let Ok(text) = fs::read_to_string(path.join("party.toml")) else { continue };
        let profile: crate::partner::profile::Profile =
            toml::from_str(&text).map_err(|fault| CommandFault::Content(path.join("party.toml"), fault.to_string()))?;
        if profile.outbound.is_some() {
            codes.push(profile.code);
        }
    }
    codes.sort();
    Ok(codes)
}

fn free_ports<const N: usize>() -> std::io::Result<[u16; N]> {
    let held: Vec<_> = (0..N).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

fn population(
    stand: &Stand,
    config: &Config,
    running: &Running,
    mocks: BTreeMap<String, Arc<Mock>>,
    folder: &Path,
) -> Result<Arc<Population>, CommandFault> {
    let start = CommandFault::Start;
    let public = folder.join("pki/gateway-sign.pub.pem");
    let system = |client: &str| {
        let files = &stand.pki.clients[client];
        System::new(&config.external, &stand.pki.ca, files, &public, "gateway-sign-1").map_err(|f| start(f.to_string()))
    };
    let client_of =
        |party: &str| stand.pki.clients.values().find(|files| files.party == party).map(|f| f.client_id.clone());
    let mut corridors = Vec::new();
    for (code, mock) in mocks {
        let folder = stand.pki.partners.join(&code);
        let contract = Contract::load(&folder, &mock.profile.zone).map_err(start)?;
        let Some(client) = client_of(&code) else { continue };
        corridors.push(Corridor { profile: mock.profile.clone(), system: system(&client)?, code, contract, mock });
    }
    let home = &running.gateway.parties.home;
    let homes = stand.pki.clients.values().filter(|files| files.party == home.code());
    let home_systems = homes.map(|files| Ok((files.authorities.clone(), system(&files.client_id)?)));
    Ok(Arc::new(Population {
        corridors,
        home: Contract::load(&home.folder, &home.profile.zone).map_err(start)?,
        home_systems: home_systems.collect::<Result<_, CommandFault>>()?,
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        tally: Mutex::new(Tally::default()),
    }))
}

/// The partners' own logs are submitted to the gateway, which is their witness.
async fn submit_logs(population: Arc<Population>, stop: watch::Receiver<bool>) {
    let submitting = population.corridors.iter().filter_map(|corridor| {
        let log = corridor.mock.log.as_ref()?;
        Some(log::keep_submitting(log, &corridor.system, stop.clone()))
    });
    futures_util::future::join_all(submitting).await;
}

/// The home systems read what is addressed to them and acknowledge it.
async fn read_mailboxes(population: Arc<Population>, stop: watch::Receiver<bool>) {
    let reading = population.home_systems.iter().map(|(_, system)| async {
        while !*stop.borrow() {
            let page = system.call(Method::GET, "/v1/messages?limit=500", "", Vec::new()).await;
            let messages = page.ok().and_then(|page| page.body["messages"].as_array().cloned()).unwrap_or_default();
            match messages.last() {
                Some(last) => {
                    let body = json!({"cursor": last["cursor"]}).to_string().into_bytes();
                    let _ = system.call(Method::POST, "/v1/messages/ack", "application/json", body).await;
                }
                None => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
            }
        }
    });
    futures_util::future::join_all(reading).await;
}
