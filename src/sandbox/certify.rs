//! `partner certify`: every interaction of a party's contract and every fault script against a real gateway in this process and the
//! party's endpoint (its own or a mock), with a signed certificate of what passed.
//!
//! What comes in is judged by the gateway as it would be in service; what goes out goes through its client. A certificate says what
//! was tried on one day; it is no promise about the party's system.

mod bad_days;
pub mod certificate;
mod inbound;
mod outbound;

use super::{
    contract::Contract,
    inspection,
    mock::{
        Mock,
        faults::{Fault, Faults},
    },
    pki::copy_folder,
    scaffold::home_folder,
    stand::{self, Parts, Ports, Stand},
    system::System,
};
use crate::{
    app::{
        config::Config,
        gateway::{self, Running},
        system::{SystemClock, SystemRandom},
    },
    client::PartyClient,
    domain::clock::{Clock, Random},
    exchange::{cosigning, poll},
    ledger::note::VerifierKey,
    partner::Party,
    schema::Schemas,
    store::{self, ledger::cosign},
};
use certificate::{Certificate, Item, Outcome};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use time::format_description::well_known::Rfc3339;
use tokio::{net::TcpListener, sync::watch};

/// What is to be certified, and with what.
#[derive(Debug)]
pub struct Order<'a> {
    /// The party.
    pub code: &'a str,
    /// The folder of parties: the party's own and the home party's are used.
    pub partners: &'a Path,
    /// The folder of schemas.
    pub schemas: &'a Path,
    /// The party's live endpoint; a mock in its place where there is none.
    pub base_url: Option<&'a str>,
    /// The admin port of that endpoint, if it is a mock partner: without it, no faults can be switched there.
    pub admin_url: Option<&'a str>,
    /// A folder with `pki/` and `partners/` (as `mock-partner --credentials` makes it): who we are to the endpoint, and whom we
    /// believe there. Throw-away ones where there is none.
    pub credentials: Option<&'a Path>,
    /// `postgres://` of an empty channel database, as its owner.
    pub channel: &'a str,
    /// `postgres://` of an empty vault database, as its owner.
    pub vault: &'a str,
}

/// Why nothing could be certified.
#[derive(Debug, thiserror::Error)]
pub enum CertifyFault {
    /// A file or port.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] std::io::Error),
    /// A sentence.
    #[error("{0}")]
    Start(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] store::StoreFault),
}

/// Everything that runs while one party is certified.
struct Bench {
    code: String,
    contract: Contract,
    running: Running,
    config: Config,
    mock: Arc<Mock>,
    system: System,
    stand: Stand,
    base: String,
    is_live: bool,
    admin: Option<String>,
}

impl Bench {
    fn party(&self) -> &Party {
        &self.running.gateway.parties.partners[&self.code]
    }

    /// Whether faults of the endpoint can be switched.
    fn has_switches(&self) -> bool {
        !self.is_live || self.admin.is_some()
    }

    /// Switches the endpoint's faults.
    async fn switch(&self, faults: Faults) -> Result<(), CertifyFault> {
        if !self.is_live {
            self.mock.set_faults(faults);
            return Ok(());
        }
        let Some(admin) = &self.admin else { return Ok(()) };
        let answer = self.system.http.put(format!("{admin}/admin/faults")).json(&faults).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        answer.map(drop).map_err(|fault| CertifyFault::Start(format!("the endpoint's admin port: {fault}")))
    }

    /// A fresh client of the party: no connection of an earlier script is used again.
    fn client(&self) -> Result<Arc<PartyClient>, CertifyFault> {
        let client = gateway::party_client(&self.config, &self.running.gateway, &self.code, Some(&self.base));
        let client = client.map_err(|faults| CertifyFault::Start(faults.to_string()))?;
        client.ok_or_else(|| CertifyFault::Start(format!("{} is told nothing: there is no [outbound]", self.code)))
    }
}

/// A folder that goes with us.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, CertifyFault> {
        let mut word = [0; 6];
        SystemRandom.fill(&mut word);
        let folder = std::env::temp_dir().join(format!("onechannel-certify-{}", hex::encode(word)));
        fs::create_dir_all(&folder).map_err(|fault| CertifyFault::File(folder.clone(), fault))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Certifies; tells `progress` of each item as it ends.
