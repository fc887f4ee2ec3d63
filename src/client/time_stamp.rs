//! A time-stamp authority over HTTP (RFC 3161 §3.4): asked without a certificate of ours, because its token carries its own proof. Plain
//! HTTP is as good as HTTPS for that; it shows who asks, and a digest.

use super::{http, read_body, reason};
use crate::{
    domain::clock::Clock,
    trust::{time_stamp::TOKEN_MAX, tls},
};
use ::http::{StatusCode, header};
use rustls_pki_types::CertificateDer;
use std::{sync::Arc, time::Duration};

/// An answer must come within this.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The client of one authority.
#[derive(Debug, Clone)]
pub struct TimeStampClient {
    http: reqwest::Client,
    url: reqwest::Url,
}

impl TimeStampClient {
    /// The client of the authority at `url`; of an `https` one `roots` vouch for the server.
    ///
    /// # Errors
    /// A sentence.
    pub fn new(url: &str, roots: &[CertificateDer<'static>], clock: Arc<dyn Clock>) -> Result<Self, String> {
        let url = reqwest::Url::parse(url).map_err(|fault| fault.to_string())?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err("its address must begin with http:// or https://".to_owned());
        }
        let tls = tls::anonymous_config(roots, clock).map_err(|fault| fault.to_string())?;
        Ok(Self { http: http(tls, ANSWER_WITHIN, |builder| builder)?, url })
    }

    /// What it answers to a TimeStampReq.
    ///
    /// # Errors
    /// A stable word; ask again later.
    pub async fn ask(&self, request: Vec<u8>) -> Result<Vec<u8>, &'static str> {
        let request =
            self.http.post(self.url.clone()).header(header::CONTENT_TYPE, "application/timestamp-query").body(request);
        let answer = request.send().await.map_err(|fault| reason(&fault))?;
        if answer.status() != StatusCode::OK {
            return Err("status-not-200");
        }
        read_body(answer, TOKEN_MAX).await
    }
}
