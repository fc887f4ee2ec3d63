//! The gateway's process and its database end by SIGKILL, at every named step of a commit and at random: after each time the senders
//! repeat, and the whole ledger is checked.
//!
//! The steps are held from the database's side, by triggers that wait for a lock that the test holds: the program that is killed is
//! the shipped one, and knows nothing of it. Long mode (`ONECHANNEL_LONG=1`) repeats the round until more than 1,000 were killed.

use crate::support::{
    Databases,
    gateway::{Process, TestGateway, event},
    is_long, until,
};
use http::StatusCode;
use onechannel::{
    app::system::SystemRandom,
    domain::clock::Random,
    ledger::{
        audit,
        note::{Checkpoint, VerifierKey},
        receipt::Receipt,
        tree::Hash,
    },
    sandbox::{
        postgres::{Durability, PrivatePostgres},
        system::System,
    },
    store::{self, ledger},
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgPoolOptions};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet};

/// Where a transaction is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// By a trigger of the channel database.
    Channel(&'static str),
    /// By a trigger of the vault.
    Vault(&'static str),
    /// Its commit is on the disk, and the server waits for a standby that never comes before it says so.
    Unanswered,
}

/// The steps of a commit, in their order.
const STEPS: [(&str, Hold); 12] = [
    ("its nonces are spent", Hold::Channel("after insert on spent")),
    ("its dossier is written", Hold::Channel("after insert on dossiers")),
    ("its placement is written", Hold::Channel("after insert on subjects")),
    ("its key is made", Hold::Vault("after insert on keys")),
    ("the head is locked, the checkpoint signed", Hold::Channel("before insert on entries")),
    ("the leaves are written", Hold::Channel("after insert on entries")),
    ("the head is moved", Hold::Channel("after update on heads")),
    ("the checkpoint is written", Hold::Channel("after insert on commits")),
    ("the message is written", Hold::Channel("after insert on messages")),
    ("its deliveries are written", Hold::Channel("after insert on deliveries")),
    ("the commit is asked for", Hold::Channel("deferred")),
    ("the commit is durable and not answered", Hold::Unanswered),
];

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// The gateway. Its transaction ends when the server sees that nobody is there.
    Gateway,
    /// The gateway. Its transaction goes on beside those of its successor.
    GatewayBeside,
    /// Every process of the server.
    Server,
    /// The session of the transaction, upon which the server cuts all others and recovers.
    Session,
    /// The server, by an immediate shutdown.
    Immediate,
}

const VICTIMS: [Victim; 5] =
    [Victim::Gateway, Victim::Server, Victim::GatewayBeside, Victim::Session, Victim::Immediate];

const GATES: i32 = 815;
const SENDERS: usize = 4;

/// How long a server may recover before it takes a connection.
const RECOVERED_WITHIN: Duration = Duration::from_secs(60);

/// What senders were answered: message and receipt.
type Answered = Arc<watch::Sender<Vec<(Value, Value)>>>;

struct Stand {
    server: PrivatePostgres,
    gateway: TestGateway,
    process: Process,
    system: Arc<System>,
    keys: Vec<VerifierKey>,
    log: String,
    answered: Answered,
    /// Answers looked at by the last check.
    checked: usize,
    /// Every root that anybody was shown, by size.
    roots: BTreeMap<u64, Hash>,
    kept: Option<Checkpoint>,
}

/// Senders that send one message after another, each until it is answered.
struct Load {
    stop: Arc<AtomicBool>,
    senders: JoinSet<()>,
}

impl Load {
    /// Lets each sender end with an answer.
    async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(done) = self.senders.join_next().await {
            done.unwrap();
        }
    }
}

fn drawn() -> usize {
    let mut byte = [0];
    SystemRandom.fill(&mut byte);
    byte[0].into()
}

/// An arrival of a worker of its own.
fn arrival() -> Value {
    event("movement.arrived.v1", "P-IMM", |event| {
        let mut number = [0; 6];
        SystemRandom.fill(&mut number);
        event["data"]["placement"]["reference"] = json!(hex::encode(number));
        event["data"]["travelDocument"]["number"] = json!(format!("E{}", hex::encode_upper(&number[..4])));
    })
}

