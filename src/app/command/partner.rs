//! `onechannel partner`: the kit of a party's integrator. A folder is made, checked, and certified against a real gateway.

use super::{CommandFault, Holds, read_keys, serve::end_asked};
use crate::{
    app::{config::hex_key, system::SystemRandom},
    domain::clock::Random,
    ledger::note::NoteSigner,
    sandbox::{
        certify::{
            self, Order,
            certificate::{Certificate, Item, Outcome},
        },
        inspection::{self, Weight},
        postgres::{Durability, PrivatePostgres},
        scaffold::{self, Plan, Style},
    },
    schema::Schemas,
    store,
};
use aws_lc_rs::signature::Ed25519KeyPair;
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Name under which certificates are signed.
const CERTIFIER: &str = "certifier.onechannel.example";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Makes a folder that passes its check and its contract
    #[command(after_help = "Example: onechannel partner new xa --name Examplia --zone +05:30 --style code")]
    New {
        /// Code of the new party: its folder's name
        code: String,
        /// The folder of parties
        #[arg(long, default_value = "partners")]
        dir: PathBuf,
        /// The folder of schemas
        #[arg(long, default_value = "schemas")]
        schemas: PathBuf,
        /// Its name; the code in capitals by default
        #[arg(long)]
        name: Option<String>,
        /// Offset of its local times
        #[arg(long, default_value = "+00:00", allow_hyphen_values = true)]
        zone: String,
        /// How it says no: by HTTP status, or by a code in a 200
        #[arg(long, value_enum, default_value = "status")]
        style: Refuses,
    },
    /// Prints every fault of a folder, with file and line
    #[command(after_help = "Examples: onechannel partner check xa\n          onechannel partner check --json")]
    Check {
        /// The party; every party by default
        code: Option<String>,
        /// The folder of parties
        #[arg(long, default_value = "partners")]
        dir: PathBuf,
        /// The folder of schemas
        #[arg(long, default_value = "schemas")]
        schemas: PathBuf,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Runs its contract and every fault script against a real gateway; writes a signed certificate
    #[command(
        after_help = "Examples: onechannel partner certify xa\n          onechannel partner certify xa --base-url https://localhost:8443 --credentials /tmp/xa"
    )]
    Certify(Box<Certify>),
    /// Checks a certificate offline
    #[command(after_help = "Example: onechannel partner certificate xa --dir certificates --keys certificates/xa.keys")]
    Certificate {
        /// The party
        code: String,
        /// Folder with CODE.json, CODE.md and CODE.note
        #[arg(long, default_value = "certificates")]
        dir: PathBuf,
        /// File of the certifier's public keys, one C2SP verifier key a line
        #[arg(long)]
        keys: PathBuf,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Certify {
    /// The party
    code: String,
    /// Its live endpoint; a mock built from the folder by default
    #[arg(long, requires = "credentials")]
    base_url: Option<String>,
    /// Admin port of the endpoint, if it is a mock-partner: its faults are switched there
    #[arg(long, requires = "base_url")]
    admin_url: Option<String>,
    /// Folder with pki/ and partners/: who we are to the endpoint and whom we believe there
    #[arg(long)]
    credentials: Option<PathBuf>,
    /// The folder of parties
    #[arg(long, default_value = "partners")]
    dir: PathBuf,
    /// The folder of schemas
    #[arg(long, default_value = "schemas")]
    schemas: PathBuf,
    /// Folder for the certificate
    #[arg(long, default_value = "certificates")]
    out: PathBuf,
    /// The certifier's Ed25519 seed, 64 hex digits; a throw-away one by default
    #[arg(long)]
    key: Option<PathBuf>,
    /// Print the certificate as JSON
    #[arg(long)]
    json: bool,
}

/// How a party says no.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Refuses {
    /// By HTTP status
    Status,
    /// By a code in a 200
    Code,
}

