//! Checks of identifiers, by name: which kind of identifier uses which check, and how serious a breach is, is data.
//!
//! A check looks at the value alone, a comparison at a part of it beside another field of the record. Neither knows a kind of
//! identifier, and neither makes anything out of a value: no birth date, no sex and no region is ever derived here.

mod births;
mod checksums;
mod pairwise;

use super::names::{self, Agreement};
use births::Inscribed;
pub use pairwise::{PAIRWISE_LENGTH, is_pairwise_id, pairwise_id};

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
///
/// | name | passes |
/// |---|---|
/// | `luhn` | ISO/IEC 7812-1 Annex B |
/// | `mod97` | ISO 13616 |
/// | `iso7064-37-36` | ISO/IEC 7064 MOD 37,36 |
/// | `icao731` | ICAO 9303 part 3 §4.9, the last character being the check digit |
/// | `icao731-or-filler` | the same; of an unused field also the filler |
/// | `date-ddmmyy-40`, `date-yymmdd` | a date that some century has, unknown parts `00` (or `<<`); 40 added to a woman's day |
pub fn check(name: &str, value: &str) -> Option<bool> {
    Some(match name {
        "luhn" => checksums::luhn(value),
        "mod97" => checksums::mod97(value),
        "iso7064-37-36" => checksums::iso7064_37_36(value),
        "icao731" => checksums::icao731(value),
        "icao731-or-filler" => checksums::icao731_or_filler(value),
        "date-ddmmyy-40" => Inscribed::day_first(value).is_some(),
        "date-yymmdd" => Inscribed::year_first(value).is_some(),
        _ => return None,
    })
}

/// Whether `part` of an identifier agrees with `other`, a field of the record, under the comparison called `name`; what is
/// unknown or unreadable contradicts nothing. `None` where there is no such comparison.
///
/// | name | part | other |
/// |---|---|---|
/// | `same` | letters and digits, fillers left out | the same |
/// | `date-ddmmyy-40`, `date-yymmdd` | a date without its century | ISO date, year and month, or year |
/// | `sex-day-40` | `DDMMYY`, 40 added to a woman's day | `F`, `M` |
/// | `sex-odd-male` | a digit | `F`, `M` |
/// | `sex-letter` | `F`, `M`; `<` is unknown | `F`, `M` |
/// | `name` | a name, cut or not, the order of words free | a name |
pub fn compare(name: &str, part: &str, other: &str) -> Option<bool> {
    let agrees = |date: Option<Inscribed>| date.is_none_or(|date| date.agrees(other));
    Some(match name {
        "same" => plain(part) == plain(other),
        "date-ddmmyy-40" => agrees(Inscribed::day_first(part)),
        "date-yymmdd" => agrees(Inscribed::year_first(part)),
        "sex-day-40" => Inscribed::day_first(part).is_none_or(|date| date.agrees_in_sex(other)),
        "sex-odd-male" => match part.bytes().last() {
            Some(digit @ b'0'..=b'9') => births::sex_agrees(if digit % 2 == 1 { "M" } else { "F" }, other),
            _ => true,
        },
        "sex-letter" => births::sex_agrees(part, other),
        "name" => names::agreement(part, other) != Agreement::Different,
        _ => return None,
    })
}

/// Letters and digits of a number as they are compared: documents print hyphens and spaces that a machine-readable line lacks.
fn plain(text: &str) -> String {
    ascii_digits(text).chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_both_arabic_rows_become_ascii() {
        assert_eq!(ascii_digits("٢١٠۰۹ x"), "21009 x");
    }

    #[test]
    fn unknown_names_of_checks_and_comparisons_are_said() {
        assert_eq!(check("no-such-check", "1"), None);
        assert_eq!(compare("no-such-comparison", "1", "1"), None);
    }

    #[test]
    fn comparisons_contradict_only_what_is_stated() {
        let agrees = |name, part, other| compare(name, part, other).unwrap();
        assert!(agrees("same", "L898902C<", "l898902-c") && !agrees("same", "L898902C3", "L898902C4"));
        assert!(
            agrees("sex-odd-male", "5", "M") && agrees("sex-odd-male", "6", "F") && agrees("sex-odd-male", "6", "X")
        );
        assert!(!agrees("sex-odd-male", "5", "F"));
        assert!(agrees("sex-letter", "<", "F") && !agrees("sex-letter", "M", "F"));
        // A date that no century has is flagged by its check, not twice.
        assert!(agrees("date-ddmmyy-40", "999996", "1996-02-29"));
    }
}
