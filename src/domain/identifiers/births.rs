//! Dates and sexes that are written inside an identifier, and whether they agree with a record.
//!
//! An identifier is never a source of a date: its century is unknown, parts of it may be unknown (`00`, `<<`), and a number
//! stays the same when the date it was made from is corrected. So these functions say whether two statements *contradict* each
//! other; what is not known contradicts nothing, and no date ever leaves this file.

/// A date inside an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inscribed {
    /// The last two digits; the century is unknown.
    year: Option<u8>,
    month: Option<u8>,
    day: Option<u8>,
    /// Whether the day carries the woman's mark.
    marked: bool,
}

/// What the day of a woman is raised by in numbers that write it so.
const MARK: u8 = 40;

impl Inscribed {
    /// `DDMMYY`, 40 added to the day of a woman.
    pub(super) fn day_first(text: &str) -> Option<Self> {
        let (day, month, year) = pairs(text)?;
        let marked = day >= MARK;
        let (day, month) = (known(if marked { day - MARK } else { day }), known(month));
        Some(Self { year: Some(year), month, day, marked }).filter(Self::exists)
    }

    /// `YYMMDD`, unknown parts `00` or `<<`.
    pub(super) fn year_first(text: &str) -> Option<Self> {
        let part = |range| text.get(range).map(|part: &str| if part == "<<" { "00" } else { part });
        let unknown_year = text.starts_with("<<");
        let digits = [part(0..2)?, part(2..4)?, part(4..6)?].concat();
        let (year, month, day) = pairs(&digits).filter(|_| text.len() == 6)?;
        let year = Some(year).filter(|_| !unknown_year);
        Some(Self { year, month: known(month), day: known(day), marked: false }).filter(Self::exists)
    }

    /// Whether some century has this date.
    fn exists(&self) -> bool {
        let longest = match self.month {
            // A year that ends in 00 may be one that 400 divides.
            Some(2) if self.year.is_none_or(|year| year.is_multiple_of(4)) => 29,
            Some(2) => 28,
            Some(4 | 6 | 9 | 11) => 30,
            None | Some(1..=12) => 31,
            Some(_) => return false,
        };
        self.day.is_none_or(|day| day <= longest)
    }

    /// Whether nothing here contradicts `date` (`yyyy`, `yyyy-MM` or `yyyy-MM-dd`).
    pub(super) fn agrees(&self, date: &str) -> bool {
        let mut parts = date.split('-');
        let mut part = |length| parts.next().filter(|text: &&str| text.len() == length)?.parse::<u16>().ok();
        let (year, month, day) = (part(4), part(2), part(2));
        let same = |ours: Option<u8>, theirs: Option<u16>| match (ours, theirs) {
            (Some(ours), Some(theirs)) => u16::from(ours) == theirs,
            _ => true,
        };
        same(self.year, year.map(|year| year % 100)) && same(self.month, month) && same(self.day, day)
    }

    /// Whether the mark of the day agrees with a recorded sex; another than F and M contradicts nothing.
    pub(super) fn agrees_in_sex(&self, sex: &str) -> bool {
        sex_agrees(if self.marked { "F" } else { "M" }, sex)
    }
}

/// Whether two sexes agree; another than F and M says nothing.
pub(super) fn sex_agrees(one: &str, other: &str) -> bool {
    one == other || ![one, other].iter().all(|sex| ["F", "M"].contains(sex))
}

fn known(part: u8) -> Option<u8> {
    Some(part).filter(|part| *part != 0)
}

fn pairs(text: &str) -> Option<(u8, u8, u8)> {
    let digits = text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit());
    let pair = |range| text.get(range).and_then(|pair: &str| pair.parse().ok()).filter(|_| digits);
    Some((pair(0..2)?, pair(2..4)?, pair(4..6)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_womans_day_is_raised_by_forty() {
        let hers = Inscribed::day_first("690296").unwrap();
        assert!(hers.agrees("1996-02-29") && hers.agrees("1896-02-29"));
        assert!(!hers.agrees("1996-02-28") && !hers.agrees("1995-02-29"));
        assert!(hers.agrees_in_sex("F") && hers.agrees_in_sex("X") && !hers.agrees_in_sex("M"));
        assert!(!Inscribed::day_first("290296").unwrap().agrees_in_sex("F"));
    }

    #[test]
    fn what_is_not_known_contradicts_nothing() {
        for text in ["000096", "400096"] {
            let date = Inscribed::day_first(text).unwrap();
            assert!(date.agrees("1996-02-29") && date.agrees("1996") && !date.agrees("1997"), "{text}");
        }
        let only_year = Inscribed::year_first("74<<<<").unwrap();
        assert!(only_year.agrees("1974-08-12") && !only_year.agrees("1975-08-12"));
        assert!(Inscribed::year_first("<<<<<<").unwrap().agrees("1975-08-12"));
        // A record that knows its year only.
        assert!(Inscribed::year_first("740812").unwrap().agrees("1974"));
    }

    #[test]
    fn dates_that_no_century_has_are_none() {
        for text in ["300296", "290295", "321296", "720196", "011396", "3101", "31a196", "३१०१९६"] {
            assert_eq!(Inscribed::day_first(text), None, "{text}");
        }
        assert!(Inscribed::day_first("290200").is_some(), "2000 was a leap year");
        assert_eq!(Inscribed::year_first("74<8<<"), None);
    }

    proptest! {
        #[test]
        fn a_date_agrees_with_what_was_made_from_it(year in 1900i32..2100, day_of_year in 1u16..=365, woman: bool) {
            let date = time::Date::from_ordinal_date(year, day_of_year).unwrap();
            let (day, month) = (date.day(), u8::from(date.month()));
            let raised = if woman { day + MARK } else { day };
            let day_first = Inscribed::day_first(&format!("{raised:02}{month:02}{:02}", year % 100)).unwrap();
            let year_first = Inscribed::year_first(&format!("{:02}{month:02}{day:02}", year % 100));
            let written = format!("{year}-{month:02}-{day:02}");
            prop_assert!(day_first.agrees(&written));
            let (sex, other) = if woman { ("F", "M") } else { ("M", "F") };
            prop_assert!(day_first.agrees_in_sex(sex) && !day_first.agrees_in_sex(other));
            // `00` is a year like another; of a month or a day it means that nobody knows.
            prop_assert!(year_first.is_some_and(|date| date.agrees(&written)));
        }
    }
}
