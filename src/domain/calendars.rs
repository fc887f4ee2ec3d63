//! Hijri dates of the Umm al-Qura calendar, by its published table (1300 to 1600 AH), and months counted in either calendar.
//! Outside the table nothing is computed: a date that no authority has published is refused.
//!
//! The table is the computed one that ICU and the JDK carry. Printed calendars of before 1420 AH differ from it by up to two days,
//! forecasts beyond 1450 by one: so a pair of dates one day apart says little, and the text as sent is always kept.

use icu_calendar::{
    Date,
    cal::{Hijri, Iso, hijri::UmmAlQura},
};
use time::{Month, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// A Hijri date that exists in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HijriDate(Date<Hijri<UmmAlQura>>);

/// In which calendar a term runs: the same term ends on different days in the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calendar {
    /// The civil calendar of most contracts.
    Gregorian,
    /// Umm al-Qura.
    Hijri,
}

impl HijriDate {
    /// The date, if the table has it.
    pub fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        let known = (1300..=1600).contains(&year) && (1..=12).contains(&month);
        Date::try_new_hijri_with_calendar(year, month, day, Hijri::new_umm_al_qura()).ok().filter(|_| known).map(Self)
    }

    /// Reads `yyyy-MM-dd` or `yyyy/MM/dd`.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(['-', '/']).collect();
        let [year, month, day] = parts.as_slice() else { return None };
        let number = |text: &str, length: usize| {
            let digits = text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u16>().ok().filter(|_| digits)
        };
        let small = |text: &str| number(text, 2).and_then(|n| u8::try_from(n).ok());
        Self::new(number(year, 4)?.into(), small(month)?, small(day)?)
    }

    /// The Hijri date of a Gregorian day, if the table has it.
    pub fn of(day: time::Date) -> Option<Self> {
        let iso = Date::try_new_iso(day.year(), day.month().into(), day.day()).ok()?;
        let date = iso.to_calendar(Hijri::new_umm_al_qura());
        Self::new(date.year().extended_year(), date.month().ordinal, date.day_of_month().0)
    }

    /// The Gregorian day that began with its dawn.
    pub fn gregorian(self) -> Option<time::Date> {
        let iso = self.0.to_calendar(Iso);
        let month = Month::try_from(iso.month().ordinal).ok()?;
        time::Date::from_calendar_date(iso.year().extended_year(), month, iso.day_of_month().0).ok()
    }

    /// Days between this date and the Gregorian one that a record gives beside it, without sign.
    pub fn days_from(self, gregorian: time::Date) -> Option<u64> {
        Some((self.gregorian()? - gregorian).whole_days().unsigned_abs())
    }

    /// The same day of the month, so many months later; the month's last day where it is shorter.
    fn months_after(self, months: u32) -> Option<Self> {
        let months = i64::from(self.0.month().ordinal) - 1 + i64::from(months);
        let year = i64::from(self.0.year().extended_year()) + months / 12;
        let (year, month) = (i32::try_from(year).ok()?, (months % 12) as u8 + 1);
        (1..=self.0.day_of_month().0).rev().find_map(|day| Self::new(year, month, day))
    }
}

impl Calendar {
    /// The same day of the month, so many months after `day`; the month's last day where it is shorter. `None` beyond what the
    /// calendar's table or a date can hold.
    pub fn months_after(self, day: time::Date, months: u32) -> Option<time::Date> {
        if self == Self::Hijri {
            return HijriDate::of(day)?.months_after(months)?.gregorian();
        }
        let months = i64::from(u8::from(day.month())) - 1 + i64::from(months);
        let year = i32::try_from(i64::from(day.year()) + months / 12).ok()?;
        let month = Month::try_from((months % 12) as u8 + 1).ok()?;
        time::Date::from_calendar_date(year, month, day.day().min(month.length(year))).ok()
    }
}

