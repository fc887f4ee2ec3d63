//! The partner kit: a new folder, its check, its certificate, the mocks of both sides, as an integrator runs them.

use crate::support::{Databases, gateway::TestGateway};
use aws_lc_rs::signature::Ed25519KeyPair;
use http::Method;
use onechannel::{
    app::system::{SystemClock, SystemRandom},
    client::Sent,
    domain::clock::{Clock, Random},
    ledger::{
        note::{NoteSigner, VerifierKey},
        receipt::Receipt,
    },
    sandbox::{
        certify::{
            self, Order,
            certificate::{Certificate, CertificateFault, Outcome},
        },
        contract::{Contract, Way},
        inspection::{self, Weight},
        mock::{
            Mock,
            faults::{Fault, Faults},
            push::{Pushed, Selection},
        },
        pki,
        system::System,
    },
    schema::{Schemas, catalogue::Direction},
    trust::assertion::{self, ASSERTION_TYPE},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tokio::{net::TcpListener, sync::watch};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let mut word = [0; 6];
        SystemRandom.fill(&mut word);
        let folder = std::env::temp_dir().join(format!("onechannel-kit-{}", hex::encode(word)));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// One with copies of parties' folders.
    fn with(codes: &[&str]) -> Self {
        let folder = Self::new();
        codes.iter().for_each(|code| copy(&Path::new("partners").join(code), &folder.0.join(code)));
        folder
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Changes a file; what is to be replaced must be there.
    fn plant(&self, file: &str, old: &str, new: &str) {
        let path = self.0.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{file} has no {old}");
        fs::write(path, text.replacen(old, new, 1)).unwrap();
    }

    /// The line on which a text stands first.
    fn line(&self, file: &str, wanted: &str) -> u64 {
        let text = fs::read_to_string(self.0.join(file)).unwrap();
        text.lines().position(|line| line.contains(wanted)).unwrap() as u64 + 1
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
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, to).unwrap();
        }
    }
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_onechannel")).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// An endpoint that is not the certificate's own mock: its address, its admin port, the folder of credentials.
struct Endpoint<'a> {
    base_url: &'a str,
    admin_url: Option<&'a str>,
    credentials: &'a Path,
}

async fn certified(code: &str, partners: &Path) -> Certificate {
    certified_at(code, partners, None).await
}

async fn certified_at(code: &str, partners: &Path, endpoint: Option<Endpoint<'_>>) -> Certificate {
    let databases = Databases::fresh().await;
    let order = Order {
        code,
        partners,
        schemas: "schemas".as_ref(),
        base_url: endpoint.as_ref().map(|one| one.base_url),
        admin_url: endpoint.as_ref().and_then(|one| one.admin_url),
        credentials: endpoint.as_ref().map(|one| one.credentials),
        channel: &databases.url,
        vault: &databases.vault_url,
    };
    certify::certify(&order, &|_| ()).await.unwrap()
}