impl Stand {
    async fn new() -> Self {
        let server = PrivatePostgres::start(Durability::Default, None, &SystemRandom).unwrap();
        let gateway = TestGateway::prepare(Databases::on(&server).await).await;
        let gate = "create function gate() returns trigger language plpgsql as $$ begin
             perform pg_advisory_xact_lock_shared(815, tg_argv[0]::int); return null; end $$";
        let mut channel = PgConnection::connect(&gateway.databases.url).await.unwrap();
        let mut vault = PgConnection::connect(&gateway.databases.vault_url).await.unwrap();
        for (n, (_, hold)) in STEPS.into_iter().enumerate() {
            let (connection, event) = match hold {
                Hold::Channel("deferred") => (&mut channel, None),
                Hold::Channel(event) => (&mut channel, Some(event)),
                Hold::Vault(event) => (&mut vault, Some(event)),
                Hold::Unanswered => continue,
            };
            let trigger = match event {
                Some(event) => format!("create trigger gate_{n} {event} for each statement execute function gate({n})"),
                None => format!(
                    "create constraint trigger gate_{n} after insert on messages deferrable initially deferred
                     for each row execute function gate({n})"
                ),
            };
            let there = "select exists (select from pg_proc where proname = 'gate')";
            if !sqlx::query_scalar::<_, bool>(there).fetch_one(&mut *connection).await.unwrap() {
                sqlx::raw_sql(gate).execute(&mut *connection).await.unwrap();
            }
            sqlx::raw_sql(AssertSqlSafe(trigger)).execute(&mut *connection).await.unwrap();
        }
        // The wait for a standby holds the channel's commits; the vault's go on as durable as ever.
        let name: String = sqlx::query_scalar("select current_database()").fetch_one(&mut vault).await.unwrap();
        let local = format!("alter database {name} set synchronous_commit = local");
        sqlx::raw_sql(AssertSqlSafe(local)).execute(&mut vault).await.unwrap();
        let text = std::fs::read_to_string(&gateway.stand.log_keys).unwrap();
        let keys = text.lines().map(|line| VerifierKey::parse(line).unwrap()).collect::<Vec<_>>();
        let log = keys.iter().find(|key| key.name.ends_with("/my")).unwrap().name.clone();
        let system = Arc::new(gateway.system("my-gateway"));
        let process = Process::serve(&gateway);
        let (answered, roots) = (Answered::new(watch::Sender::new(Vec::new())), BTreeMap::new());
        Self { server, gateway, process, system, keys, log, answered, checked: 0, roots, kept: None }
    }