/// An instant, or the end of a day in a zone, Gregorian or Hijri.
pub fn instant(text: &str, zone: UtcOffset) -> Option<OffsetDateTime> {
    if let Ok(instant) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(instant);
    }
    let gregorian = time::Date::parse(text, time::macros::format_description!("[year]-[month]-[day]")).ok();
    // Years of both calendars are four digits: what lies before any Gregorian date in use is Hijri.
    let day = match gregorian.filter(|day| day.year() > 1_700) {
        Some(day) => day,
        None => HijriDate::parse(text)?.gregorian()?,
    };
    Some(day.with_time(time::macros::time!(23:59:59)).assume_offset(zone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::{Duration, macros::date};

    fn after_years(start: time::Date, years: u8, calendar: Calendar) -> Option<time::Date> {
        calendar.months_after(start, u32::from(years) * 12)
    }

    fn rows(text: &'static str) -> impl Iterator<Item = (i32, time::Date, &'static str)> {
        text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let [year, first, months] = line.split(',').collect::<Vec<_>>().try_into().unwrap();
            let format = time::macros::format_description!("[year]-[month]-[day]");
            (year.parse().unwrap(), time::Date::parse(first, format).unwrap(), months)
        })
    }

    #[test]
    fn the_published_table_decides() {
        assert!(HijriDate::parse("1446-09-29").is_some() && HijriDate::parse("1446-09-30").is_none());
        assert_eq!(HijriDate::parse("1448-12-30").unwrap().gregorian(), Some(date!(2027 - 06 - 05)));
        assert!(HijriDate::parse("1447-12-30").is_none());
        assert!(HijriDate::parse("1299-01-01").is_none() && HijriDate::parse("1601-01-01").is_none());
        assert!(HijriDate::parse("1448-1-1").is_none() && HijriDate::parse("1448-13-01").is_none());
        assert!(HijriDate::parse("1448-+1-01").is_none() && HijriDate::parse("1448-01").is_none());
    }

    #[test]
    fn every_month_of_the_table_is_that_of_another_implementation() {
        let mut years = 0;
        for (year, mut first, months) in rows(include_str!("../../tests/data/umm-al-qura.csv")) {
            for (month, length) in (1..=12).zip(months.chars()) {
                let days = if length == 'L' { 30 } else { 29 };
                assert_eq!(HijriDate::new(year, month, 1).unwrap().gregorian(), Some(first), "{year}-{month}");
                assert!(HijriDate::new(year, month, days).is_some(), "{year}-{month}");
                assert!(HijriDate::new(year, month, days + 1).is_none(), "{year}-{month}");
                assert_eq!(HijriDate::of(first), HijriDate::new(year, month, 1));
                first += Duration::days(days.into());
            }
            years += 1;
        }
        assert_eq!(years, 301);
    }

    /// What was printed is not what the table computes; the tolerance of a pair of dates rests on how far they are apart.
    #[test]
    fn printed_calendars_are_the_same_from_1420_to_1450_and_near_elsewhere() {
        let (mut same, mut worst_before, mut worst_after) = (0, 0, 0);
        for (year, mut first, months) in rows(include_str!("../../tests/data/umm-al-qura-as-printed.csv")) {
            for (month, days) in (1..=12).zip(months.split(' ')) {
                let apart = HijriDate::new(year, month, 1).unwrap().days_from(first).unwrap();
                match year {
                    1420..=1450 => same += usize::from(apart == 0),
                    ..1420 => worst_before = apart.max(worst_before),
                    _ => worst_after = apart.max(worst_after),
                }
                first += Duration::days(days.parse().unwrap());
            }
        }
        assert_eq!((same, worst_before, worst_after), (31 * 12, 2, 1));
    }

    #[test]
    fn two_years_end_on_different_days_in_the_two_calendars() {
        let start = HijriDate::parse("1448/02/01").unwrap().gregorian().unwrap();
        assert_eq!(start, date!(2026 - 07 - 15));
        let hijri = after_years(start, 2, Calendar::Hijri).unwrap();
        let gregorian = after_years(start, 2, Calendar::Gregorian).unwrap();
        assert_eq!(HijriDate::of(hijri), HijriDate::parse("1450/02/01"));
        assert_eq!((hijri, gregorian), (date!(2028 - 06 - 24), date!(2028 - 07 - 15)));
    }

    #[test]
    fn a_year_later_on_a_day_that_month_lacks_is_its_last_day() {
        assert_eq!(after_years(date!(2028 - 02 - 29), 1, Calendar::Gregorian), Some(date!(2029 - 02 - 28)));
        // 1448/12 has 30 days, 1449/12 has 29.
        let end = HijriDate::parse("1448-12-30").unwrap().gregorian().unwrap();
        let later = after_years(end, 1, Calendar::Hijri).unwrap();
        assert_eq!(HijriDate::of(later), HijriDate::parse("1449-12-29"));
        assert_eq!(after_years(date!(2174 - 01 - 01), 2, Calendar::Hijri), None);
    }

    proptest! {
        #[test]
        fn there_and_back(days in 0i64..106_660) {
            let day = date!(1882 - 11 - 12) + Duration::days(days);
            prop_assert_eq!(HijriDate::of(day).and_then(HijriDate::gregorian), Some(day));
        }

        #[test]
        fn a_hijri_term_is_never_longer(days in 0i64..60_000, years in 1u8..30) {
            let start = date!(1900 - 01 - 01) + Duration::days(days);
            let hijri = after_years(start, years, Calendar::Hijri).unwrap();
            let gregorian = after_years(start, years, Calendar::Gregorian).unwrap();
            prop_assert!(start < hijri && hijri < gregorian);
        }
    }

    #[test]
    fn a_day_has_one_hijri_date_and_leads_back() {
        let mut day = date!(1883 - 01 - 01);
        while day < date!(2174 - 01 - 01) {
            assert_eq!(HijriDate::of(day).unwrap().gregorian(), Some(day));
            day += time::Duration::days(17);
        }
        assert!(HijriDate::of(date!(1882 - 01 - 01)).is_none() && HijriDate::of(date!(2175 - 01 - 01)).is_none());
    }

    #[test]
    fn the_same_term_ends_on_different_days_in_the_two_calendars() {
        let start = HijriDate::parse("1448-02-01").unwrap().gregorian().unwrap();
        let hijri = Calendar::Hijri.months_after(start, 24).unwrap();
        assert_eq!(Some(hijri), HijriDate::parse("1450-02-01").unwrap().gregorian());
        assert_eq!((Calendar::Gregorian.months_after(start, 24).unwrap() - hijri).whole_days(), 21);
    }

    #[test]
    fn a_month_too_short_for_the_day_ends_the_term_on_its_last_day() {
        let gregorian = |day, months| Calendar::Gregorian.months_after(day, months);
        assert_eq!(gregorian(date!(2027 - 01 - 31), 1), Some(date!(2027 - 02 - 28)));
        assert_eq!(gregorian(date!(2028 - 02 - 29), 12), Some(date!(2029 - 02 - 28)));
        assert_eq!(gregorian(date!(2027 - 12 - 31), 2), Some(date!(2028 - 02 - 29)));
        assert_eq!(gregorian(date!(2027 - 12 - 31), u32::MAX), None);
        let thirtieth = HijriDate::parse("1448-12-30").unwrap().gregorian().unwrap();
        let twelve = Calendar::Hijri.months_after(thirtieth, 12).and_then(HijriDate::of);
        assert_eq!(twelve, HijriDate::parse("1449-12-29"));
        assert_eq!(Calendar::Hijri.months_after(thirtieth, u32::MAX), None);
    }
}
