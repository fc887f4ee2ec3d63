//! The list of erasures outside of the databases: a line each, added and flushed to the disk before the keys go, never changed. Two
//! processes that write to it take turns.

use crate::store::erasures::Listed;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// A file of erasures.
#[derive(Debug, Clone)]
pub struct List(PathBuf);

impl List {
    /// The list in this file, which need not be there yet.
    pub fn new(file: &Path) -> Self {
        Self(file.to_owned())
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.0
    }

    /// Everything on the list. A last line without its end was cut off by a crash before anything followed from it.
    ///
    /// # Errors
    /// Where the file cannot be read, or holds a line that is no erasure.
    pub fn read(&self) -> io::Result<Vec<Listed>> {
        let text = match fs::read_to_string(&self.0) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.lines().enumerate().filter(|(_, line)| !line.is_empty());
        lines
            .map(|(n, line)| {
                let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("line {} is no erasure", n + 1));
                Listed::parse(line).ok_or_else(bad)
            })
            .collect()
    }

    /// Adds a line; when this returns it is on the disk.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn append(&self, line: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.0)?;
        file.lock()?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_all()?;
        // A file that was made just now is there after a crash only if its folder is.
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}