    fn load(&self) -> Load {
        let (stop, mut senders) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for _ in 0..SENDERS {
            let (system, stop, answered) = (self.system.clone(), stop.clone(), self.answered.clone());
            senders.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let message = arrival();
                    let receipt = loop {
                        match system.send_until_stored(&message).await {
                            Ok(reply) if reply.status.is_success() => break reply.body["receipt"].clone(),
                            Ok(reply) => assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.body),
                            Err(_) => {}
                        }
                    };
                    answered.send_modify(|answered| answered.push((message, receipt)));
                }
            });
        }
        Load { stop, senders }
    }

    async fn answers(&self, more: usize) {
        let mut answered = self.answered.subscribe();
        let until = answered.borrow().len() + more;
        answered.wait_for(|answered| answered.len() >= until).await.unwrap();
    }

    /// A superuser's connection, as soon as the server takes one.
    async fn connection(&self, vault: bool) -> PgConnection {
        let databases = &self.gateway.databases;
        let url = if vault { &databases.vault_url } else { &databases.url };
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(RECOVERED_WITHIN).connect_lazy(url).unwrap();
        pool.acquire().await.unwrap().detach()
    }

    /// Lets nothing past a step; gives the connection that holds it and the first session that was stopped there.
    async fn stop_at(&self, step: usize) -> (PgConnection, u32) {
        let hold = STEPS[step].1;
        let mut holder = self.connection(matches!(hold, Hold::Vault(_))).await;
        let waiting = if hold == Hold::Unanswered {
            standby(&mut holder, "set synchronous_standby_names = 'nobody'").await;
            "select pid from pg_stat_activity where datname = current_database() and wait_event = 'SyncRep'
             and query ilike 'commit%'"
                .to_owned()
        } else {
            let lock = sqlx::query("select pg_advisory_lock($1, $2)").bind(GATES).bind(step as i32);
            lock.execute(&mut holder).await.unwrap();
            format!(
                "select l.pid from pg_locks l join pg_database d on d.oid = l.database and d.datname = current_database()
                 where locktype = 'advisory' and classid = {GATES} and objid = {step} and not granted"
            )
        };
        let mut stopped = None;
        until(async || {
            let found = sqlx::query_scalar::<_, i32>(AssertSqlSafe(waiting.clone()));
            stopped = found.fetch_optional(&mut holder).await.unwrap();
            stopped.is_some()
        })
        .await;
        (holder, stopped.unwrap() as u32)
    }

    /// Kills at a step, or at random, and starts again what does not start by itself.
    async fn kill(&mut self, victim: Victim, step: Option<usize>) {
        let mut held = match step {
            Some(step) => Some(self.stop_at(step).await),
            None => {
                self.answers(drawn() % 8).await;
                for _ in 0..drawn() {
                    tokio::task::yield_now().await;
                }
                None
            }
        };
        match victim {
            Victim::Gateway | Victim::GatewayBeside => self.process.kill(),
            Victim::Server => self.server.kill().unwrap(),
            Victim::Immediate => self.server.crash().unwrap(),
            Victim::Session => {
                let mut witness = self.connection(false).await;
                let session = match &held {
                    Some((_, pid)) => *pid,
                    None => {
                        let last = "select pid from pg_stat_activity where application_name = 'onechannel' and
                             datname = current_database() order by state_change desc limit 1";
                        sqlx::query_scalar::<_, i32>(last).fetch_one(&mut witness).await.unwrap() as u32
                    }
                };
                self.server.kill_session(session).unwrap();
                // Ends when the server cuts it.
                sqlx::query("select pg_sleep(600)").execute(&mut witness).await.unwrap_err();
            }
        }
        match victim {
            Victim::Session => {}
            Victim::Server | Victim::Immediate => self.server.resume().unwrap(),
            Victim::Gateway => {
                self.release(held, step).await;
                self.process = Process::serve(&self.gateway);
                return;
            }
            Victim::GatewayBeside => {
                self.process = Process::serve(&self.gateway);
                if let Some((holder, _)) = &mut held {
                    met(holder).await;
                }
                self.release(held, step).await;
                return;
            }
        }
        if step.is_some_and(|step| STEPS[step].1 == Hold::Unanswered) {
            // The setting outlives the server.
            let mut connection = self.connection(false).await;
            standby(&mut connection, "reset synchronous_standby_names").await;
        }
    }

    async fn release(&self, held: Option<(PgConnection, u32)>, step: Option<usize>) {
        let Some((mut holder, _)) = held else { return };
        if step.is_some_and(|step| STEPS[step].1 == Hold::Unanswered) {
            standby(&mut holder, "reset synchronous_standby_names").await;
        }
        holder.close().await.unwrap();
    }

    /// What must hold whatever happened, while nothing is under way.
    async fn check(&mut self, after: &str) {
        let mut owner = self.connection(false).await;
        // Of its own: one that was open before may hold connections that were cut.
        let pool = &store::pool(&self.gateway.databases.url, 1).unwrap();
        for log in ledger::logs(pool).await.unwrap() {
            let kept = self.kept.as_ref().filter(|kept| kept.origin == log);
            let checked = ledger::check_against(pool, &log, &self.keys, kept, None, &mut |_| ()).await.unwrap();
            assert!(checked.faults.is_empty(), "{after}: {log}: {:?}", checked.faults);
        }
        let answered = self.answered.borrow()[self.checked..].to_vec();
        self.checked += answered.len();
        let mut places = HashMap::new();
        for (_, receipt) in &answered {
            let receipt: Receipt = serde_json::from_value(receipt.clone()).unwrap();
            let verified = receipt.verify(&self.keys, None).unwrap();
            let Checkpoint { size, root, .. } = verified.checkpoint;
            assert_eq!(*self.roots.entry(size).or_insert(root), root, "{after}: two roots of {size} leaves");
            places.insert(receipt.index as i64, receipt.entry);
        }
        assert_eq!(places.len(), answered.len(), "{after}: two messages have one place");
        let indices: Vec<i64> = places.keys().copied().collect();
        let rows = sqlx::query("select idx, entry from entries where log = $1 and idx = any($2)");
        let rows = rows.bind(&self.log).bind(&indices).fetch_all(&mut owner).await.unwrap();
        let there: HashMap<i64, String> = rows.into_iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(there, places, "{after}: an acknowledged entry is missing or another");
        let rows = sqlx::query("select size, root from commits where log = $1").bind(&self.log);
        for row in rows.fetch_all(&mut owner).await.unwrap() {
            let (size, root): (i64, Vec<u8>) = (row.get(0), row.get(1));
            if let Some(shown) = self.roots.get(&(size as u64)) {
                assert_eq!(root, shown, "{after}: two roots of {size} leaves");
            }
        }
        // Each sender has its answer, so what is stored is what was answered, each once.
        let stored = "select count(*), count(distinct leaf), (select count(*) from entries where log = $1
             and entry like '%\"kind\":\"received\"%') from messages where log = $1";
        let row = sqlx::query(stored).bind(&self.log).fetch_one(&mut owner).await.unwrap();
        let counts: [i64; 3] = std::array::from_fn(|n| row.get(n));
        assert_eq!(counts, [self.checked as i64; 3], "{after}: messages, their leaves, entries received");
        let gaps = "select count(*) from (select party from deliveries group by party
             having max(seq) <> count(*) or min(seq) <> 1) as torn";
        assert_eq!(sqlx::query_scalar::<_, i64>(gaps).fetch_one(&mut owner).await.unwrap(), 0, "{after}: deliveries");
        let note = ledger::checkpoint(pool, &self.log).await.unwrap().unwrap();
        self.kept = Some(audit::open(&note, &self.keys).unwrap());
    }

    /// Every message that was answered, sent again, gets its first receipt.
    async fn repeat_all(&self) {
        let answered = self.answered.borrow().clone();
        let ids: HashSet<String> = answered.iter().map(|(message, _)| message["id"].to_string()).collect();
        assert_eq!(ids.len(), answered.len());
        for (message, receipt) in &answered {
            let again = self.system.send(message).await.unwrap();
            assert_eq!((again.status, &again.body["receipt"]), (StatusCode::OK, receipt));
        }
    }
}

