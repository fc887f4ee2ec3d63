//! Check digits: whether a value carries the right one.

const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// ISO/IEC 7812-1 Annex B, over ASCII digits.
pub(super) fn luhn(value: &str) -> bool {
    let digits: Option<Vec<u32>> = value.chars().map(|c| c.to_digit(10)).collect();
    let Some(digits) = digits.filter(|digits| digits.len() > 1) else { return false };
    let doubled = |n: u32| if n > 4 { n * 2 - 9 } else { n * 2 };
    let sum: u32 = digits.iter().rev().enumerate().map(|(i, n)| if i % 2 == 1 { doubled(*n) } else { *n }).sum();
    sum.is_multiple_of(10)
}

/// ISO 13616: the first four characters moved to the end, letters as 10–35, modulo 97 is 1.
pub(super) fn mod97(value: &str) -> bool {
    let (Some(head), Some(tail)) = (value.get(..4), value.get(4..)) else { return false };
    let number = |rest: Option<u64>, c: char| {
        let digit = c.is_ascii_digit() || c.is_ascii_uppercase();
        let n = u64::from(c.to_digit(36).filter(|_| digit)?);
        Some((rest? * if n > 9 { 100 } else { 10 } + n) % 97)
    };
    tail.chars().chain(head.chars()).fold(Some(0), number) == Some(1)
}

/// ISO/IEC 7064 MOD 37,36: a hybrid system over 0–9A–Z with one check character. It finds every single wrong character and nearly
/// every pair of neighbours that changed places.
pub(super) fn iso7064_37_36(value: &str) -> bool {
    let Some((check, body)) = value.as_bytes().split_last() else { return false };
    !body.is_empty() && check_37_36(body) == Some(*check)
}

/// The check character of `body` under ISO/IEC 7064 MOD 37,36; `None` for other characters than 0–9A–Z.
pub(super) fn check_37_36(body: &[u8]) -> Option<u8> {
    let product = body.iter().try_fold(36, |product, c| {
        let value = ALPHABET.iter().position(|known| known == c)?;
        let sum = (product + value) % 36;
        Some(if sum == 0 { 36 } else { sum } * 2 % 37)
    })?;
    Some(ALPHABET[(37 - product) % 36])
}

/// A character of 0–9A–Z by its place.
pub(super) fn of_alphabet(place: usize) -> u8 {
    ALPHABET[place % ALPHABET.len()]
}

/// ICAO 9303 part 3 §4.9: weights 7, 3, 1, modulo 10; 0–9 count 0–9, A–Z 10–35, the filler `<` 0. The last character is the check digit.
pub(super) fn icao731(value: &str) -> bool {
    let Some((check, body)) = value.as_bytes().split_last() else { return false };
    !body.is_empty() && sum_731(body).is_some_and(|sum| sum == *check)
}

/// As [`icao731`], but of a field that is all filler the check digit may be the filler too (ICAO 9303 part 4 §4.2.2, optional data).
pub(super) fn icao731_or_filler(value: &str) -> bool {
    let empty = value.len() > 1 && value.bytes().all(|b| b == b'<');
    empty || icao731(value)
}

fn sum_731(body: &[u8]) -> Option<u8> {
    let value = |c: &u8| match c {
        b'0'..=b'9' => Some(u32::from(c - b'0')),
        b'A'..=b'Z' => Some(u32::from(c - b'A') + 10),
        b'<' => Some(0),
        _ => None,
    };
    let weighed = body.iter().zip([7, 3, 1].into_iter().cycle());
    let sum = weighed.map(|(c, weight)| Some(value(c)? * weight)).sum::<Option<u32>>()?;
    u8::try_from(sum % 10).ok().map(|digit| b'0' + digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn published_specimens() {
        assert!(luhn("1000000008") && luhn("2100000005"));
        assert!(!luhn("2100000006") && !luhn("21000000A5") && !luhn("") && !luhn("0"));
        assert!(mod97("SA0380000000608010167519"));
        assert!(!mod97("SA0380000000608010167518") && !mod97("é") && !mod97("sa0380000000608010167519"));
        // ISO/IEC 7064: the standard's own example of this system.
        assert!(iso7064_37_36("A12425GABC1234002M") && !iso7064_37_36("A12425GABC1234002N"));
    }

    #[test]
    fn the_specimen_of_icao_9303() {
        for good in ["L898902C36", "7408122", "1204159", "ZE184226B<<<<<1"] {
            assert!(icao731(good), "{good}");
        }
        // Number, birth, expiry, optional data, each with its check digit: the composite is 0.
        assert!(icao731("L898902C3674081221204159ZE184226B<<<<<10"));
        assert!(!icao731("L898902C3674081221204159ZE184226B<<<<<11"));
        assert!(!icao731("L898902C37") && !icao731("l898902c36") && !icao731("6") && !icao731(""));
    }

    #[test]
    fn unused_optional_data_carries_a_zero_or_the_filler() {
        assert!(icao731_or_filler("<<<<<<<<<<<<<<<") && icao731_or_filler("<<<<<<<<<<<<<<0"));
        assert!(!icao731("<<<<<<<<<<<<<<<") && !icao731_or_filler("<<<<<<<<<<<<<<1"));
        assert!(!icao731_or_filler("ZE184226B<<<<<<"));
    }

    #[test]
    fn few_swapped_neighbours_get_past_mod_37_36() {
        let mut missed = 0;
        for (a, b) in ALPHABET.iter().flat_map(|a| ALPHABET.map(|b| (*a, b))).filter(|(a, b)| a != b) {
            let check = check_37_36(&[a, b]).unwrap();
            missed += usize::from(check_37_36(&[b, a]) == Some(check));
        }
        assert!(missed * 100 < 36 * 35, "{missed} of {}", 36 * 35);
    }

    proptest! {
        /// The oracles are other people's crates.
        #[test]
        fn check_digits_are_those_of_the_mrz_crate(body in "[A-Z0-9<]{1,40}") {
            let digit = char::from_digit(mrz::check_digit(&body).unwrap(), 10).unwrap();
            for other in '0'..='9' {
                prop_assert_eq!(icao731(&format!("{body}{other}")), other == digit);
            }
        }

        #[test]
        fn mod_97_is_that_of_the_iban_crate(country in "[A-Z]{2}", check in 0u8..100, rest in "[A-Z0-9]{11,30}") {
            let text = format!("{country}{check:02}{rest}");
            // The crate also refuses check digits that ISO 13616 never computes: 00, 01 and 99.
            if (2..=98).contains(&check) {
                prop_assert_eq!(mod97(&text), text.parse::<iban::BaseIban>().is_ok());
            }
        }

        #[test]
        fn one_wrong_digit_never_passes(body in "[0-9]{2,15}", at in 0usize..15, by in 1u8..10) {
            let good = (0..10).map(|d| format!("{body}{d}")).find(|text| luhn(text)).unwrap();
            let mut bad = good.into_bytes();
            let at = at % bad.len();
            bad[at] = b'0' + (bad[at] - b'0' + by) % 10;
            prop_assert!(!luhn(std::str::from_utf8(&bad).unwrap()));
        }
    }
}
