//! Sealing, blind tokens and commitments. Pure functions over keys: where wrapped keys lie is for [`crate::store`].
//!
//! * A sealed column is `12-byte nonce || AES-256-GCM(lz4 or stored bytes)`; the additional data bind it to its table,
//!   column, row and key, so that a sealed value moved elsewhere does not open.
//! * A blind token is an HMAC-SHA-256 under the token key: equal values give equal tokens and nothing else is learnt
//!   without the key. What equality itself leaks stands in the threat model.

use crate::domain::clock::Random;
use aws_lc_rs::{aead, digest, hkdf, hmac};
use std::collections::BTreeMap;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Bytes of a sealing key.
pub const KEY_LENGTH: usize = 32;
const NONCE_LENGTH: usize = 12;
const STORED: u8 = 0;
const LZ4: u8 = 1;

/// Why a sealed value did not open. Says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    /// Wrong key, wrong place or changed bytes.
    #[error("a sealed value does not open under its key at this place")]
    DoesNotOpen,
    /// The key-encryption key of this epoch is not known here.
    #[error("a key is wrapped under an epoch whose key-encryption key is not configured")]
    UnknownEpoch,
    /// Authentic, but written by a version that this one cannot read.
    #[error("a sealed value opened, but its packing is unknown")]
    UnknownPacking,
}

/// Where a sealed value stands: part of what is authenticated.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Table and column, such as `messages.sealed`.
    pub column: &'a str,
    /// The row's id.
    pub row: Uuid,
    /// The key's id.
    pub key: Uuid,
}

impl Place<'_> {
    fn additional_data(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.column.len() + 33);
        bytes.extend_from_slice(self.column.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(self.row.as_bytes());
        bytes.extend_from_slice(self.key.as_bytes());
        bytes
    }
}

/// An opened sealing key; wiped when dropped.
#[derive(Clone)]
pub struct SealingKey {
    /// Id of the key's row in the vault.
    pub id: Uuid,
    bytes: Zeroizing<[u8; KEY_LENGTH]>,
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealingKey({})", self.id)
    }
}

impl SealingKey {
    /// A new random key.
    pub fn generate(id: Uuid, random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        random.fill(&mut bytes[..]);
        Self { id, bytes }
    }

    /// Compresses where that helps, then seals.
    pub fn seal(&self, place: Place<'_>, plain: &[u8], random: &dyn Random) -> Vec<u8> {
        seal_bytes(&self.bytes, &place.additional_data(), &pack(plain), random)
    }

    /// Opens what [`SealingKey::seal`] made.
    ///
    /// # Errors
    /// [`SealFault`] where key, place or bytes differ.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealFault> {
        unpack(&open_bytes(&self.bytes, &place.additional_data(), sealed)?)
    }

    /// The secret that opens one ledger entry's commitment: `HKDF-SHA-256(key, info = "onechannel entry v1" || entry id)` (RFC 5869).
    pub fn opening(&self, entry: Uuid) -> [u8; 32] {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&self.bytes[..]);
        let mut out = [0; 32];
        prk.expand(&[b"onechannel entry v1", entry.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut out))
            .expect("32 bytes is one block of HKDF-SHA-256");
        out
    }
}

/// The secret that opens an entry's commitment: the one that was kept when the row was sealed anew, else the key's own.
///
/// # Errors
/// [`SealFault`] where the kept one does not open.
pub fn opening(key: &SealingKey, entry: Uuid, place: Place<'_>, kept: Option<&[u8]>) -> Result<[u8; 32], SealFault> {
    let Some(kept) = kept else { return Ok(key.opening(entry)) };
    key.open(place, kept)?.try_into().map_err(|_| SealFault::UnknownPacking)
}

/// `HMAC-SHA-256(opening, exact bytes)`: what a ledger entry says of a message.
pub fn commitment(opening: &[u8; 32], bytes: &[u8]) -> [u8; 32] {
    mac(&hmac::Key::new(hmac::HMAC_SHA256, opening), &[bytes])
}

/// The key-encryption keys: that of the epoch in force, and those of others while keys are wrapped under them.
pub struct KeyEncryption {
    /// The epoch in force: new keys are wrapped under it. Its number is kept beside each wrapped key.
    pub epoch: i32,
    by_epoch: BTreeMap<i32, Zeroizing<[u8; KEY_LENGTH]>>,
}

impl std::fmt::Debug for KeyEncryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyEncryption(epoch {})", self.epoch)
    }
}

impl KeyEncryption {
    /// From 32 secret bytes.
    pub fn new(epoch: i32, bytes: [u8; KEY_LENGTH]) -> Self {
        Self { epoch, by_epoch: BTreeMap::from([(epoch, Zeroizing::new(bytes))]) }
    }

