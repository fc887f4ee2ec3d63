//! A party's witness (C2SP tlog-witness): asked with our certificate and nothing else, since the checkpoint carries its own signature.

use super::{PartyClient, read_body, reason};
use crate::ledger::{note::NOTE_MAX, witness::Submission};
use http::{StatusCode, header};
use std::time::Duration;

/// An answer must come within this.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Content type of the size in a 409.
const SIZE: &str = "text/x.tlog.size";

/// What a witness answered to a checkpoint, by the status codes of the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// 200: signature lines, of which none is verified yet.
    Cosigned(String),
    /// 409: it cosigned a tree of this size last, or another root for it.
    Conflict {
        /// That size.
        latest: u64,
    },
    /// 422: the proof does not lead from the tree that it cosigned last to this one.
    Inconsistent,
    /// 400, 403, 404: it takes no checkpoint of this log until somebody mends something.
    Refused(&'static str),
    /// Nothing is known; ask again.
    Away(String),
}

impl PartyClient {
    /// Submits a checkpoint to the party's witness, whose submission prefix is a path below the party's address.
    pub async fn add_checkpoint(&self, prefix: &str, submission: &Submission) -> Submitted {
        let away = |reason: &str| Submitted::Away(reason.to_owned());
        let request = self.http.post(format!("{}{prefix}/add-checkpoint", self.base)).timeout(ANSWER_WITHIN);
        let request = request.header(header::CONTENT_TYPE, "text/plain; charset=utf-8").body(submission.to_text());
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(fault) => return away(reason(&fault)),
        };
        let status = answer.status();
        let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = match read_body(answer, NOTE_MAX).await.map(String::from_utf8) {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => return away("answer-not-text"),
            Err(reason) => return away(reason),
        };
        match status {
            StatusCode::OK => Submitted::Cosigned(body),
            StatusCode::CONFLICT => match size(kind.as_deref(), &body) {
                Some(latest) => Submitted::Conflict { latest },
                None => away("conflict-without-size"),
            },
            StatusCode::UNPROCESSABLE_ENTITY => Submitted::Inconsistent,
            StatusCode::BAD_REQUEST => Submitted::Refused("witness-cannot-read-it"),
            StatusCode::FORBIDDEN => Submitted::Refused("witness-has-another-key"),
            StatusCode::NOT_FOUND => Submitted::Refused("witness-does-not-follow-it"),
            other => Submitted::Away(format!("status-{}", other.as_u16())),
        }
    }
}

/// The size in a 409: a decimal without leading zeroes and a newline.
fn size(kind: Option<&str>, body: &str) -> Option<u64> {
    let size = body.strip_suffix('\n')?.parse::<u64>().ok()?;
    (kind == Some(SIZE) && format!("{size}\n") == body).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_one_spelling() {
        assert_eq!(size(Some(SIZE), "20852014\n"), Some(20_852_014));
        assert_eq!(size(Some(SIZE), "0\n"), Some(0));
        for body in ["", "\n", "7", "07\n", "+7\n", "-1\n", "7\n\n", " 7\n", "18446744073709551616\n"] {
            assert_eq!(size(Some(SIZE), body), None, "{body:?}");
        }
        assert_eq!((size(Some("text/plain"), "7\n"), size(None, "7\n")), (None, None));
    }
}
