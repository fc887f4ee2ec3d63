//! `onechannel evidence export` and `evidence verify`: one archive of everything that is kept, and its check on a machine that has
//! neither a database nor a network.

use super::{CommandFault, Holds};
use crate::{
    evidence::{
        archive::{ARCHIVE_MAX, Archive},
        check,
    },
    exchange::export::{self, Asked, Of},
    words::Lang,
};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};
use time::{Date, macros::format_description};
use uuid::Uuid;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Writes one archive of what is kept about a message, a placement or a day; who asks and why is on record before
    #[command(
        after_help = "Examples: onechannel evidence export --placement 01a20d5b-5b77-74a8-8618-bcd04f475bbf --officer a.sari \\\n            --purpose PROTECTION_CASE --language id --out case-17.tar\n          onechannel evidence export --day 2026-11-24 --officer a.sari --purpose PROTECTION_CASE --out day.tar"
    )]
    Export(Export),
    /// Checks an archive, and says what it proves and what it does not
    #[command(
        after_help = "Example: onechannel evidence verify case-17.tar --keys keys --language ar --page case-17.html"
    )]
    Verify {
        /// The archive
        file: PathBuf,
        /// Keys that you trust, one a line: C2SP verifier keys of logs and witnesses, JWKs of parties. Without them, those in the
        /// archive are used, and it is said
        #[arg(long)]
        keys: Option<PathBuf>,
        /// Roots of time-stamp authorities that you trust (PEM). Without them no time-stamp proves anything, and it is said
        #[arg(long, value_name = "PEM")]
        anchors: Option<PathBuf>,
        /// Language of the explanation; without it, that of the environment, else English
        #[arg(long, value_parser = super::language)]
        language: Option<Lang>,
        /// Write the explanation as one printable page
        #[arg(long, value_name = "HTML")]
        page: Option<PathBuf>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    #[command(flatten)]
    of: About,
    /// The officer who asks, by name
    #[arg(long)]
    officer: String,
    /// Why: a purpose of `purposes.toml`
    #[arg(long)]
    purpose: String,
    /// Case or request number
    #[arg(long)]
    case_number: Option<String>,
    /// With the requests and pages in which several messages came, whole: they tell of others, whose disclosure is on record too
    #[arg(long)]
    whole_requests: bool,
    /// Language of the page in it; without it, that of the environment, else English
    #[arg(long, value_parser = super::language)]
    language: Option<Lang>,
    /// A new file
    #[arg(long)]
    out: PathBuf,
    /// Configuration file
    #[arg(long, default_value = "gateway.toml")]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct About {
    /// One message, by its id
    #[arg(long)]
    message: Option<Uuid>,
    /// Every message of a placement: its id, or the home party's id of it
    #[arg(long)]
    placement: Option<String>,
    /// Every message received on a day, such as 2026-11-24, by the home party's clock
    #[arg(long, value_parser = day)]
    day: Option<Date>,
}

fn day(text: &str) -> Result<Date, String> {
    Date::parse(text, format_description!("[year]-[month]-[day]")).map_err(|fault| fault.to_string())
}

impl Command {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        match self {
            Self::Export(export) => export.run().await,
            Self::Verify { file, keys, anchors, language, page, json } => verify(
                &file,
                keys.as_deref(),
                anchors.as_deref(),
                language.unwrap_or_else(super::own_language),
                page,
                json,
            ),
        }
    }
}

impl Export {
    async fn run(self) -> Result<Holds, CommandFault> {
        let start = |fault: String| CommandFault::Start(fault);
        let About { message, placement, day } = self.of;
        let of = message.map(Of::Message).or(placement.map(Of::Placement)).or(day.map(Of::Day));
        let of = of.ok_or_else(|| start("one of --message, --placement, --day is needed".to_owned()))?;
        let asked = Asked {
            of,
            officer: self.officer,
            purpose: self.purpose,
            case_number: self.case_number,
            whole: self.whole_requests,
            language: self.language.unwrap_or_else(super::own_language),
        };
        let (config, gateway) = super::ready(&self.config).await?;
        // Made first, so that nothing is on record as disclosed that could not be written.
        let mut file = super::new_file(&self.out).map_err(|fault| CommandFault::Unwritten(self.out.clone(), fault))?;
        let written = match export::export(&gateway, &asked, &config.schemas).await {
            Ok(bytes) => {
                let done = file.write_all(&bytes).and_then(|()| file.sync_all());
                done.map_err(|fault| CommandFault::Unwritten(self.out.clone(), fault)).map(|()| bytes.len())
            }
            Err(fault) => Err(start(fault.to_string())),
        };
        if written.is_err() {
            // It is empty or half a file: nobody may take it for an archive.
            let _ = fs::remove_file(&self.out);
        }
        println!("{} bytes written to {}; the disclosure is on record", written?, self.out.display());
        Ok(true)
    }
}

fn verify(
    file: &Path,
    keys: Option<&Path>,
    anchors: Option<&Path>,
    language: Lang,
    page: Option<PathBuf>,
    json: bool,
) -> Result<Holds, CommandFault> {
    let unread = |fault| CommandFault::File(file.into(), fault);
    if fs::metadata(file).map_err(unread)?.len() > ARCHIVE_MAX {
        return Err(CommandFault::Content(file.into(), "larger than an archive may be".to_owned()));
    }
    let bytes = fs::read(file).map_err(unread)?;
    let archive = Archive::read(&bytes).map_err(|fault| CommandFault::Content(file.into(), fault.to_string()))?;
    let mut keys = keys.map(super::read_keys).transpose()?.unwrap_or_default();
    keys.time_stamps = anchors.map(super::read_roots).transpose()?;
    let account = check::account(&archive, Some(&bytes), &keys);
    if let Some(page) = page {
        fs::write(&page, account.html(language)).map_err(|fault| CommandFault::Unwritten(page, fault))?;
    }
    let holds = account.holds();
    if json {
        let texts = |sentences: &[crate::evidence::account::Sentence]| {
            sentences
                .iter()
                .map(|one| serde_json::json!({"key": one.key(), "text": one.text(language)}))
                .collect::<Vec<_>>()
        };
        let result = serde_json::json!({"holds": holds, "faults": texts(&account.faults), "proven": texts(&account.proven),
            "stated": texts(&account.stated), "notProven": texts(&account.not_proven), "keys": account.keys});
        println!("{result}");
    } else {
        print!("{}", account.text(language));
    }
    Ok(holds)
}
