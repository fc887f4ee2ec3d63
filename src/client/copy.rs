//! A party's copy of our log (C2SP tlog-tiles), read with our certificate and nothing else: what it holds proves itself.

use super::{PartyClient, read_body, reason};
use http::StatusCode;

/// No file of a log is longer: a bundle of 256 entries of 65,535 bytes, each after two bytes of length.
pub const FILE_MAX: u64 = 256 * 65_537;

impl PartyClient {
    /// The path below the party's address of a URL that lies there; `None` for any other.
    pub fn path_of<'u>(&self, url: &'u str) -> Option<&'u str> {
        url.strip_prefix(&self.base).filter(|path| path.is_empty() || path.starts_with('/'))
    }

    /// The bytes of a file of the copy; `None` where the party has none.
    ///
    /// # Errors
    /// A stable word.
    pub async fn read_copy(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await.map_err(|fault| reason(&fault))?;
        match answer.status() {
            StatusCode::OK => Ok(Some(read_body(answer, FILE_MAX as usize).await?)),
            StatusCode::NOT_FOUND => Ok(None),
            other => Err(format!("status-{}", other.as_u16())),
        }
    }
}
