//! Days as a party writes them: in which order, with which separator, in which calendar. Canonical days are Gregorian.
//!
//! Calendars have the names of BCP 47 (`u-ca`). Years that a calendar counts otherwise than the canonical one are converted by
//! day, never by the year alone, save for a birth date of which only the year is known.

use crate::domain::calendars::HijriDate;
use icu_calendar::{
    Date as IcuDate,
    cal::{Buddhist, Hijri, Iso, Roc, hijri::UmmAlQura},
};
use time::{Date, Month};

/// A calendar by its BCP 47 name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calendar {
    Gregorian,
    Roc,
    Buddhist,
    UmmAlQura,
}

impl Calendar {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "gregory" => Self::Gregorian,
            "roc" => Self::Roc,
            "buddhist" => Self::Buddhist,
            "islamic-umalqura" => Self::UmmAlQura,
            _ => return None,
        })
    }

    /// Digits of a year as written, and the fewest that are read.
    fn year_digits(self) -> (usize, usize) {
        if self == Self::Roc { (3, 2) } else { (4, 4) }
    }

    fn to_iso(self, year: i32, month: u8, day: u8) -> Option<Date> {
        let iso = match self {
            Self::Gregorian => return date(year, month, day),
            Self::UmmAlQura => return HijriDate::new(year, month, day)?.gregorian(),
            // Years before the first would be written without their era and read as others.
            Self::Roc if year >= 1 => IcuDate::try_new_roc(year, month, day).ok()?.to_calendar(Iso),
            Self::Buddhist if year >= 1 => IcuDate::try_new_buddhist(year, month, day).ok()?.to_calendar(Iso),
            Self::Roc | Self::Buddhist => return None,
        };
        date(iso.year().extended_year(), iso.month().ordinal, iso.day_of_month().0)
    }

    fn of_iso(self, day: Date) -> Option<(i32, u8, u8)> {
        let iso = IcuDate::try_new_iso(day.year(), day.month().into(), day.day()).ok()?;
        let (year, month, day) = match self {
            Self::Gregorian => (day.year(), day.month().into(), day.day()),
            Self::Roc => parts(iso.to_calendar(Roc)),
            Self::Buddhist => parts(iso.to_calendar(Buddhist)),
            Self::UmmAlQura => {
                let (year, month, day) = parts(iso.to_calendar(Hijri::<UmmAlQura>::new_umm_al_qura()));
                // Outside the published table nothing is computed.
                HijriDate::new(year, month, day)?;
                (year, month, day)
            }
        };
        (year >= 1).then_some((year, month, day))
    }

    /// What to add to a year to have the Gregorian one, where all months are the same.
    pub(crate) fn offset(self) -> Option<i32> {
        match self {
            Self::Gregorian => Some(0),
            Self::Roc => Some(1911),
            Self::Buddhist => Some(-543),
            Self::UmmAlQura => None,
        }
    }
}

fn parts<C: icu_calendar::AsCalendar>(date: IcuDate<C>) -> (i32, u8, u8) {
    (date.year().extended_year(), date.month().ordinal, date.day_of_month().0)
}

fn date(year: i32, month: u8, day: u8) -> Option<Date> {
    Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()
}

/// How a day is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DateForm {
    pub(crate) day_first: bool,
    /// None for digits alone.
    pub(crate) separator: Option<char>,
    pub(crate) calendar: Calendar,
}

impl DateForm {
    pub(crate) fn read(self, text: &str) -> Option<Date> {
        let [year, month, day] = self.split(text)?;
        self.calendar.to_iso(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
    }

    pub(crate) fn write(self, day: Date) -> Option<String> {
        let (year, month, day) = self.calendar.of_iso(day)?;
        self.join(year, month, day)
    }

    /// Writes parts of which some may be zero, not known.
    pub(crate) fn join(self, year: i32, month: u8, day: u8) -> Option<String> {
        let width = self.calendar.year_digits().0;
        let year = format!("{year:0width$}");
        if year.len() != width {
            return None;
        }
        let separator = self.separator.map(String::from).unwrap_or_default();
        let (month, day) = (format!("{month:02}"), format!("{day:02}"));
        let parts = if self.day_first { [day, month, year] } else { [year, month, day] };
        Some(parts.join(&separator))
    }

    /// Year, month and day as digits, each of its length.
    pub(crate) fn split(self, text: &str) -> Option<[&str; 3]> {
        let (written, fewest) = self.calendar.year_digits();
        let mut parts = match self.separator {
            Some(separator) => {
                let mut parts = text.split(separator);
                let three = [parts.next()?, parts.next()?, parts.next()?];
                if parts.next().is_some() {
                    return None;
                }
                three
            }
            None if self.day_first => [text.get(..2)?, text.get(2..4)?, text.get(4..)?],
            None => {
                let year = text.len().checked_sub(4)?;
                [text.get(..year)?, text.get(year..year + 2)?, text.get(year + 2..)?]
            }
        };
        if self.day_first {
            parts.reverse();
        }
        let digits = parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        let lengths = (fewest..=written).contains(&parts[0].len()) && parts[1].len() == 2 && parts[2].len() == 2;
        (digits && lengths).then_some(parts)
    }
}
