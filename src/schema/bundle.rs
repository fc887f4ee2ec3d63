//! The files of a folder that decide something, and the digest by which entries of the ledger name them.

use crate::vault::sha256;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Endings of the files of `schemas/` that count.
pub const SCHEMAS: &[&str] = &["json", "toml", "csv"];
/// Endings of the files of a party's folder that count.
pub const PARTY: &[&str] = &["toml", "json"];

/// Whether a file counts by its ending.
pub fn counts(name: &Path, endings: &[&str]) -> bool {
    name.extension().is_some_and(|end| endings.iter().any(|kept| end == *kept))
}

/// The files below a folder that count, by their names below it with `/` between.
///
/// # Errors
/// The file, and why it cannot be read.
pub fn read(folder: &Path, endings: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, (PathBuf, io::Error)> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).map_err(|fault| (next.clone(), fault))? {
            let path = entry.map_err(|fault| (next.clone(), fault))?.path();
            if path.is_dir() {
                open.push(path);
            } else if counts(&path, endings) {
                let bytes = fs::read(&path).map_err(|fault| (path.clone(), fault))?;
                files.insert(path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned(), bytes);
            }
        }
    }
    Ok(files)
}

/// SHA-256 over the names and the SHA-256 of each file, in the order of paths.
pub fn digest<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> [u8; 32] {
    let mut files: Vec<(&Path, &[u8])> = files.into_iter().map(|(name, bytes)| (Path::new(name), bytes)).collect();
    files.sort_by_key(|(name, _)| *name);
    let parts = files
        .into_iter()
        .flat_map(|(name, bytes)| [name.to_string_lossy().as_bytes().to_vec(), sha256(bytes).to_vec()].concat());
    sha256(&parts.collect::<Vec<u8>>())
}

/// [`digest`] of what [`read`] gave.
pub fn digest_of(files: &BTreeMap<String, Vec<u8>>) -> [u8; 32] {
    digest(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())))
}
