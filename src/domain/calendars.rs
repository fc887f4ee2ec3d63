//! Hijri dates of the Umm al-Qura calendar, by its published table (1300 to 1600 AH), and months counted in either calendar.
//! Outside the table nothing is computed: a date that no authority has published is refused.

use icu_calendar::{
    Date,
    cal::{Hijri, Iso, hijri::UmmAlQura},
};

/// A Hijri date that exists in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HijriDate(Date<Hijri<UmmAlQura>>);

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
        let number = |text: &str, length: usize| (text.len() == length).then(|| text.parse::<u16>().ok()).flatten();
        Self::new(number(year, 4)?.into(), number(month, 2)? as u8, number(day, 2)? as u8)
    }

    /// The Gregorian day that began with its dawn.
    pub fn gregorian(self) -> Option<time::Date> {
        let iso = self.0.to_calendar(Iso);
        let month = time::Month::try_from(iso.month().ordinal).ok()?;
        time::Date::from_calendar_date(iso.year().extended_year(), month, iso.day_of_month().0).ok()
    }

    /// The Hijri date of a Gregorian day.
    pub fn of(day: time::Date) -> Option<Self> {
        let iso = Date::try_new_iso(day.year(), day.month().into(), day.day()).ok()?;
        let hijri = iso.to_calendar(Hijri::new_umm_al_qura());
        (1300..=1600).contains(&hijri.year().extended_year()).then_some(Self(hijri))
    }

    /// The same day of the month, so many months later; the month's last day where it is shorter.
    fn months_after(self, months: u32) -> Option<Self> {
        let months = i64::from(self.0.month().ordinal) - 1 + i64::from(months);
        let year = i64::from(self.0.year().extended_year()) + months / 12;
        let (year, month) = (i32::try_from(year).ok()?, (months % 12) as u8 + 1);
        (1..=self.0.day_of_month().0).rev().find_map(|day| Self::new(year, month, day))
    }
}

/// The calendar in which months are counted: the same term ends on different days in the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calendar {
    /// The civil one.
    Gregorian,
    /// Umm al-Qura.
    Hijri,
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
        let month = time::Month::try_from((months % 12) as u8 + 1).ok()?;
        time::Date::from_calendar_date(year, month, day.day().min(month.length(year))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn the_published_table_decides() {
        assert!(HijriDate::parse("1446-09-29").is_some() && HijriDate::parse("1446-09-30").is_none());
        assert_eq!(HijriDate::parse("1448-12-30").unwrap().gregorian(), Some(date!(2027 - 06 - 05)));
        assert!(HijriDate::parse("1447-12-30").is_none());
        assert!(HijriDate::parse("1299-01-01").is_none() && HijriDate::parse("1601-01-01").is_none());
        assert!(HijriDate::parse("1448-1-1").is_none() && HijriDate::parse("1448-13-01").is_none());
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
