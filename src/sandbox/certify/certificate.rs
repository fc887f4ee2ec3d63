//! A certificate: what was tried, what passed, what to do about the rest; as JSON, as Markdown, and a C2SP note that signs both.
//!
//! `<party>.json` is the data, `<party>.md` the same for people, `<party>.note` a signed note with the digests of both. Whoever has
//! the certifier's public key can check all three offline.

use crate::{
    ledger::note::{self, NoteFault, NoteSigner, VerifierKey},
    vault::sha256,
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The mark of this format.
pub const FORMAT: &str = "onechannel-certificate/1";

/// How an item ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it must.
    Passed,
    /// Not so.
    Failed,
    /// It could not be tried here.
    NotRun,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its name: `in/…`, `out/…`, `told/…`, `pushed/…`, `folder`, `polling`, `witness`, `ledger`.
    pub name: String,
    /// What must be so.
    pub about: String,
    /// Whether the certificate needs it.
    pub is_required: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// What was found instead.
    pub found: Vec<String>,
    /// What to do about it.
    pub mend: Option<String>,
}

impl Item {
    /// A required item that passed if nothing was found.
    pub(super) fn of(name: &str, about: &str, found: Vec<String>) -> Self {
        let outcome = if found.is_empty() { Outcome::Passed } else { Outcome::Failed };
        Self { name: name.to_owned(), about: about.to_owned(), is_required: true, outcome, found, mend: None }
    }

    /// What to do, if it did not pass.
    pub(super) fn mend(mut self, text: &str) -> Self {
        self.mend = (self.outcome == Outcome::Failed).then(|| text.to_owned());
        self
    }
}

/// What was tried with a party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// [`FORMAT`].
    pub certificate: String,
    /// The party's code.
    pub party: String,
    /// Its name.
    pub name: String,
    /// `test` or `live`.
    pub environment: String,
    /// The endpoint that was called.
    pub endpoint: String,
    /// Whether that was a mock of ours: then it says that the folder is right, and nothing about the party's system.
    pub is_mock: bool,
    /// When (RFC 3339).
    pub at: String,
    /// Name and version of this software.
    pub software: String,
    /// SHA-256 over the party's folder.
    pub folder_sha256: String,
    /// SHA-256 over the schemas.
    pub schemas_sha256: String,
    /// What was tried.
    pub items: Vec<Item>,
}

/// Why files are no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFault {
    /// A file.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// The note.
    #[error("note: {0}")]
    Note(#[from] NoteFault),
    /// The note is of other files.
    #[error("{0} is not the file that was signed")]
    Other(&'static str),
    /// The JSON is none.
    #[error("not a certificate: {0}")]
    Format(String),
}

impl Certificate {
    /// Whether everything that is required passed.
    pub fn passed(&self) -> bool {
        !self.items.is_empty() && self.items.iter().all(|item| item.outcome == Outcome::Passed || !item.is_required)
    }

    /// The certificate for people.
    pub fn to_markdown(&self) -> String {
        let of = |outcome| self.items.iter().filter(|item| item.outcome == outcome).count();
        let result = if self.passed() { "PASSED" } else { "NOT PASSED" };
        let mut text = format!(
            "# {} ({}): {result}\n\n{} of {} items passed, {} failed, {} could not be run here.\n\n| | |\n|---|---|\n| at | {} |\n\
             | endpoint | {} |\n| environment | {} |\n| software | {} |\n| folder (SHA-256) | `{}` |\n| schemas (SHA-256) | `{}` |\n",
            self.name,
            self.party,
            of(Outcome::Passed),
            self.items.len(),
            of(Outcome::Failed),
            of(Outcome::NotRun),
            self.at,
            self.endpoint,
            self.environment,
            self.software,
            self.folder_sha256,
            self.schemas_sha256
        );
        if self.is_mock {
            text += "\nThe endpoint was a mock built from the folder: this says that the folder is right, and nothing about the party's \
                     system.\n";
        }
        let failed: Vec<&Item> = self.items.iter().filter(|item| item.outcome == Outcome::Failed).collect();
        if !failed.is_empty() {
            text += "\n## What to do\n";
            for item in failed {
                text += &format!("\n* **{}**: {}\n", item.name, item.about);
                item.found.iter().for_each(|found| text += &format!("  * {}\n", cell(found)));
                item.mend.iter().for_each(|mend| text += &format!("  * → {mend}\n"));
            }
        }
        text += "\n## Items\n\n| item | must | outcome |\n|---|---|---|\n";
        for item in &self.items {
            let outcome = match item.outcome {
                Outcome::Passed => "passed",
                Outcome::Failed => "FAILED",
                Outcome::NotRun => "not run",
            };
            text += &format!("| {} | {} | {outcome} |\n", cell(&item.name), cell(&item.about));
        }
        text
    }

    /// Writes the three files below `folder`; gives their paths.
    ///
    /// # Errors
    /// [`CertificateFault::File`].
    pub fn write(&self, folder: &Path, signer: &NoteSigner) -> Result<[PathBuf; 3], CertificateFault> {
        let json = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        let markdown = self.to_markdown();
        let note = signer.sign(&self.note_text(&json, &markdown));
        let paths = ["json", "md", "note"].map(|end| folder.join(format!("{}.{end}", self.party)));
        fs::create_dir_all(folder).map_err(|fault| CertificateFault::File(folder.to_owned(), fault))?;
        for (path, text) in paths.iter().zip([&json, &markdown, &note]) {
            fs::write(path, text).map_err(|fault| CertificateFault::File(path.clone(), fault))?;
        }
        Ok(paths)
    }

    /// Reads and checks the three files of a party below `folder` under `keys`.
    ///
    /// # Errors
    /// [`CertificateFault`].
    pub fn read(folder: &Path, party: &str, keys: &[VerifierKey]) -> Result<Self, CertificateFault> {
        let read = |end: &str| {
            let path = folder.join(format!("{party}.{end}"));
            fs::read_to_string(&path).map_err(|fault| CertificateFault::File(path, fault))
        };
        let (json, markdown, note) = (read("json")?, read("md")?, read("note")?);
        let text = note::open(&note, keys)?.text;
        let certificate: Self =
            serde_json::from_str(&json).map_err(|fault| CertificateFault::Format(fault.to_string()))?;
        let says = |line: &str| text.lines().any(|one| one == line);
        for (what, content) in [("json", &json), ("markdown", &markdown)] {
            if !says(&format!("{what} sha256 {}", hex::encode(sha256(content.as_bytes())))) {
                return Err(CertificateFault::Other(if what == "json" { "the JSON" } else { "the Markdown" }));
            }
        }
        if text == certificate.note_text(&json, &markdown) {
            Ok(certificate)
        } else {
            Err(CertificateFault::Other("the JSON"))
        }
    }

    fn note_text(&self, json: &str, markdown: &str) -> String {
        let result = if self.passed() { "passed" } else { "not passed" };
        let digest = |text: &str| hex::encode(sha256(text.as_bytes()));
        format!(
            "{FORMAT}\nparty {}\nresult {result}\njson sha256 {}\nmarkdown sha256 {}\n",
            self.party,
            digest(json),
            digest(markdown)
        )
    }
}

/// Text of a table's cell or a list's line.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ").replace('<', "&lt;")
}