    /// Knows another epoch's key too: keys wrapped under it open, none is wrapped under it.
    #[must_use]
    pub fn knowing(mut self, epoch: i32, bytes: [u8; KEY_LENGTH]) -> Self {
        self.by_epoch.entry(epoch).or_insert(Zeroizing::new(bytes));
        self
    }

    /// Wraps a sealing key for the vault, under the epoch in force.
    pub fn wrap(&self, key: &SealingKey, random: &dyn Random) -> Vec<u8> {
        seal_bytes(&self.by_epoch[&self.epoch], key.id.as_bytes(), &key.bytes[..], random)
    }

    /// Unwraps a row of the vault that was wrapped under `epoch`.
    ///
    /// # Errors
    /// [`SealFault::UnknownEpoch`]; [`SealFault::DoesNotOpen`] under another key or another row's id.
    pub fn unwrap_key(&self, epoch: i32, id: Uuid, wrapped: &[u8]) -> Result<SealingKey, SealFault> {
        let under = self.by_epoch.get(&epoch).ok_or(SealFault::UnknownEpoch)?;
        let plain = Zeroizing::new(open_bytes(under, id.as_bytes(), wrapped)?);
        let bytes: [u8; KEY_LENGTH] = plain.as_slice().try_into().map_err(|_| SealFault::UnknownPacking)?;
        Ok(SealingKey { id, bytes: Zeroizing::new(bytes) })
    }
}

/// The key of every blind token and keyed digest.
#[derive(Clone)]
pub struct TokenKey(hmac::Key);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey")
    }
}

impl TokenKey {
    /// From 32 secret bytes, kept apart from the key-encryption key.
    pub fn new(bytes: &[u8; KEY_LENGTH]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The keyed digest of `parts`, each length-prefixed so that no two lists of parts collide.
    pub fn digest(&self, domain: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in std::iter::once(&domain.as_bytes()).chain(parts) {
            context.update(&(part.len() as u32).to_be_bytes());
            context.update(part);
        }
        as_array(context.sign().as_ref())
    }

    /// The first 16 bytes of [`TokenKey::digest`]: link keys, message tags, field values.
    pub fn token(&self, domain: &str, parts: &[&[u8]]) -> [u8; 16] {
        let digest = self.digest(domain, parts);
        let mut token = [0; 16];
        token.copy_from_slice(&digest[..16]);
        token
    }

    /// The first 8 bytes as an integer: a search term.
    pub fn term(&self, kind: &str, value: &str) -> i64 {
        let digest = self.digest(kind, &[value.as_bytes()]);
        let mut term = [0; 8];
        term.copy_from_slice(&digest[..8]);
        i64::from_be_bytes(term)
    }
}

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    as_array(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn mac(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    as_array(context.sign().as_ref())
}

fn as_array(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().expect("SHA-256 gives 32 bytes")
}

fn pack(plain: &[u8]) -> Vec<u8> {
    let compressed = lz4_flex::block::compress_prepend_size(plain);
    let (mark, body) = if compressed.len() < plain.len() { (LZ4, &compressed[..]) } else { (STORED, plain) };
    let mut packed = Vec::with_capacity(body.len() + 1);
    packed.push(mark);
    packed.extend_from_slice(body);
    packed
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, SealFault> {
    match packed.split_first() {
        Some((&STORED, body)) => Ok(body.to_vec()),
        Some((&LZ4, body)) => lz4_flex::block::decompress_size_prepended(body).map_err(|_| SealFault::UnknownPacking),
        _ => Err(SealFault::UnknownPacking),
    }
}

fn cipher(key: &[u8; KEY_LENGTH]) -> aead::LessSafeKey {
    aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, key).expect("a key of 32 bytes fits AES-256"))
}

fn seal_bytes(key: &[u8; KEY_LENGTH], additional: &[u8], plain: &[u8], random: &dyn Random) -> Vec<u8> {
    let mut nonce = [0; NONCE_LENGTH];
    random.fill(&mut nonce);
    let mut out = Vec::with_capacity(NONCE_LENGTH + plain.len() + 16);
    out.extend_from_slice(&nonce);
    let mut body = plain.to_vec();
    cipher(key)
        .seal_in_place_append_tag(aead::Nonce::assume_unique_for_key(nonce), aead::Aad::from(additional), &mut body)
        .expect("a message is far below the limit of AES-GCM");
    out.extend_from_slice(&body);
    out
}

fn open_bytes(key: &[u8; KEY_LENGTH], additional: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealFault> {
    let (nonce, body) = sealed.split_first_chunk::<NONCE_LENGTH>().ok_or(SealFault::DoesNotOpen)?;
    let mut body = body.to_vec();
    let plain = cipher(key)
        .open_in_place(aead::Nonce::assume_unique_for_key(*nonce), aead::Aad::from(additional), &mut body)
        .map_err(|_| SealFault::DoesNotOpen)?;
    Ok(plain.to_vec())
}

#[cfg(test)]
mod tests;