///
/// # Errors
/// [`CertifyFault`]: nothing is known then. What does not pass is no error but an item.
pub async fn certify(order: &Order<'_>, progress: &(dyn Fn(&Item) + Sync)) -> Result<Certificate, CertifyFault> {
    let mut certificate = begin(order)?;
    let mut tell = |item: Item| {
        progress(&item);
        certificate.items.push(item);
    };
    let folder = folder_item(order)?;
    let usable = folder.outcome == Outcome::Passed;
    tell(folder);
    if !usable {
        return Ok(certificate);
    }
    let scratch = Scratch::new()?;
    let (stop, stopped) = watch::channel(false);
    let bench = match set_up(order, &scratch.0, stopped).await {
        Ok(bench) => bench,
        Err(CertifyFault::Start(fault)) => {
            tell(Item::of("start", "a gateway starts with the folder", vec![fault]));
            return Ok(certificate);
        }
        Err(fault) => return Err(fault),
    };
    for item in inbound::all(&bench).await {
        tell(item);
    }
    for item in outbound::all(&bench).await? {
        tell(item);
    }
    if let Some(item) = polling(&bench).await? {
        tell(item);
    }
    for item in bad_days::all(&bench).await? {
        tell(item);
    }
    if let Some(item) = witness(&bench).await? {
        tell(item);
    }
    certificate.endpoint = bench.base.clone();
    certificate.folder_sha256 = hex::encode(bench.party().digest);
    certificate.schemas_sha256 = hex::encode(bench.running.gateway.schemas.digest);
    let ledger = ledger_keys(&bench)?;
    bench.running.stop().await;
    let item = ledger_item(order, &ledger).await?;
    progress(&item);
    certificate.items.push(item);
    stop.send_replace(true);
    Ok(certificate)
}

fn begin(order: &Order<'_>) -> Result<Certificate, CertifyFault> {
    let profile: crate::partner::profile::Profile =
        crate::partner::read_toml(&order.partners.join(order.code).join("party.toml"))
            .map_err(|fault| CertifyFault::Start(fault.to_string()))?;
    Ok(Certificate {
        certificate: certificate::FORMAT.to_owned(),
        party: profile.code,
        name: profile.name,
        environment: profile.environment,
        endpoint: order.base_url.unwrap_or("built-in mock").to_owned(),
        is_mock: order.base_url.is_none(),
        at: SystemClock
            .now()
            .replace_nanosecond(0)
            .unwrap_or_else(|_| SystemClock.now())
            .format(&Rfc3339)
            .unwrap_or_default(),
        software: concat!("onechannel ", env!("CARGO_PKG_VERSION")).to_owned(),
        folder_sha256: String::new(),
        schemas_sha256: String::new(),
        items: Vec::new(),
    })
}

