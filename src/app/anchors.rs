//! Trust anchors and CRLs of every party, as they lie in its folder at this moment: read at start, and again every few seconds.

use crate::{
    client,
    partner::{Parties, Party},
    trust::anchors::PartyAnchors,
};
use rustls_pki_types::{CertificateRevocationListDer, pem::PemObject};
use std::collections::HashMap;
use time::OffsetDateTime;

/// Trust anchors and CRLs of every party, read from its folder now; `graces`: until when officers let its expired CRLs count.
pub(super) fn all(parties: &Parties, graces: &HashMap<String, OffsetDateTime>) -> Result<Vec<PartyAnchors>, String> {
    parties.all().map(|party| of(party, graces.get(party.code()).copied())).collect()
}

fn of(party: &Party, crl_grace_until: Option<OffsetDateTime>) -> Result<PartyAnchors, String> {
    let trust = &party.profile.trust;
    let crls = trust.crls.iter().map(|file| {
        let path = party.folder.join(file);
        CertificateRevocationListDer::from_pem_file(&path).map_err(|fault| format!("{}: {fault}", path.display()))
    });
    Ok(PartyAnchors {
        party: party.code().to_owned(),
        roots: client::certificates(&party.folder, &trust.roots).map_err(|fault| fault.to_string())?,
        crls: crls.collect::<Result<_, _>>()?,
        crl_grace: time::Duration::hours(trust.crl_grace_h.into()),
        crl_grace_until,
    })
}
