//! The packed form of a message's facts in `messages.effects`: a tag byte, then fixed fields; texts after one length byte.

use crate::domain::facts::{Effect, FactKind, Link, Reach};
use time::OffsetDateTime;

const STATUS: u8 = 0;
const FIELD: u8 = 1;
const INVALIDATE: u8 = 2;
const CASE_STATUS: u8 = 3;
const APPROVE: u8 = 4;
const CORRECT: u8 = 5;

pub(super) fn pack(effects: &[Effect]) -> Vec<u8> {
    let mut out = Vec::with_capacity(effects.len() * 24);
    for effect in effects {
        match effect {
            Effect::Status { kind, value, at, owner, case } => {
                match case {
                    None => out.push(STATUS),
                    Some(case) => {
                        out.push(CASE_STATUS);
                        out.extend_from_slice(case);
                    }
                }
                out.push((*owner).into());
                let micros = at.map_or(i64::MIN, |at| (at.unix_timestamp_nanos() / 1_000) as i64);
                out.extend_from_slice(&micros.to_be_bytes());
                for text in [kind.as_str(), value] {
                    // One length byte; a cut never falls into a character.
                    let bytes = &text.as_bytes()[..text.floor_char_boundary(255)];
                    out.push(bytes.len() as u8);
                    out.extend_from_slice(bytes);
                }
            }
            Effect::Field { path, digest, owner } => {
                out.extend_from_slice(&[FIELD, (*owner).into()]);
                out.extend_from_slice(&path.to_be_bytes());
                out.extend_from_slice(digest);
            }
            Effect::Invalidate { target } => {
                out.push(INVALIDATE);
                out.extend_from_slice(target);
            }
            Effect::Correct { target } => {
                out.push(CORRECT);
                out.extend_from_slice(target);
            }
            Effect::Approve { target, officer } => {
                out.push(APPROVE);
                out.extend_from_slice(target);
                out.extend_from_slice(officer);
            }
        }
    }
    out
}

/// Reads what [`pack`] wrote; `None` for anything else.
pub(super) fn unpack(mut bytes: &[u8]) -> Option<Vec<Effect>> {
    fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
        let (head, rest) = bytes.split_first_chunk::<N>()?;
        *bytes = rest;
        Some(*head)
    }
    fn text(bytes: &mut &[u8]) -> Option<String> {
        let [length] = take::<1>(bytes)?;
        let (head, rest) = bytes.split_at_checked(length.into())?;
        *bytes = rest;
        String::from_utf8(head.to_vec()).ok()
    }
    let mut effects = Vec::new();
    while !bytes.is_empty() {
        let [tag] = take::<1>(&mut bytes)?;
        effects.push(match tag {
            STATUS | CASE_STATUS => {
                let case = if tag == CASE_STATUS { Some(take(&mut bytes)?) } else { None };
                let [owner] = take::<1>(&mut bytes)?;
                let at = match i64::from_be_bytes(take(&mut bytes)?) {
                    i64::MIN => None,
                    micros => Some(OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok()?),
                };
                let kind: FactKind = text(&mut bytes)?.parse().ok()?;
                Effect::Status { kind, value: text(&mut bytes)?, at, owner: owner == 1, case }
            }
            FIELD => {
                let [owner] = take::<1>(&mut bytes)?;
                let path = u16::from_be_bytes(take(&mut bytes)?);
                Effect::Field { path, digest: take(&mut bytes)?, owner: owner == 1 }
            }
            INVALIDATE => Effect::Invalidate { target: take(&mut bytes)? },
            CORRECT => Effect::Correct { target: take(&mut bytes)? },
            APPROVE => Effect::Approve { target: take(&mut bytes)?, officer: take(&mut bytes)? },
            _ => return None,
        });
    }
    Some(effects)
}

/// The packed form of a message's identifiers in `messages.links`: a byte of reach and a token each.
pub(super) fn pack_links(links: &[Link]) -> Vec<u8> {
    let reach = |link: &Link| match link.reach {
        Reach::Placement => 0,
        Reach::Worker => 1,
        Reach::Person => 2,
        Reach::Case => 3,
    };
    links.iter().flat_map(|link| [reach(link)].into_iter().chain(link.token)).collect()
}

/// Reads what [`pack_links`] wrote; `None` for anything else.
pub(super) fn unpack_links(bytes: &[u8]) -> Option<Vec<Link>> {
    let (links, rest) = bytes.as_chunks::<17>();
    let link = |[reach, token @ ..]: &[u8; 17]| {
        let reach = match reach {
            0 => Reach::Placement,
            1 => Reach::Worker,
            2 => Reach::Person,
            3 => Reach::Case,
            _ => return None,
        };
        Some(Link { token: *token, reach })
    };
    if rest.is_empty() { links.iter().map(link).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_long_text_of_any_script_reads_back() {
        let value = "x".repeat(254) + "é";
        let effects = [Effect::Status { kind: FactKind::Absence, value, at: None, owner: true, case: None }];
        assert!(unpack(&pack(&effects)).is_some());
    }

    #[test]
    fn what_is_packed_reads_back_and_a_cut_text_does_not() {
        let at = Some(datetime!(2026-11-24 01:02:03.000004 UTC));
        let effects = vec![
            Effect::Status { kind: FactKind::Entry, value: "ARRIVED".into(), at, owner: true, case: None },
            Effect::Status { kind: FactKind::Case, value: "OPEN".into(), at: None, owner: false, case: Some([3; 16]) },
            Effect::Approve { target: [1; 16], officer: [2; 16] },
            Effect::Field { path: 513, digest: [7; 16], owner: true },
            Effect::Invalidate { target: [9; 16] },
            Effect::Correct { target: [8; 16] },
        ];
        let bytes = pack(&effects);
        assert_eq!(unpack(&bytes), Some(effects));
        assert_eq!(unpack(&bytes[..bytes.len() - 1]), None);
        assert_eq!(unpack(&[9]), None);
        let links = [Reach::Placement, Reach::Worker, Reach::Person].map(|reach| Link { token: [4; 16], reach });
        let bytes = pack_links(&links);
        assert_eq!(unpack_links(&bytes).as_deref(), Some(&links[..]));
        assert_eq!(unpack_links(&bytes[1..]), None);
    }
}
