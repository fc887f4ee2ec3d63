//! Hijri dates of the Umm al-Qura calendar, by its published table (1300 to 1600 AH). Outside the table nothing is computed:
//! a date that no authority has published is refused.

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
}
