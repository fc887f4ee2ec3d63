//! Pairwise ids: by what each party knows a placement. Random, so that nobody can tell from two of them that they mean one.

use super::{
    check,
    checksums::{check_37_36, of_alphabet},
};
use crate::domain::clock::Random;

/// Characters of a pairwise id, its check character included.
pub const PAIRWISE_LENGTH: usize = 26;

/// A new pairwise id: 25 random characters (129 bits) and their ISO/IEC 7064 MOD 37,36 check.
pub fn pairwise_id(random: &dyn Random) -> String {
    let mut id = Vec::with_capacity(PAIRWISE_LENGTH);
    while id.len() < PAIRWISE_LENGTH - 1 {
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        // 252 is the greatest multiple of 36 in a byte: what lies above would favour the first characters.
        let fair = bytes.iter().filter(|byte| **byte < 252).map(|byte| of_alphabet(usize::from(*byte)));
        id.extend(fair.take(PAIRWISE_LENGTH - 1 - id.len()));
    }
    id.push(check_37_36(&id).expect("every character is of the alphabet"));
    String::from_utf8(id).expect("the alphabet is ASCII")
}

/// Whether a text has the shape of a pairwise id.
pub fn is_pairwise_id(text: &str) -> bool {
    text.len() == PAIRWISE_LENGTH && check("iso7064-37-36", text) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pairwise_id_fails_when_one_character_changes() {
        let id = pairwise_id(&crate::app::system::SystemRandom);
        assert_eq!(id.len(), PAIRWISE_LENGTH);
        assert_eq!(check("iso7064-37-36", &id), Some(true));
        for at in 0..id.len() {
            let mut other = id.clone().into_bytes();
            other[at] = if other[at] == b'7' { b'8' } else { b'7' };
            assert_eq!(check("iso7064-37-36", &String::from_utf8(other).unwrap()), Some(false));
        }
    }
}
