//! `[time_stamp]` of the configuration as an authority that can be asked.

use super::{config::TimeStamp, system::SystemClock};
use crate::{
    client::TimeStampClient,
    exchange::time_stamps::Authority,
    trust::time_stamp::{Policy, Roots},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{path::Path, sync::Arc};

/// The authority that a configuration names.
///
/// # Errors
/// A sentence that names the key or file.
pub fn authority(config: &TimeStamp) -> Result<Authority, String> {
    let certificates = certificates(&config.roots)?;
    let tls = config.tls_roots.as_deref().map(self::certificates).transpose()?;
    let tls = tls.as_ref().unwrap_or(&certificates);
    let client = TimeStampClient::new(&config.url, tls, Arc::new(SystemClock));
    let policy = config.policy.as_deref().map(|text| {
        Policy::parse(text)
            .ok_or_else(|| format!("time_stamp.policy: {text} is no object identifier such as 1.3.6.1.4.1.99999.1"))
    });
    Ok(Authority {
        client: client.map_err(|fault| format!("time_stamp.url: {fault}"))?,
        roots: roots_of(&config.roots, &certificates)?,
        policy: policy.transpose()?,
        every: time::Duration::seconds(config.every_s.into()),
    })
}

/// Roots of time-stamp authorities from a PEM file.
///
/// # Errors
/// A sentence that names the file.
pub fn roots(path: &Path) -> Result<Roots, String> {
    roots_of(path, &certificates(path)?)
}

fn roots_of(path: &Path, certificates: &[CertificateDer<'static>]) -> Result<Roots, String> {
    Roots::new(certificates).map_err(|_| format!("{}: no certificate, or one that is none", path.display()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    found.map_err(|fault| format!("{}: {fault}", path.display()))
}