/// Waits until a transaction of a gateway that was started just now meets what the killed one still holds.
async fn met(holder: &mut PgConnection) {
    let now: String = sqlx::query_scalar("select now()::text").fetch_one(&mut *holder).await.unwrap();
    let waits = "select count(*) from pg_stat_activity where application_name = 'onechannel' and
         backend_start > $1::timestamptz and (wait_event_type = 'Lock' or wait_event = 'SyncRep')";
    until(async || sqlx::query_scalar::<_, i64>(waits).bind(&now).fetch_one(&mut *holder).await.unwrap() > 0).await;
}

async fn standby(connection: &mut PgConnection, setting: &str) {
    sqlx::raw_sql(AssertSqlSafe(format!("alter system {setting}"))).execute(&mut *connection).await.unwrap();
    sqlx::query("select pg_reload_conf()").execute(connection).await.unwrap();
}

/// Kills at every step and at random, two victims each; gives the number of kills.
async fn round(round: usize) -> usize {
    let mut stand = Stand::new().await;
    let load = stand.load();
    stand.answers(SENDERS).await;
    load.end().await;
    let mut kills = 0;
    for n in 0..2 * (STEPS.len() + 1) {
        let step = Some(n / 2).filter(|step| *step < STEPS.len());
        // Both victims of a step differ, and over five rounds each step has every victim twice.
        let victim = VICTIMS[(n / 2 + 2 * (n % 2) + round) % VICTIMS.len()];
        let after = format!("{victim:?} killed when {}", step.map_or("nobody looked", |step| STEPS[step].0));
        let load = stand.load();
        stand.kill(victim, step).await;
        load.end().await;
        stand.check(&after).await;
        kills += 1;
    }
    stand.repeat_all().await;
    stand.check("after all were repeated").await;
    kills
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_at_whatever_step_no_answered_entry_is_lost_doubled_or_of_another_history() {
    let rounds = if is_long() { 40 } else { 1 };
    let mut kills = 0;
    for n in 0..rounds {
        kills += round(n).await;
        println!("{kills} kills: every log holds, nothing answered is missing or twice, no size has two roots");
    }
    assert_eq!(kills, rounds * 26);
}