impl Command {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        match self {
            Self::New { code, dir, schemas, name, zone, style } => {
                let name = name.unwrap_or_else(|| code.to_uppercase());
                let style = match style {
                    Refuses::Status => Style::Status,
                    Refuses::Code => Style::Code,
                };
                let plan = Plan { code: &code, name: &name, zone: &zone, style, schemas: &schemas, partners: &dir };
                let folder = scaffold::new(&plan).map_err(|fault| CommandFault::Start(fault.to_string()))?;
                println!(
                    "{} is made; {} says what to change first",
                    folder.display(),
                    folder.join("README.md").display()
                );
                Ok(true)
            }
            Self::Check { code, dir, schemas, json } => check(code.as_deref(), &dir, &schemas, json),
            Self::Certify(arguments) => arguments.run().await,
            Self::Certificate { code, dir, keys, json } => {
                match Certificate::read(&dir, &code, &read_keys(&keys)?.logs) {
                    Ok(certificate) if json => {
                        println!("{}", serde_json::to_string_pretty(&certificate).unwrap_or_default())
                    }
                    Ok(certificate) => println!(
                        "signed by a key of {}: {} {} on {}",
                        keys.display(),
                        certificate.party,
                        if certificate.passed() { "passed" } else { "did NOT pass" },
                        certificate.at
                    ),
                    Err(fault) => {
                        println!("The certificate DOES NOT HOLD: {fault}.");
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }
}

fn check(code: Option<&str>, dir: &Path, schemas: &Path, json: bool) -> Result<Holds, CommandFault> {
    let loaded = load(schemas)?;
    let folders = match code {
        Some(code) => vec![dir.join(code)],
        None => all(dir)?,
    };
    let mut holds = true;
    let mut results = Vec::new();
    for folder in folders {
        if !folder.join("party.toml").is_file() {
            return Err(CommandFault::Content(
                folder,
                "holds no party.toml: a party is named by its folder below --dir".to_owned(),
            ));
        }
        let found = inspection::inspect(&folder, &loaded);
        holds &= found.holds();
        if !json {
            found.findings.iter().for_each(|finding| println!("{finding}"));
            found.lossy.iter().for_each(|(file, pointer)| println!("{}: lossy: {pointer}", file.display()));
            let faults = found.findings.iter().filter(|finding| finding.weight == Weight::Fault).count();
            let word = if faults == 1 { "fault" } else { "faults" };
            println!("{}: {faults} {word}", folder.display());
        }
        results.push(serde_json::json!({"folder": folder, "holds": found.holds(), "findings": found.findings,
            "lossy": found.lossy.iter().map(|(file, pointer)| serde_json::json!({"file": file, "pointer": pointer})).collect::<Vec<_>>()}));
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&results).unwrap_or_default());
    }
    Ok(holds)
}

fn load(schemas: &Path) -> Result<Schemas, CommandFault> {
    if !schemas.is_dir() {
        let text = "is not there: run from the folder that holds it, or name it with --schemas";
        return Err(CommandFault::Content(schemas.to_owned(), text.to_owned()));
    }
    Schemas::load(schemas)
        .map_err(|faults| CommandFault::Start(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
}

fn all(dir: &Path) -> Result<Vec<PathBuf>, CommandFault> {
    let fault = |fault| CommandFault::File(dir.to_owned(), fault);
    let mut folders = Vec::new();
    for entry in fs::read_dir(dir).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if path.join("party.toml").is_file() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

impl Certify {
    async fn run(self) -> Result<Holds, CommandFault> {
        super::log("off");
        if !self.dir.join(&self.code).join("party.toml").is_file() {
            return Err(CommandFault::Content(
                self.dir.join(&self.code),
                "holds no party.toml: a party is named by its folder below --dir".to_owned(),
            ));
        }
        let signer = self.signer()?;
        let mut server = PrivatePostgres::start(Durability::None, None, &SystemRandom)?;
        let certificate = tokio::select! {
            certificate = self.certify(&server) => Some(certificate),
            () = end_asked() => None,
        };
        server.halt()?;
        let Some(certificate) = certificate.transpose()? else { return Ok(false) };
        let paths = certificate.write(&self.out, &signer).map_err(|fault| CommandFault::Start(fault.to_string()))?;
        let keys = self.out.join(format!("{}.keys", self.code));
        fs::write(&keys, format!("{}\n", signer.verifier()))
            .map_err(|fault| CommandFault::File(keys.clone(), fault))?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&certificate).unwrap_or_default());
        } else {
            print(&certificate);
            paths.iter().chain([&keys]).for_each(|path| println!("  {}", path.display()));
        }
        Ok(certificate.passed())
    }

    fn signer(&self) -> Result<NoteSigner, CommandFault> {
        let seed = match &self.key {
            Some(file) => hex_key(file).map_err(CommandFault::Start)?,
            None => {
                let mut seed = [0; 32];
                SystemRandom.fill(&mut seed);
                seed
            }
        };
        let key = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|fault| CommandFault::Start(fault.to_string()))?;
        Ok(NoteSigner::new(CERTIFIER, key))
    }

    async fn certify(&self, server: &PrivatePostgres) -> Result<Certificate, CommandFault> {
        let names = ["channel", "vault"].map(str::to_owned);
        store::create_databases(&server.url("postgres"), &names).await?;
        let order = Order {
            code: &self.code,
            partners: &self.dir,
            schemas: &self.schemas,
            base_url: self.base_url.as_deref(),
            admin_url: self.admin_url.as_deref(),
            credentials: self.credentials.as_deref(),
            channel: &server.url("channel"),
            vault: &server.url("vault"),
        };
        // It draws on a terminal only.
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} {msg}") {
            bar.set_style(style);
        }
        let progress = |item: &Item| {
            bar.inc(1);
            bar.set_message(item.name.clone());
        };
        let certificate = certify::certify(&order, &progress).await;
        bar.finish_and_clear();
        certificate.map_err(|fault| CommandFault::Start(fault.to_string()))
    }
}

fn print(certificate: &Certificate) {
    for item in &certificate.items {
        let outcome = match item.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::NotRun => "not run",
        };
        println!("{outcome:<8} {:<32} {}", item.name, item.about);
        item.found.iter().for_each(|found| println!("         {found}"));
        item.mend.iter().for_each(|mend| println!("         → {mend}"));
    }
    let result = if certificate.passed() { "passed" } else { "did NOT pass" };
    let of = if certificate.is_mock { "its folder against a mock" } else { certificate.endpoint.as_str() };
    println!("{} {result} ({of})", certificate.party);
}
