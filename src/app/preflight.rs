//! What can be seen of a configuration without a database: every file that it names, every key in them, the addresses of partners.
//! All faults at once, a sentence each; never a file's content.

use super::{
    config::{Config, hex_key, pair},
    time_stamps,
};
use crate::{
    partner::Parties,
    store::journal::DOMESTIC,
    trust::{
        keys::{SigningKey, VerifyingKey},
        tls,
    },
};
use std::fs;

/// What is wrong with the files that a configuration names.
pub(super) fn files(config: &Config) -> Vec<String> {
    let mut faults = Vec::new();
    for (chain, key) in [(&config.tls.chain, &config.tls.key), (&config.tls.client_chain, &config.tls.client_key)] {
        let fits = pair(chain, key).and_then(|(certificates, private)| {
            tls::is_of(&certificates, &private)
                .then_some(())
                .ok_or_else(|| format!("{}: not the key of {}", key.display(), chain.display()))
        });
        faults.extend(fits.err());
    }
    let keys = &config.keys;
    let secrets = [&keys.encryption, &keys.tokens].into_iter().chain(keys.encryption_others.values());
    faults.extend(secrets.filter_map(|path| hex_key(path).err()));
    let read = |path: &std::path::Path| fs::read(path).map_err(|fault| format!("{}: {fault}", path.display()));
    let signing = read(&keys.signing).and_then(|pem| {
        let key = SigningKey::from_pkcs8_pem(Some(&keys.signing_kid), &pem);
        key.map(drop).map_err(|fault| format!("{}: {fault}", keys.signing.display()))
    });
    faults.extend(signing.err());
    for (kid, path) in &config.ministry.keys {
        let key = read(path).and_then(|pem| {
            VerifyingKey::from_spki_pem(kid, &pem).map(drop).map_err(|fault| format!("{}: {fault}", path.display()))
        });
        faults.extend(key.err());
    }
    faults.extend(config.time_stamp.as_ref().and_then(|stamping| time_stamps::authority(stamping).err()));
    faults
}

/// What is wrong with a configuration beside the parties that are there.
pub(super) fn parties(config: &Config, parties: &Parties) -> Vec<String> {
    let logs = parties.partners.keys().map(String::as_str).chain([DOMESTIC, "witness"]);
    let mut faults: Vec<String> =
        logs.filter_map(|log| hex_key(&config.keys.logs.join(format!("{log}.seed"))).err()).collect();
    let ml_dsa = config.keys.ml_dsa_seed();
    faults.extend(hex_key(&ml_dsa).err().filter(|_| ml_dsa.exists()));
    for (party, address) in &config.endpoints {
        if !parties.partners.contains_key(party) {
            faults
                .push(format!("endpoints.{party}: there is no partner of this code in {}", config.partners.display()));
        }
        if !address.starts_with("https://") {
            faults.push(format!("endpoints.{party}: an address must begin with https://"));
        }
    }
    faults
}