fn failed(certificate: &Certificate) -> Vec<String> {
    let failed = certificate.items.iter().filter(|item| item.outcome == Outcome::Failed);
    failed.map(|item| format!("{}: {}", item.name, item.found.join("; "))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_folder_passes_its_check_and_its_contract_in_both_styles() {
    let partners = Folder::with(&["id"]);
    for (code, style) in [("xs", "status"), ("xc", "code")] {
        let at = ["--dir", partners.text()];
        let new = ["partner", "new", code, "--name", "Examplia", "--zone", "+05:30", "--style", style];
        let (done, text) = run(&[&new[..], &at].concat());
        assert_eq!(done, Some(0), "{text}");
        let (done, text) = run(&[&["partner", "check", code][..], &at].concat());
        assert_eq!(done, Some(0), "{text}");
        assert!(text.contains("0 faults") && text.contains("warning: trust/ca.pem is not there"), "{text}");
        let (done, text) = run(&[&new[..], &at].concat());
        assert_eq!(done, Some(2), "a folder that is there is left alone: {text}");
        let certificate = certified(code, &partners.0).await;
        assert_eq!(failed(&certificate), Vec::<String>::new());
        assert!(certificate.passed());
    }
    let contract = Contract::load(&partners.0.join("xs"), "+05:30").unwrap();
    let ways = |way: Way| contract.interactions.values().filter(|one| one.direction == way).count();
    let schemas = Schemas::load("schemas".as_ref()).unwrap();
    let of = |way: Direction| schemas.messages().filter(|one| [way, Direction::Both].contains(&one.direction)).count();
    let expected = (of(Direction::PartnerToHome) + 1, of(Direction::HomeToPartner));
    assert_eq!((ways(Way::In), ways(Way::Out)), expected, "every type each way, and one record that is incomplete");
    assert!(contract.journeys.iter().all(|journey| journey.steps.len() > 10));
}

#[test]
fn faults_of_a_folder_come_all_at_once_with_file_and_line() {
    let partners = Folder::with(&["id", "my"]);
    let (done, text) = run(&["partner", "check", "--dir", partners.text()]);
    assert_eq!(done, Some(0), "{text}");
    assert!(text.contains("lossy: /data/worker/name/full"), "{text}");
    partners.plant("my/party.toml", "zone = ", "colour = \"red\"\nzone = ");
    partners.plant(
        "my/party.toml",
        "[outbound]\n",
        "[[inbound]]\nroute = \"nowhere\"\nmapping = \"nowhere\"\n\n[outbound]\n",
    );
    partners.plant("my/release.toml", "/worker/phone", "/worker/shoes");
    partners.plant("my/mapping/visa.toml", "codec = \"datetime-dmy\"", "codec = \"datetime-moon\"");
    partners.plant(
        "my/mapping/visa.toml",
        "wire = \"/noPasport\"\ncodec = \"text\"",
        "wire = \"/noPasport\"\ncodec = \"novel\"",
    );
    partners.plant("my/mapping/permit.toml", "/data/permit/kind", "/data/permit/colour");
    partners.plant("my/wire/kematian.schema.json", "\"type\": \"object\"", "\"type\": \"objekt\"");
    partners.plant("my/contract/arrived.json", "\"statusMasuk\": \"MASUK\"", "\"statusMasuk\": {}");
    partners.plant("my/contract/visa.json", "    \"passport\": \"E7654321\",\n", "");
    partners.plant("my/journeys.toml", "\"arrived:repeat\"", "\"vanished\"");
    fs::write(partners.0.join("my/mapping/lonely.toml"), "type = \"visa.decided.v1\"\n").unwrap();
    fs::remove_file(partners.0.join("my/contract/absence.json")).unwrap();
    let (done, text) = run(&["partner", "check", "my", "--json", "--dir", partners.text()]);
    assert_eq!(done, Some(1), "{text}");
    let found: Value = serde_json::from_str(&text).unwrap();
    let found = found[0]["findings"].as_array().unwrap().clone();
    let has = |file: &str, line: Option<u64>, words: &str| {
        let is = |one: &&Value| {
            one["weight"] == "fault"
                && one["file"].as_str().unwrap().ends_with(file)
                && one["line"].as_u64() == line
                && one["text"].as_str().unwrap().contains(words)
        };
        assert!(found.iter().any(|one| is(&one)), "{file}:{line:?}: {words}\n{}", json!(found));
    };
    let at = |file: &str, wanted: &str| Some(partners.line(file, wanted));
    has("my/party.toml", at("my/party.toml", "colour"), "unknown field `colour`");
    has("my/party.toml", at("my/party.toml", "\"nowhere\"").map(|line| line + 1), "has no mapping/nowhere.toml");
    has("my/party.toml", at("my/party.toml", "route = \"ketidakhadiran\""), "no interaction in contract/");
    has("my/release.toml", at("my/release.toml", "shoes"), "is not a field of the messages");
    let row = |codec| at("my/mapping/visa.toml", codec).map(|line| line - 3);
    has("my/mapping/visa.toml", row("datetime-moon"), "there is no codec datetime-moon");
    has("my/mapping/visa.toml", row("\"novel\""), "there is no codec novel");
    let row_of_colour = at("my/mapping/permit.toml", "colour").map(|line| line - 1);
    has("my/mapping/permit.toml", row_of_colour, "is not a field of the messages");
    has("my/mapping/lonely.toml", Some(1), "no route of party.toml names it");
    has("my/wire/kematian.schema.json", at("my/wire/kematian.schema.json", "objekt"), "/type");
    has("my/contract/arrived.json", at("my/contract/arrived.json", "\"statusMasuk\""), "it breaks its wire schema");
    has("my/contract/visa.json", at("my/contract/visa.json", "${passport}"), "variable passport has no value");
    has("my/journeys.toml", at("my/journeys.toml", "vanished"), "there is no interaction vanished");
}

/// How a folder is broken, and the fault that must be named: its file, a text on its line if it has one, words of its sentence.
struct Breakage {
    file: &'static str,
    /// What is replaced; the whole file is made, or unmade, where it is empty.
    old: &'static str,
    new: &'static str,
    named: &'static str,
    line: Option<&'static str>,
    words: &'static str,
}

/// A breakage whose fault stands in the changed file.
const fn broken(
    file: &'static str,
    (old, new): (&'static str, &'static str),
    line: Option<&'static str>,
    words: &'static str,
) -> Breakage {
    Breakage { file, old, new, named: file, line, words }
}

const ARRIVED: &str = "xb/mapping/movement-arrived.toml";
const WITHDRAWN: &str = "xb/mapping/own-message-invalidated.toml";
const WEEK: &str = "xb/calendar/week.toml";
const PARTY: &str = "xb/party.toml";
const TYPE: Option<&str> = Some("type = ");

const BREAKAGES: &[Breakage] = &[
    broken(PARTY, ("zone = \"+05:30\"", "zone = \"5:30\""), Some("zone = "), "an offset of the form +08:00"),
    broken(PARTY, ("environment = \"test\"", "environment = \"live\""), Some("environment = "), "environment is test"),
    broken(PARTY, ("side = \"partner\"", "side = \"home\""), Some("side = "), "is the home party already"),
    broken(
        PARTY,
        ("id = \"xb-gateway\"", "id = \"kp2mi-system\""),
        Some("\"kp2mi-system\""),
        "is registered by id too",
    ),
    broken(PARTY, ("\"P-IMM\", \"P-LAB\"", "\"P-IMM\", \"P-TAX\""), Some("P-TAX"), "there is no authority P-TAX"),
    broken(PARTY, ("mapping = \"visa-decided\"", "mapping = \"visa\""), Some("\"visa\""), "has no mapping/visa.toml"),
    broken(
        PARTY,
        ("mapping = \"visa-decided\"", "mapping = \"visa\""),
        Some("\"visa\""),
        "has no wire/visa.schema.json",
    ),
    Breakage {
        named: "xb/mapping/visa-decided.toml",
        line: Some("# visa"),
        ..broken(PARTY, ("mapping = \"visa-decided\"", "mapping = \"visa\""), None, "no route of party.toml names it")
    },
    broken(
        PARTY,
        ("route = \"visa-decided\"", "route = \"permit-issued\""),
        Some("mapping = \"permit-issued\""),
        "the inbound route permit-issued stands here twice",
    ),
    broken(
        "xb/party.toml",
        ("base = \"https://", "base = \"http://"),
        Some("base = \"http://"),
        "outbound.base must begin with https://",
    ),
    broken(WEEK, ("", ""), None, "the file is missing"),
    broken(
        WEEK,
        ("offset = \"+05:30\"", "offset = \"+05:00\""),
        None,
        "its general zone must be that of party.toml: +05:30",
    ),
    broken(WEEK, ("\"17:00\"", "\"5 pm\""), Some("5 pm"), "is not a time of the form 16:00"),
    broken(WEEK, ("\"sunday\"", "\"someday\""), Some("someday"), "is no day of the week"),
    broken(
        WEEK,
        ("\"saturday\", \"sunday\"", "\"monday\", \"tuesday\", \"wednesday\", \"thursday\", \"friday\""),
        None,
        "shares no day of the week with the home party",
    ),
    broken(
        "xb/calendar/2027.toml",
        ("", "[[holiday]]\ndate = \"2027-02-30\"\n"),
        Some("2027-02-30"),
        "is not a date of the form 2024-11-05",
    ),
    broken("xb/rules/2027-01-01-a.toml", ("", "[pack]\ncolour = 1\n"), Some("colour"), "unknown field `colour`"),
    broken("xb/release.toml", ("/worker/phone", "/worker/fax"), Some("fax"), "is not a field of the messages"),
    broken("xb/trust/ca.pem", ("", "no certificate\n-----BEGIN CERTIFICATE-----\n!\n"), None, ""),
    broken("xb/trust/xb-gateway-sign-1.pem", ("", "no key\n"), None, ""),
    broken(
        ARRIVED,
        ("wire = \"/movementPort\"", "wire = \"/movementPrt\""),
        Some("[[field]]#8"),
        "not in the wire schema",
    ),
    broken(ARRIVED, ("/data/movement/port", "/data/movement/pier"), Some("[[field]]#8"), "not a field of the messages"),
    broken(ARRIVED, ("wire = \"/movementPort\"", "wire = \"/movementAt\""), Some("[[field]]#8"), "is written by line"),
    broken(ARRIVED, ("wire = \"/movementPort\"", "wire = \"movementPort\""), Some("[[field]]#8"), "must begin with /"),
    broken(
        ARRIVED,
        ("codec = \"datetime-iso-local\"", "codec = \"moon\""),
        Some("[[field]]#2"),
        "there is no codec moon",
    ),
    broken(
        ARRIVED,
        ("[tables.movementResult]", "[tables.result]"),
        Some("[[field]]#9"),
        "there is no [tables.movementResult]",
    ),
    broken(
        ARRIVED,
        ("canonical = \"/data/movement/at\"", "canonical = \"/data/movement/port\""),
        TYPE,
        "requires /data/movement/at",
    ),
    broken(ARRIVED, ("arrived.v1\"", "landed.v1\""), TYPE, "is not in the catalogue"),
    broken(ARRIVED, ("authority = \"P-IMM\"", "authority = \"P-SEA\""), Some("P-SEA"), "is no authority of party.toml"),
    broken(
        ARRIVED,
        ("authority = \"P-IMM\"", "authority = \"P-LAB\""),
        Some("P-LAB"),
        "may not send movement.arrived.v1",
    ),
    broken(
        WITHDRAWN,
        ("wire = \"/authority\"", "wire = \"/agency\""),
        Some("[authority]"),
        "/agency is not in the wire",
    ),
    broken(WITHDRAWN, ("= \"P-POL\"", "= \"P-SEA\""), Some("[authority]"), "P-SEA is no authority of party.toml"),
    broken(WITHDRAWN, ("wire = \"/authority\"\n", ""), Some("[authority]"), "missing field `wire`"),
    Breakage {
        line: Some("authority = \"P-LAB\""),
        ..broken(
            WITHDRAWN,
            (
                "[authority]\nwire = \"/authority\"\ncodes = { \"P-IMM\" = \"P-IMM\", \"P-LAB\" = \"P-LAB\", \"P-POL\" = \"P-POL\" }",
                "authority = \"P-LAB\"",
            ),
            None,
            "message.invalidated.v1 may come from P-IMM and P-LAB and P-POL",
        )
    },
    broken(
        WITHDRAWN,
        (
            "[authority]\nwire = \"/authority\"\ncodes = { \"P-IMM\" = \"P-IMM\", \"P-LAB\" = \"P-LAB\", \"P-POL\" = \"P-POL\" }",
            "",
        ),
        TYPE,
        "client xb-gateway may send message.invalidated.v1 for P-IMM and P-LAB and P-POL",
    ),
    broken("xb/mapping/message-failed.toml", ("[[field]]", "[field]"), Some("[field]"), ""),
    broken("xb/wire/visa-decided.schema.json", ("\"object\"", "\"objekt\""), Some("objekt"), "/type"),
    broken("xb/wire/visa-decided.schema.json", ("", ""), None, ""),
    Breakage {
        named: "xb/mapping/placement-nominated.toml",
        line: TYPE,
        ..broken(
            "xb/wire/placement-nominated.schema.json",
            ("\"required\": [\n    \"messageId\",", "\"required\": [\n    \"stamp\",\n    \"messageId\","),
            None,
            "the wire schema requires /stamp, but no row writes it",
        )
    },
    broken(
        "xb/contract/movement-arrived.json",
        ("\"movementResult\"", "\"movementEnd\""),
        Some("\"record\""),
        "wire schema",
    ),
    broken("xb/contract/movement-arrived.json", ("${passport}", "${pasport}"), Some("${pasport}"), "variable pasport"),
    broken("xb/contract/visa-decided.json", ("", ""), None, ""),
    broken("xb/journeys.toml", ("share = 90", "share = 80"), Some("share = "), "the shares make 90"),
];

/// The line of `wanted` in a text, or of its n-th occurrence (`[[field]]#8`).
fn line_in(text: &str, wanted: &str) -> usize {
    let nth = wanted.rsplit_once("]]#").map(|(_, n)| n.parse::<usize>().unwrap());
    let (wanted, n) = nth.map_or((wanted, 1), |n| ("[[field]]", n));
    let mut lines = text.lines().enumerate().filter(|(_, line)| line.contains(wanted));
    lines.nth(n - 1).unwrap_or_else(|| panic!("no {wanted} in {text}")).0 + 1
}

#[test]
fn a_new_folder_that_is_broken_in_any_way_is_not_let_pass() {
    let sound = Folder::with(&["id"]);
    let (done, text) = run(&["partner", "new", "xb", "--name", "Examplia", "--zone", "+05:30", "--dir", sound.text()]);
    assert_eq!(done, Some(0), "{text}");
    let schemas = Schemas::load("schemas".as_ref()).unwrap();
    let inspect = |partners: &Folder| inspection::inspect(&partners.0.join("xb"), &schemas);
    assert_eq!(inspect(&sound).findings.iter().filter(|one| one.weight == Weight::Fault).count(), 0);
    let alone = Folder::new();
    copy(&sound.0.join("xb"), &alone.0.join("xb"));
    let found = inspect(&alone);
    let no_home = |one: &inspection::Finding| one.weight == Weight::Warning && one.text.contains("home party's");
    assert!(found.holds() && found.findings.iter().any(no_home), "{:#?}", found.findings);
    for Breakage { file, old, new, named, line, words } in BREAKAGES {
        let partners = Folder::new();
        copy(&sound.0, &partners.0);
        let path = partners.0.join(file);
        match (old.is_empty(), new.is_empty()) {
            (true, true) => fs::remove_file(&path).unwrap(),
            (true, false) => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, new).unwrap();
            }
            (false, _) => partners.plant(file, old, new),
        }
        let found = inspect(&partners);
        let what = format!("{file}: {old} → {new}:\n{:#?}", found.findings);
        assert!(!found.holds(), "{what}");
        // A file that is not there any more is missed by whoever names it.
        let is_gone = old.is_empty() && new.is_empty() && words.is_empty();
        let line = line.map(|wanted| line_in(&fs::read_to_string(partners.0.join(named)).unwrap(), wanted));
        let is = |one: &&inspection::Finding| {
            let at = one.file == partners.0.join(if is_gone { PARTY } else { named });
            one.weight == Weight::Fault && at && (is_gone || one.line == line) && one.text.contains(words)
        };
        assert!(found.findings.iter().any(|one| is(&one)), "{what}\nlacks {named}:{line:?}: {words}");
        // Whatever the gateway itself would stop at is a fault here too.
        let stops = onechannel::partner::faults(&partners.0.join("xb"));
        assert!(stops.is_empty() || !found.holds(), "{stops:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_existing_party_is_certified_and_its_certificate_verifies() {
    let out = Folder::new();
    let signer = NoteSigner::new("certifier.example", Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap());
    let keys = [signer.verifier().clone()];
    let mut codes: Vec<String> = fs::read_dir("partners")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|code| {
            fs::read_to_string(format!("partners/{code}/party.toml"))
                .is_ok_and(|text| text.contains("side = \"partner\""))
        })
        .collect();
    codes.sort();
    assert!(codes.len() >= 2);
    for code in &codes {
        let certificate = certified(code, "partners".as_ref()).await;
        assert_eq!(failed(&certificate), Vec::<String>::new(), "{code}");
        assert!(certificate.passed() && certificate.is_mock && certificate.folder_sha256.len() == 64);
        let names: BTreeSet<&str> = certificate.items.iter().map(|item| item.name.as_str()).collect();
        for fault in Fault::ALL {
            let name = fault.name();
            assert!(
                ["told", "pushed"].iter().any(|way| names.contains(format!("{way}/{name}").as_str())),
                "{code}: {name}"
            );
        }
        certificate.write(&out.0, &signer).unwrap();
        assert_eq!(Certificate::read(&out.0, code, &keys).unwrap(), certificate);
        let file = out.0.join("keys");
        fs::write(&file, signer.verifier().to_string()).unwrap();
        let verify = ["partner", "certificate", code, "--dir", out.text(), "--keys", file.to_str().unwrap()];
        let (done, text) = run(&verify);
        assert!(done == Some(0) && text.contains("passed"), "{text}");
        let markdown = out.0.join(format!("{code}.md"));
        fs::write(&markdown, fs::read_to_string(&markdown).unwrap().replace("passed", "Passed")).unwrap();
        assert!(matches!(Certificate::read(&out.0, code, &keys), Err(CertificateFault::Other("the Markdown"))));
        assert_eq!(run(&verify).0, Some(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_mapping_fails_the_certificate_and_is_named() {
    let partners = Folder::with(&["id", "my"]);
    partners.plant("my/mapping/kemasukan.toml", "prefix = \"MY-\"", "prefix = \"MI-\"");
    partners.plant("my/mapping/berlepas.toml", "codec = \"datetime-dmy\"", "codec = \"datetime-iso-local\"");
    let certificate = certified("my", &partners.0).await;
    assert!(!certificate.passed());
    let failed = failed(&certificate);
    assert!(failed.iter().any(|one| one.starts_with("in/arrived: /data/place/region")), "{failed:?}");
    let departed = failed.iter().find(|one| one.starts_with("out/out-departure"));
    assert!(departed.is_some_and(|one| one.contains("/masaBerlepas") || one.contains("/masaHantar")), "{failed:?}");
    let markdown = certificate.to_markdown();
    assert!(markdown.contains("NOT PASSED") && markdown.contains("## What to do"), "{markdown}");
    assert!(!markdown.contains("E7654321"), "values that were sent are not repeated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_a_mock_is_seen_to_act_and_to_end() {
    let (_stop, stopped) = watch::channel(false);
    let gateway = TestGateway::start().await;
    let running = gateway.running.as_ref().unwrap().gateway.clone();
    let mut seen = BTreeSet::new();
    for code in ["my", "sa"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mock = Mock::start(code, &gateway.stand.pki, listener, stopped.clone()).unwrap();
        let contract = Contract::load(&gateway.stand.pki.partners.join(code), &mock.profile.zone).unwrap();
        let one = contract.interactions.values().find(|one| one.direction == Way::Out).unwrap();
        let record =
            contract.fill(one, one.record.as_ref().unwrap(), &BTreeMap::new()).unwrap().to_string().into_bytes();
        let path = one.path.as_ref().unwrap();
        let system = gateway.system(&format!("{code}-gateway"));
        let push = async || -> Vec<Pushed> {
            let variables = [("reference", format!("{code}-R")), ("order", format!("{code}-J"))];
            let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
            mock.push(&system, &Selection { only: Vec::new(), variables }).await.unwrap()
        };
        let plain = push().await;
        assert!(plain.iter().all(|one| one.status == 201 && one.outcome == "applied"), "{plain:?}");
        for fault in Fault::ALL {
            // A client of its own: no connection is used again.
            let client = || {
                let client = onechannel::app::gateway::party_client(&gateway.config, &running, code, Some(mock.base()));
                client.unwrap().unwrap()
            };
            mock.set_faults(Faults { late_ms: 200, ..Faults::only(fault) });
            let begun = std::time::Instant::now();
            let sent = client().send(path, record.clone()).await;
            let is_late = begun.elapsed().as_millis() >= 200;
            let pushed = push().await;
            let names = |pushed: &[Pushed]| pushed.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
            let acts = match fault {
                Fault::LateAnswer => is_late && matches!(sent, Sent::Acked { .. }),
                Fault::DuplicatePush => pushed.len() == 2 * plain.len() && pushed[1].status == 200,
                Fault::ReorderedPush => names(&pushed) == names(&plain).into_iter().rev().collect::<Vec<_>>(),
                Fault::ChangedBody => pushed.len() == 2 * plain.len() && [409, 201].contains(&pushed[1].status),
                Fault::WrongSchema => pushed.iter().all(|one| one.outcome != "applied"),
                _ => !matches!(sent, Sent::Acked { .. }),
            };
            if acts {
                seen.insert(fault);
            }
            mock.set_faults(Faults::default());
            let after = client().send(path, record.clone()).await;
            assert!(matches!(after, Sent::Acked { .. }), "{code} after {}: {after:?}", fault.name());
        }
    }
    let unseen: Vec<&str> =
        Fault::ALL.iter().filter(|fault| !seen.contains(*fault)).map(|fault| fault.name()).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}

/// A program that runs until it is dropped, and the addresses that it printed.
struct Program {
    child: Child,
    addresses: Value,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onechannel"));
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { child, addresses: serde_json::from_str(&line).unwrap_or_default() }
    }

    fn address(&self, name: &str) -> &str {
        self.addresses[name].as_str().unwrap()
    }

    /// Asks it to end, as an operator would.
    fn end(&mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn plain_http() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    #[expect(clippy::disallowed_methods, reason = "an integrator's client, not the gateway's")]
    let builder = reqwest::Client::builder();
    builder.no_proxy().build().unwrap()
}

fn event(type_name: &str, authority: &str, id: &str) -> Value {
    let file = format!("schemas/examples/valid/{type_name}.json");
    let mut event: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    event["id"] = json!(id);
    event["authority"] = json!(authority);
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mock_gateway_takes_signed_exchanges_and_shows_why_others_failed() {
    let folder = Folder::new();
    let mut program = Program::start(&["mock-gateway", "--json", "--credentials", folder.text()]);
    let base = program.address("channel_api").to_owned();
    let pki = pki::open(&folder.0).unwrap();
    let system = |client: &str| {
        let public = pki.signing.with_extension("pub.pem");
        System::new(&base, &pki.ca, &pki.clients[client], &public, "gateway-sign-1").unwrap()
    };
    let my = system("my-gateway");
    let good = event("movement.arrived.v1", "P-IMM", "kit-1");
    let reply = my.send(&good).await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.body["outcome"].as_str()), (201, Some("applied")), "{}", reply.body);
    let keys: Vec<VerifierKey> = fs::read_to_string(folder.0.join("logs.keys"))
        .unwrap()
        .lines()
        .map(|line| VerifierKey::parse(line).unwrap())
        .collect();
    let receipt: Receipt = serde_json::from_value(reply.body["receipt"].clone()).unwrap();
    let verified = receipt.verify(&keys, Some(good.to_string().as_bytes())).unwrap();
    assert_eq!(verified.bytes_match, Some(true));
    assert_eq!(my.send(&good).await.unwrap().status, 200, "a repeat");
    let mut wrong = event("movement.arrived.v1", "P-IMM", "kit-1");
    wrong["data"]["movement"]["port"] = json!("JHB");
    assert_eq!(my.send(&wrong).await.unwrap().status, 409, "another body under a known id");
    wrong["id"] = json!("kit-2");
    wrong["data"]["movement"]["port"] = json!(77001122);
    assert_eq!(my.send(&wrong).await.unwrap().status, 422);
    for (content_type, body, kind) in
        [("text/plain", "{}", "unsupported-media-type"), ("application/json", "{", "invalid-json")]
    {
        let reply = my.call(Method::POST, "/v1/inbox/permit", content_type, body.into()).await.unwrap();
        assert_eq!(reply.body["type"], format!("urn:onechannel:problem:{kind}"), "as the gateway itself");
    }
    let other = system("kp2mi-system");
    assert_eq!(other.send(&event("movement.arrived.v1", "P-IMM", "kit-3")).await.unwrap().status, 422);
    // The same bytes signed once and sent twice.
    let token = my.fresh_token().await.unwrap();
    let uri = format!("{base}/v1/messages?limit=1");
    let (headers, _) = my.sign(&Method::GET, &uri, &token, "", b"").unwrap();
    for status in [200, 401] {
        let answer = my.http.get(&uri).headers(headers.clone()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
    }
    // RFC 7523: an assertion proves the client once.
    let jwt = assertion::issue(&my.signing, &base, "my-gateway", "kit-jti", SystemClock.now()).unwrap();
    let form = format!("grant_type=client_credentials&client_assertion_type={ASSERTION_TYPE}&client_assertion={jwt}");
    for status in [200, 401] {
        let request = my.http.post(format!("{base}/oauth2/token")).body(form.clone());
        let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
    }
    let http = plain_http();
    let admin = program.address("admin").to_owned();
    let page = http.get(format!("{admin}/")).send().await.unwrap().text().await.unwrap();
    for shown in [
        "my-gateway",
        "schema-violation",
        "/data/movement/port",
        "not-your-authority",
        "replayed-nonce",
        "duplicate-id-other-bytes",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("77001122") && !page.contains("E7654321") && !page.contains("kit-2"), "{page}");

    let trigger = async |code: &str, content_type: &str| {
        let request = http.post(format!("{admin}/admin/trigger/{code}?party=my")).header("content-type", content_type);
        request.send().await.unwrap()
    };
    for of_a_page in ["text/plain", "application/x-www-form-urlencoded", ""] {
        assert_eq!(trigger("pl1", of_a_page).await.status().as_u16(), 415, "{of_a_page}: a page could send it");
    }
    let trigger_pl1 = trigger("pl1", "application/json; charset=utf-8").await;
    let triggered: Value = trigger_pl1.json().await.unwrap();
    assert_eq!(triggered["type"], "placement.nominated.v1", "{triggered}");
    let mailbox = my.call(Method::GET, "/v1/messages", "", Vec::new()).await.unwrap();
    let letter = &mailbox.body["messages"][0];
    assert_eq!(letter["event"]["id"], triggered["id"], "{}", mailbox.body);
    assert!(
        letter["event"]["data"]["worker"]["nik"].is_null() && letter["event"]["data"]["worker"]["name"].is_object()
    );
    let ack = json!({"cursor": letter["cursor"]}).to_string().into_bytes();
    let acknowledged = my.call(Method::POST, "/v1/messages/ack", "application/json", ack).await.unwrap();
    assert_eq!(acknowledged.body["delivered"], 1);
    let mailbox = my.call(Method::GET, "/v1/messages", "", Vec::new()).await.unwrap();
    assert_eq!(mailbox.body["messages"], json!([]));
    let refused = trigger("MV2", "application/json").await;
    assert_eq!(refused.status().as_u16(), 409, "what a party sends it is not told");
    let rebound = http.get(format!("{admin}/")).header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status().as_u16(), 421);
    assert_eq!(program.end(), Some(0));
    // Whoever came later, or never, is told what to do.
    let later = Folder::with(&["id", "my"]);
    assert_eq!(run(&["partner", "new", "xn", "--dir", later.text()]).0, Some(0));
    let (done, text) = run(&["mock-partner", "xn", "--dir", later.text(), "--credentials", folder.text()]);
    assert!(done == Some(2) && text.contains("has no credentials in"), "{text}");
    let (done, text) = run(&["mock-partner", "zz", "--dir", later.text()]);
    assert!(done == Some(2) && text.contains("there is no party zz; there are id, my, xn"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mocks_of_both_sides_talk_to_each_other_as_processes_and_leave_nothing_behind() {
    let folder = Folder::new();
    let shared = ["--json", "--credentials", folder.text()];
    let [port] = crate::support::gateway::free_ports();
    let endpoint = format!("my=https://localhost:{port}");
    let mut gateway = Program::start(&[&["mock-gateway", "--partner", &endpoint][..], &shared].concat());
    let (base, listen) = (gateway.address("channel_api").to_owned(), format!("127.0.0.1:{port}"));
    let mut partner =
        Program::start(&[&["mock-partner", "my", "--gateway", &base, "--listen", &listen][..], &shared].concat());
    let http = plain_http();
    let send = async |method: Method, url: String, body: Value| -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = http.request(method, url).header("content-type", "application/json").body(body);
        request.send().await.unwrap().json().await.unwrap()
    };
    let admin = partner.address("admin").to_owned();
    let pushed = send(Method::POST, format!("{admin}/admin/push"), json!({})).await;
    let pushed = pushed["pushed"].as_array().unwrap().clone();
    assert!(pushed.len() >= 8 && pushed.iter().all(|one| one["status"] == 201), "{pushed:?}");
    let fault = send(Method::PUT, format!("{admin}/admin/faults"), json!({"on": ["html-500"], "calls": 1})).await;
    assert_eq!(fault["on"], json!(["html-500"]));
    let trigger = format!("{}/admin/trigger/MV1?party=my", gateway.address("admin"));
    let first = send(Method::POST, trigger.clone(), Value::Null).await;
    assert_eq!(first["pushed"], "to be sent again: status-500", "{first}");
    let second = send(Method::POST, trigger, Value::Null).await;
    assert_eq!(second["pushed"], "taken", "{second}");
    let told: Value = http.get(format!("{admin}/admin/told")).send().await.unwrap().json().await.unwrap();
    assert_eq!(told["told"][0]["path"], "/api/v1/berlepas", "{told}");
    assert_eq!(told["told"].as_array().unwrap().len(), 1);
    // The process is certified as a party's own system would be: its witness does not follow a log that is thrown away, and without
    // its admin port its bad days cannot be tried.
    let base_url = partner.address("base_url");
    for (admin_url, not_run) in [(Some(admin.as_str()), 1), (None, 9)] {
        let endpoint = Endpoint { base_url, admin_url, credentials: &folder.0 };
        let certificate = certified_at("my", "partners".as_ref(), Some(endpoint)).await;
        assert_eq!(failed(&certificate), Vec::<String>::new());
        assert!(certificate.passed() && !certificate.is_mock && certificate.endpoint == base_url);
        assert_eq!(certificate.items.iter().filter(|item| item.outcome == Outcome::NotRun).count(), not_run);
    }
    let told: Value = http.get(format!("{admin}/admin/told")).send().await.unwrap().json().await.unwrap();
    assert!(told["told"].as_array().unwrap().len() > 10, "it was told by the certificate's gateway: {told}");
    assert_eq!((partner.end(), gateway.end()), (Some(0), Some(0)));
    let mut alone = Program::start(&["mock-partner", "sa", "--json"]);
    let left = PathBuf::from(alone.address("credentials"));
    assert!(left.join("pki/sa-mock.pem").is_file());
    assert_eq!(alone.end(), Some(0));
    assert!(!left.exists(), "{}", left.display());
}

#[test]
fn two_mocks_that_start_at_once_have_the_same_credentials() {
    let (partners, folder) = (Folder::with(&["id", "my"]), Folder::new());
    let made: Vec<String> = std::thread::scope(|scope| {
        let open = || {
            let pki = pki::open_or_make(&folder.0.join("not/yet/there"), &partners.0, SystemClock.now()).unwrap();
            std::fs::read_to_string(pki.ca).unwrap()
        };
        let both = [scope.spawn(open), scope.spawn(open)];
        both.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(made[0], made[1]);
}
