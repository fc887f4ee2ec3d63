//! What the rules of agreements measure: decimal amounts, ages from birth dates known in part, terms of contract.
//!
//! Which rule applies to what, and whose it is, is data of [`crate::partner::rules`]; this file only compares.

use super::calendars::Calendar;
use time::{Date, Duration, Month};

/// A decimal number, exact to nine places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(i128);

impl Decimal {
    const PLACES: usize = 9;

    /// Reads `1700`, `1700.00` or `-0.5`: at most 18 digits before the point and nine after; no exponent, no separator.
    pub fn parse(text: &str) -> Option<Self> {
        let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole, 18) || !digits(part, Self::PLACES) {
            return None;
        }
        let scaled: i128 = format!("{whole}{part:0<places$}", places = Self::PLACES).parse().ok()?;
        Some(Self(sign * scaled))
    }
}

/// A birth date, of which the day or the month too may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Born {
    earliest: Date,
    latest: Date,
}

impl Born {
    /// Reads `1996-02-29`, `1996-02` or `1996`; the date must exist.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let number = |text: &str, length: usize| {
            let digits = text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<u16>().ok()).flatten()
        };
        let year = i32::from(number(parts.first()?, 4)?);
        let month = |text: &str| Month::try_from(number(text, 2)? as u8).ok();
        let day = |month, day| Date::from_calendar_date(year, month, day).ok();
        let (earliest, latest) = match parts.as_slice() {
            [_] => (day(Month::January, 1)?, day(Month::December, 31)?),
            [_, m] => (day(month(m)?, 1)?, day(month(m)?, month(m)?.length(year))?),
            [_, m, d] => (day(month(m)?, number(d, 2)? as u8)?, day(month(m)?, number(d, 2)? as u8)?),
            _ => return None,
        };
        Some(Self { earliest, latest })
    }

    /// Least and greatest possible age in completed years. Who was born on 29 February completes a year on 1 March where the
    /// year has no such day.
    pub fn age_on(self, day: Date) -> (i32, i32) {
        (age(self.latest, day), age(self.earliest, day))
    }
}

fn age(born: Date, day: Date) -> i32 {
    let before = (u8::from(day.month()), day.day()) < (u8::from(born.month()), born.day());
    day.year() - born.year() - i32::from(before)
}

/// Whether a contract from `start` to `end` has at least and at most so many months. Its last day is worked: 24 months from 1
/// January end on 31 December; as contracts are written either way, 1 January is taken for 24 months too.
pub fn term_within(start: Date, end: Date, least: Option<u32>, most: Option<u32>, calendar: Calendar) -> bool {
    let after = |months| calendar.months_after(start, months);
    let long_enough = least.is_none_or(|months| after(months).is_some_and(|full| end >= full - Duration::DAY));
    // A term that leads beyond the calendar's table cannot be told, and so is not within.
    let short_enough = most.is_none_or(|months| after(months).is_some_and(|full| end <= full));
    long_enough && short_enough
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::date;

    #[test]
    fn decimals_are_compared_by_value_and_nothing_else_is_one() {
        assert_eq!(Decimal::parse("1700"), Decimal::parse("1700.00"));
        assert!(Decimal::parse("1699.999") < Decimal::parse("1700.0") && Decimal::parse("-1") < Decimal::parse("0.1"));
        assert!(Decimal::parse("999999999999999999.999999999") > Decimal::parse("999999999999999999"));
        for bad in ["", ".", "1.", ".5", "1e3", "1,000", "+1", "--1", "1.0000000000", "1000000000000000000", "١"] {
            assert_eq!(Decimal::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_age_is_told_as_far_as_the_birth_date_is_known() {
        let age = |born: &str, day| Born::parse(born).unwrap().age_on(day);
        assert_eq!(age("1996-02-29", date!(2017 - 02 - 28)), (20, 20));
        assert_eq!(age("1996-02-29", date!(2017 - 03 - 01)), (21, 21));
        assert_eq!(age("1996-02", date!(2017 - 02 - 10)), (20, 21));
        assert_eq!(age("1996", date!(2017 - 12 - 30)), (20, 21));
        assert_eq!(age("1996", date!(2017 - 12 - 31)), (21, 21));
        for bad in ["", "96", "1996-2", "1996-13", "1997-02-29", "1996-02-29-1", "1996-+2", "19x6"] {
            assert_eq!(Born::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_term_is_full_on_its_last_day_or_the_day_after() {
        let start = date!(2027 - 01 - 01);
        let exact = |end| term_within(start, end, Some(24), Some(24), Calendar::Gregorian);
        assert!(!exact(date!(2028 - 12 - 30)) && exact(date!(2028 - 12 - 31)));
        assert!(exact(date!(2029 - 01 - 01)) && !exact(date!(2029 - 01 - 02)));
        assert!(!exact(date!(2026 - 12 - 31)));
        assert!(!term_within(start, date!(2028 - 12 - 31), Some(24), Some(24), Calendar::Hijri));
    }

    proptest! {
        #[test]
        fn decimals_keep_the_order_of_their_numbers(a in -1_000_000i64..1_000_000, b in -1_000_000i64..1_000_000) {
            let text = |n: i64| format!("{}{}.{:03}", if n < 0 { "-" } else { "" }, n.abs() / 1000, n.abs() % 1000);
            prop_assert_eq!(Decimal::parse(&text(a)).cmp(&Decimal::parse(&text(b))), a.cmp(&b));
        }

        #[test]
        fn a_full_birth_date_gives_one_age_within_what_its_year_gives(days in 0i32..40_000, later in 0i64..40_000) {
            let born = Date::from_julian_day(2_415_021 + days).unwrap();
            let day = born + Duration::days(later);
            let full = Born::parse(&born.to_string()).unwrap().age_on(day);
            let year = Born::parse(&born.year().to_string()).unwrap().age_on(day);
            prop_assert_eq!(full.0, full.1);
            prop_assert!(year.0 <= full.0 && full.1 <= year.1 && year.1 - year.0 <= 1);
        }

        #[test]
        fn a_longer_contract_has_no_fewer_months(days in 0i64..4000, more in 0i64..400, least in 0u32..120) {
            let start = date!(2026 - 01 - 31);
            for calendar in [Calendar::Gregorian, Calendar::Hijri] {
                let has = |days| term_within(start, start + Duration::days(days), Some(least), None, calendar);
                prop_assert!(!has(days) || has(days + more));
            }
        }
    }
}
