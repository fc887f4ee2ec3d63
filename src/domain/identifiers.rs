//! Checks of identifiers, by name; which kind of identifier uses which check is data.

use super::clock::Random;

const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Characters of a pairwise id, its check character included.
pub const PAIRWISE_LENGTH: usize = 26;

/// ASCII for Arabic-Indic (U+0660) and extended Arabic-Indic (U+06F0) digits; everything else stays.
pub fn ascii_digits(text: &str) -> String {
    let digit = |c: char| match c as u32 {
        code @ 0x0660..=0x0669 => (b'0' + (code - 0x0660) as u8) as char,
        code @ 0x06F0..=0x06F9 => (b'0' + (code - 0x06F0) as u8) as char,
        _ => c,
    };
    text.chars().map(digit).collect()
}

/// Whether `value` passes the check called `name`; `None` where there is no such check.
pub fn check(name: &str, value: &str) -> Option<bool> {
    Some(match name {
        "luhn" => luhn(value),
        "mod97" => mod97(value),
        "iso7064-37-36" => iso7064_37_36(value),
        _ => return None,
    })
}

/// ISO/IEC 7812-1 Annex B, over ASCII digits.
fn luhn(value: &str) -> bool {
    let digits: Option<Vec<u32>> = value.chars().map(|c| c.to_digit(10)).collect();
    let Some(digits) = digits.filter(|digits| digits.len() > 1) else { return false };
    let doubled = |n: u32| if n > 4 { n * 2 - 9 } else { n * 2 };
    let sum: u32 = digits.iter().rev().enumerate().map(|(i, n)| if i % 2 == 1 { doubled(*n) } else { *n }).sum();
    sum.is_multiple_of(10)
}

/// ISO 13616: the first four characters moved to the end, letters as 10–35, modulo 97 is 1.
fn mod97(value: &str) -> bool {
    let (Some(head), Some(tail)) = (value.get(..4), value.get(4..)) else { return false };
    let number = |rest: Option<u64>, c: char| {
        let digit = c.is_ascii_digit() || c.is_ascii_uppercase();
        let n = u64::from(c.to_digit(36).filter(|_| digit)?);
        Some((rest? * if n > 9 { 100 } else { 10 } + n) % 97)
    };
    tail.chars().chain(head.chars()).fold(Some(0), number) == Some(1)
}

fn fold_37_36(body: &[u8]) -> Option<usize> {
    body.iter().try_fold(36, |product, c| {
        let value = ALPHABET.iter().position(|known| known == c)?;
        let sum = (product + value) % 36;
        Some(if sum == 0 { 36 } else { sum } * 2 % 37)
    })
}

/// ISO/IEC 7064 MOD 37,36: a hybrid system over 0–9A–Z with one check character.
fn iso7064_37_36(value: &str) -> bool {
    let Some((check, body)) = value.as_bytes().split_last() else { return false };
    !body.is_empty() && fold_37_36(body).is_some_and(|product| ALPHABET[(37 - product) % 36] == *check)
}

/// A new pairwise id: 25 random characters (129 bits) and their ISO/IEC 7064 MOD 37,36 check.
pub fn pairwise_id(random: &dyn Random) -> String {
    let mut id = Vec::with_capacity(PAIRWISE_LENGTH);
    while id.len() < PAIRWISE_LENGTH - 1 {
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        // 252 is the greatest multiple of 36 in a byte: what lies above would favour the first characters.
        let fair = bytes.iter().filter(|byte| **byte < 252).map(|byte| ALPHABET[usize::from(*byte) % 36]);
        id.extend(fair.take(PAIRWISE_LENGTH - 1 - id.len()));
    }
    let product = fold_37_36(&id).expect("every character is of the alphabet");
    id.push(ALPHABET[(37 - product) % 36]);
    String::from_utf8(id).expect("the alphabet is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_specimens() {
        assert_eq!(check("luhn", "1000000008"), Some(true));
        assert_eq!(check("luhn", "2100000005"), Some(true));
        assert_eq!(check("luhn", "2100000006"), Some(false));
        assert_eq!(check("luhn", "21000000A5"), Some(false));
        assert_eq!(check("mod97", "SA0380000000608010167519"), Some(true));
        assert_eq!(check("mod97", "SA0380000000608010167518"), Some(false));
        assert_eq!(check("mod97", "é"), Some(false));
        // ISO/IEC 7064: the standard's own example of this system.
        assert_eq!(check("iso7064-37-36", "A12425GABC1234002M"), Some(true));
        assert_eq!(check("iso7064-37-36", "A12425GABC1234002N"), Some(false));
        assert_eq!(check("no-such-check", "1"), None);
    }

    #[test]
    fn a_pairwise_id_fails_when_one_character_or_two_neighbours_change() {
        let id = pairwise_id(&crate::app::system::SystemRandom);
        assert_eq!(id.len(), PAIRWISE_LENGTH);
        assert_eq!(check("iso7064-37-36", &id), Some(true));
        for at in 0..id.len() {
            let mut other = id.clone().into_bytes();
            other[at] = if other[at] == b'7' { b'8' } else { b'7' };
            assert_eq!(check("iso7064-37-36", &String::from_utf8(other).unwrap()), Some(false));
        }
    }

    #[test]
    fn digits_of_both_arabic_rows_become_ascii() {
        assert_eq!(ascii_digits("٢١٠۰۹ x"), "21009 x");
    }
}
