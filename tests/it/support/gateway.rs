//! A gateway on its own databases and ports, and the systems that call it.

use super::Databases;
use onechannel::{
    app::{
        config::Config,
        gateway::{self, Running},
        system::{SystemClock, SystemRandom},
    },
    domain::clock::{Random, uuid_v7},
    sandbox::{
        stand::{self, Parts, Ports, Stand},
        system::System,
    },
    store::ledger,
};
use serde_json::{Value, json};
use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

pub(crate) struct TestGateway {
    pub(crate) databases: Databases,
    pub(crate) stand: Stand,
    pub(crate) config: Config,
    pub(crate) running: Option<Running>,
    pub(crate) folder: PathBuf,
}

impl TestGateway {
    pub(crate) async fn start() -> Self {
        let mut gateway = Self::prepare(Databases::fresh().await).await;
        gateway.serve().await;
        gateway
    }

    pub(crate) async fn serve(&mut self) {
        self.running = Some(gateway::start(&self.config).await.unwrap());
    }

    /// A gateway that does not run yet.
    pub(crate) async fn prepare(databases: Databases) -> Self {
        let mut word = [0; 6];
        SystemRandom.fill(&mut word);
        let folder = std::env::temp_dir().join(format!("onechannel-test-{}", hex::encode(word)));
        std::fs::create_dir_all(&folder).unwrap();
        let [channel, ministry, ops] = free_ports();
        let parts = Parts {
            folder: &folder,
            schemas: "schemas".as_ref(),
            partners: "partners".as_ref(),
            channel: &databases.url,
            vault: &databases.vault_url,
            ports: Ports { channel, ministry, ops },
            endpoints: &[],
        };
        let stand = stand::set_up(&parts, &SystemClock, &SystemRandom).await.unwrap();
        let config = Config::read(&stand.config).unwrap();
        Self { databases, stand, config, running: None, folder }
    }

    /// A second gateway with the same keys, on ports of its own.
    pub(crate) fn beside(&self, databases: Databases) -> Self {
        let mut config = self.config.clone();
        let [channel, ministry, ops] = free_ports();
        config.external = format!("https://localhost:{channel}");
        config.also_known_as = Vec::new();
        for (address, port) in [
            (&mut config.channel_listen, channel),
            (&mut config.ministry_listen, ministry),
            (&mut config.ops_listen, ops),
        ] {
            address.set_port(port);
        }
        config.database.channel = format!("{}?options[role]=onechannel_app", databases.url);
        config.database.vault = format!("{}?options[role]=onechannel_app", databases.vault_url);
        Self { databases, stand: self.stand.clone(), config, running: None, folder: self.folder.clone() }
    }

    pub(crate) fn system(&self, client: &str) -> System {
        let gateway_key = self.folder.join("pki/gateway-sign.pub.pem");
        let files = &self.stand.pki.clients[client];
        System::new(&self.config.external, &self.stand.pki.ca, files, &gateway_key, "gateway-sign-1").unwrap()
    }

    /// Ends the gateway and verifies every log from its first leaf; gives the number of leaves.
    pub(crate) async fn stop_and_verify(&mut self) -> u64 {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
        let text = std::fs::read_to_string(&self.stand.log_keys).unwrap();
        let keys: Vec<_> = text.lines().map(|l| onechannel::ledger::note::VerifierKey::parse(l).unwrap()).collect();
        let mut leaves = 0;
        for log in ledger::logs(&self.databases.owner).await.unwrap() {
            let checked = ledger::check(&self.databases.owner, &log, &keys).await.unwrap();
            assert!(checked.faults.is_empty(), "{log}: {:?}", checked.faults);
            leaves += checked.size;
        }
        leaves
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The shipped program, serving as a process of its own.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn serve(gateway: &TestGateway) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onechannel"));
        command.args(["serve", "--config"]).arg(&gateway.stand.config).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let held: Vec<TcpListener> = (0..N).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    std::array::from_fn(|n| held[n].local_addr().unwrap().port())
}

/// A valid example of a type under a fresh id, in the name of `authority`.
pub(crate) fn event(type_name: &str, authority: &str, change: impl FnOnce(&mut Value)) -> Value {
    let file = format!("schemas/examples/valid/{type_name}.json");
    let mut event: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    event["id"] = json!(uuid_v7(&SystemClock, &SystemRandom).to_string());
    event["authority"] = json!(authority);
    change(&mut event);
    event
}