fn folder_item(order: &Order<'_>) -> Result<Item, CertifyFault> {
    let schemas = Schemas::load(order.schemas)
        .map_err(|faults| CertifyFault::Start(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    let found = inspection::inspect(&order.partners.join(order.code), &schemas);
    let faults = found.findings.iter().filter(|finding| finding.weight == inspection::Weight::Fault);
    let item = Item::of("folder", "the folder is in order", faults.map(ToString::to_string).collect());
    Ok(item.mend("run `onechannel partner check` and mend each line"))
}

/// The home party's folder and the one to be certified, and nothing of others.
fn gather(order: &Order<'_>, scratch: &Path) -> Result<(PathBuf, PathBuf), CertifyFault> {
    let home = home_folder(order.partners);
    let home = home.ok_or_else(|| {
        CertifyFault::Start(format!(
            "{} holds no home party (side = \"home\"): name the folder of all parties",
            order.partners.display()
        ))
    })?;
    let (partners, stand) = (scratch.join("in"), scratch.join("stand"));
    let copy = |from: &Path, to: &Path| copy_folder(from, to).map_err(|fault| CertifyFault::Start(fault.to_string()));
    let home_name = home.file_name().unwrap_or_default().to_owned();
    copy(&home, &partners.join(&home_name))?;
    copy(&order.partners.join(order.code), &partners.join(order.code))?;
    if let Some(given) = order.credentials {
        copy(&given.join("pki"), &stand.join("pki"))?;
        for name in [home_name.as_os_str(), order.code.as_ref()] {
            copy(&given.join("partners").join(name), &stand.join("partners").join(name))?;
        }
    }
    Ok((partners, stand))
}

async fn set_up(order: &Order<'_>, scratch: &Path, stopped: watch::Receiver<bool>) -> Result<Bench, CertifyFault> {
    let start = CertifyFault::Start;
    let (partners, folder) = gather(order, scratch)?;
    let port = |fault| CertifyFault::File("127.0.0.1".into(), fault);
    let [channel, ministry, ops] = free_ports().map_err(port)?;
    // The gateway's own loops find nobody: the scripts alone call the party.
    let nobody = [(order.code.to_owned(), "https://localhost:1".to_owned())];
    let parts = Parts {
        folder: &folder,
        schemas: order.schemas,
        partners: &partners,
        channel: order.channel,
        vault: order.vault,
        ports: Ports { channel, ministry, ops },
        endpoints: &nobody,
    };
    let stand = stand::set_up(&parts, &SystemClock, &SystemRandom).await.map_err(|fault| start(fault.to_string()))?;
    let config = Config::read(&stand.config).map_err(start)?;
    let running = gateway::start(&config).await.map_err(|faults| start(faults.to_string()))?;
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(port)?;
    let mock = Mock::start(order.code, &stand.pki, listener, stopped).map_err(start)?;
    let files = stand.pki.clients.values().find(|files| files.party == order.code);
    let files = files.ok_or_else(|| start(format!("{} has no client", order.code)))?;
    let public = stand.pki.signing.with_extension("pub.pem");
    let system = System::new(&config.external, &stand.pki.ca, files, &public, "gateway-sign-1");
    Ok(Bench {
        code: order.code.to_owned(),
        contract: Contract::load(&stand.pki.partners.join(order.code), &mock.profile.zone).map_err(start)?,
        system: system.map_err(|fault| start(fault.to_string()))?,
        base: order.base_url.map_or_else(|| mock.base().to_owned(), |url| url.trim_end_matches('/').to_owned()),
        is_live: order.base_url.is_some(),
        admin: order.admin_url.map(|url| url.trim_end_matches('/').to_owned()),
        running,
        config,
        mock,
        stand,
    })
}

fn free_ports<const N: usize>() -> std::io::Result<[u16; N]> {
    let held: Vec<_> = (0..N).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// A party that is polled: everything published arrives, whatever page it stands on.
async fn polling(bench: &Bench) -> Result<Option<Item>, CertifyFault> {
    let gateway = &bench.running.gateway;
    let Some(poll) = bench.party().profile.poll.clone() else { return Ok(None) };
    let from = gateway.parties.clients.values().find(|one| one.party.code() == bench.code).cloned();
    let from = from.ok_or_else(|| CertifyFault::Start(format!("{} has no client", bench.code)))?;
    let mut faults = Vec::new();
    let published = match bench.is_live {
        true => 0,
        false => bench.mock.publish_all(&super::mock::push::Selection::default()).map_err(CertifyFault::Start)?.len(),
    };
    // A page as a real one may be: last first, and each record twice.
    let page = Faults { on: [Fault::DuplicatePush, Fault::ReorderedPush].into(), ..Faults::default() };
    bench.switch(page).await?;
    let polled = poll::round(gateway, &from, &*bench.client()?, &poll).await;
    bench.switch(Faults::default()).await?;
    match polled {
        Ok(polled) => {
            let of = |outcome: &str| polled.results.get(outcome).copied().unwrap_or(0);
            if !bench.is_live && (of("applied"), of("repeat")) != (published, published) {
                faults.push(format!(
                    "{published} records were published, each twice; the gateway has {:?}",
                    polled.results
                ));
            }
        }
        Err(fault) => faults.push(format!("the poll ended early: {fault}")),
    }
    let item = Item::of("polling", "what the party publishes is read and applied once, in any order", faults);
    Ok(Some(item.mend("compare [poll] of party.toml with what the endpoint answers: parameters, pointers, codes")))
}

/// The party's witness cosigns what was recorded. A live one follows the live log and not the throw-away one of this run.
async fn witness(bench: &Bench) -> Result<Option<Item>, CertifyFault> {
    let running = &bench.running.gateway;
    let Some(asked) = gateway::witness(bench.party(), &bench.client()?) else { return Ok(None) };
    if bench.is_live {
        let item = Item::of("witness", "the party's witness cosigns the corridor's log", Vec::new());
        return Ok(Some(Item { outcome: Outcome::NotRun, is_required: false, ..item }));
    }
    cosigning::submit(running, &asked).await?;
    let state = cosign::state(&running.journal.channel, &running.journal.log(&bench.code)).await?;
    let about = format!("the party's witness cosigns the corridor's log, {} of {} entries", state.cosigned, state.size);
    let fault = running.standings.of(&bench.code).fault;
    let faults = if state.cosigned == state.size { Vec::new() } else { vec![fault.unwrap_or("halted").to_owned()] };
    Ok(Some(
        Item::of("witness", &about, faults).mend("compare [witness] of party.toml with what the witness is set up for"),
    ))
}

fn ledger_keys(bench: &Bench) -> Result<Vec<VerifierKey>, CertifyFault> {
    let file = &bench.stand.log_keys;
    let text = fs::read_to_string(file).map_err(|fault| CertifyFault::File(file.clone(), fault))?;
    Ok(text.lines().filter_map(|line| VerifierKey::parse(line).ok()).collect())
}

/// Everything that was said and done stands in the corridor's log.
async fn ledger_item(order: &Order<'_>, keys: &[VerifierKey]) -> Result<Item, CertifyFault> {
    let pool = store::pool(order.channel, 1)?;
    let (mut faults, mut leaves) = (Vec::new(), 0);
    for log in store::ledger::logs(&pool).await? {
        let checked = store::ledger::check(&pool, &log, keys).await?;
        leaves += checked.size;
        faults.extend(checked.faults);
    }
    if leaves == 0 {
        faults.push("nothing was logged".to_owned());
    }
    Ok(Item::of("ledger", "every message of the run stands in the corridor's log", faults))
}
