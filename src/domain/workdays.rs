//! When a term ends: minutes, hours, days, months, and working days that several sides must have in common.
//!
//! Weekends and holidays are data of [`crate::partner::calendar`]; a day here is a date of the zone in which the term runs. Terms
//! whose end no date can hold end on the last day that one can.

use super::calendars::Calendar;
use std::collections::BTreeSet;
use time::{
    Date, Duration, OffsetDateTime, Time, UtcOffset, Weekday,
    macros::{date, time},
};

/// The last second of a day.
const DAY_ENDS: Time = time!(23:59:59);
/// Where terms without a sensible end are cut, a day before the end of dates so that every zone can hold it.
const LAST_DAY: Date = date!(9999 - 12 - 30);

/// The days on which one side works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workdays {
    weekend: [bool; 7],
    holidays: BTreeSet<Date>,
    closes: Time,
}

impl Workdays {
    /// From the days of the weekend, the holidays and the local time at which business ends. `None` where no day of the week is
    /// left: such a side would never be done with anything.
    pub fn new(weekend: &[Weekday], holidays: impl IntoIterator<Item = Date>, closes: Time) -> Option<Self> {
        let mut free = [false; 7];
        for day in weekend {
            free[usize::from(day.number_days_from_monday())] = true;
        }
        let works = free.iter().any(|free| !free);
        works.then(|| Self { weekend: free, holidays: holidays.into_iter().collect(), closes })
    }

    /// Whether the side works on this day.
    pub fn is_working(&self, day: Date) -> bool {
        !self.weekend[usize::from(day.weekday().number_days_from_monday())] && !self.holidays.contains(&day)
    }

    /// Days of the week on which all sides work, holidays apart.
    pub fn common_weekdays(sides: &[&Self]) -> usize {
        (0..7).filter(|day| sides.iter().all(|side| !side.weekend[*day])).count()
    }
}

/// How long somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// To the second.
    Minutes(u32),
    /// To the second.
    Hours(u32),
    /// Calendar days, to the end of the last.
    Days(u32),
    /// Days on which all sides work, to the end of the last.
    WorkingDays(u32),
    /// Gregorian months, to the end of the last day.
    Months(u32),
}

/// When a term that began at `start` ends, in `zone`.
///
/// The day of the start is not counted (as in Regulation (EEC, Euratom) 1182/71 Art. 3): one day from Monday ends with Tuesday.
/// For working days, a start on a day off or after the first of the sides has closed counts as one on the next working day.
/// Without sides every day is a working day. Sides that share no day of the week are never done; loading a corridor's calendars
/// refuses such sides.
pub fn due(term: Term, start: OffsetDateTime, sides: &[&Workdays], zone: UtcOffset) -> OffsetDateTime {
    let last = LAST_DAY.with_time(DAY_ENDS).assume_offset(zone);
    let Some(start) = start.checked_to_offset(zone) else { return last };
    let after = |minutes: i64| start.checked_add(Duration::minutes(minutes)).unwrap_or(last);
    let end_of = |day: Option<Date>| day.unwrap_or(LAST_DAY).min(LAST_DAY).with_time(DAY_ENDS).assume_offset(zone);
    let end = match term {
        Term::Minutes(n) => after(i64::from(n)),
        Term::Hours(n) => after(i64::from(n) * 60),
        Term::Days(n) => end_of(start.date().checked_add(Duration::days(n.into()))),
        Term::Months(n) => end_of(Calendar::Gregorian.months_after(start.date(), n)),
        Term::WorkingDays(n) => end_of(working_day(n, start, sides)),
    };
    end.min(last).max(start)
}

/// The `n`th working day after the one on which `start` counts.
fn working_day(n: u32, start: OffsetDateTime, sides: &[&Workdays]) -> Option<Date> {
    if Workdays::common_weekdays(sides) == 0 {
        return None;
    }
    let counts = |day: Date| sides.iter().all(|side| side.is_working(day));
    // Bounded by the last date there is: holidays are a finite list, so a shared day of the week comes round long before.
    let next = |mut day: Date| loop {
        day = day.next_day()?;
        if counts(day) {
            return Some(day);
        }
    };
    let open = sides.iter().all(|side| start.time() <= side.closes);
    let first = if open && counts(start.date()) { start.date() } else { next(start.date())? };
    (0..n).try_fold(first, |day, _| next(day))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::{datetime, offset};

    fn side(weekend: &[Weekday], holidays: &[Date]) -> Workdays {
        Workdays::new(weekend, holidays.iter().copied(), time!(16:00)).unwrap()
    }

    fn late_week() -> Workdays {
        side(&[Weekday::Saturday, Weekday::Sunday], &[date!(2027 - 01 - 01), date!(2027 - 03 - 10)])
    }

    fn early_week() -> Workdays {
        side(&[Weekday::Friday, Weekday::Saturday], &[date!(2027 - 03 - 09), date!(2027 - 03 - 11)])
    }

    #[test]
    fn two_weekends_leave_four_days_a_week() {
        let (late, early) = (late_week(), early_week());
        assert_eq!(Workdays::common_weekdays(&[&late, &early]), 4);
        // Thursday morning: the next common days are Monday, Tuesday, Wednesday, Thursday, Monday.
        let start = datetime!(2027-01-14 09:00 +8);
        let end = due(Term::WorkingDays(5), start, &[&late, &early], offset!(+8));
        assert_eq!(end, datetime!(2027-01-25 23:59:59 +8));
        assert_eq!(due(Term::WorkingDays(5), start, &[&late], offset!(+8)), datetime!(2027-01-21 23:59:59 +8));
        assert_eq!(due(Term::WorkingDays(5), start, &[], offset!(+8)), datetime!(2027-01-19 23:59:59 +8));
    }

    #[test]
    fn what_comes_after_business_or_on_a_day_off_counts_from_the_next_working_day() {
        let late = late_week();
        let end = |start, n| due(Term::WorkingDays(n), start, &[&late], offset!(+7)).date();
        assert_eq!(end(datetime!(2027-01-04 16:00 +7), 1), date!(2027 - 01 - 05));
        assert_eq!(end(datetime!(2027-01-04 16:00:01 +7), 1), date!(2027 - 01 - 06));
        assert_eq!(end(datetime!(2027-01-02 10:00 +7), 1), date!(2027 - 01 - 05));
        assert_eq!(end(datetime!(2027-01-01 10:00 +7), 0), date!(2027 - 01 - 04));
    }

    #[test]
    fn the_day_is_that_of_the_zone_also_at_midnight_and_at_the_end_of_the_year() {
        let late = late_week();
        let start = datetime!(2026-12-30 16:30 UTC);
        let end = |zone| due(Term::WorkingDays(0), start, &[&late], zone);
        // 19:30 on the 30th: closed; 23:30 the same; 00:30 and 01:30 on the 31st, a Thursday.
        assert_eq!(end(offset!(+3)), datetime!(2026-12-31 23:59:59 +3));
        assert_eq!(end(offset!(+7)), datetime!(2026-12-31 23:59:59 +7));
        assert_eq!(end(offset!(+8)), datetime!(2026-12-31 23:59:59 +8));
        assert_eq!(due(Term::WorkingDays(1), start, &[&late], offset!(+9)), datetime!(2027-01-04 23:59:59 +9));
        let midnight = datetime!(2026-12-31 17:00 UTC);
        assert_eq!(due(Term::Days(0), midnight, &[], offset!(+7)), datetime!(2027-01-01 23:59:59 +7));
        assert_eq!(
            due(Term::Days(0), midnight - Duration::SECOND, &[], offset!(+7)),
            datetime!(2026-12-31 23:59:59 +7)
        );
        assert_eq!(due(Term::Months(2), midnight, &[], offset!(+3)), datetime!(2027-02-28 23:59:59 +3));
        assert_eq!(due(Term::Hours(72), midnight, &[], offset!(+9)), datetime!(2027-01-03 17:00 UTC));
        assert_eq!(due(Term::Minutes(15), midnight, &[], offset!(+9)), datetime!(2026-12-31 17:15 UTC));
    }

    #[test]
    fn nothing_loops_for_ever() {
        use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
        let every = [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday];
        assert_eq!(Workdays::new(&every, [], time!(16:00)), None);
        let (one, other) = (side(&every[..3], &[]), side(&every[3..], &[]));
        let start = datetime!(2027-01-01 00:00 UTC);
        let last = datetime!(9999-12-30 23:59:59 UTC);
        assert_eq!(due(Term::WorkingDays(0), start, &[&one, &other], UtcOffset::UTC), last);
        for term in [Term::WorkingDays(u32::MAX), Term::Days(u32::MAX), Term::Months(u32::MAX)] {
            assert_eq!(due(term, start, &[&one], UtcOffset::UTC), last);
        }
        assert!(due(Term::Hours(u32::MAX), start, &[], UtcOffset::UTC) <= last);
    }

    fn sides() -> impl Strategy<Value = Vec<Workdays>> {
        let weekend = proptest::sample::subsequence(
            vec![Weekday::Thursday, Weekday::Friday, Weekday::Saturday, Weekday::Sunday],
            0..=2,
        );
        let holidays = proptest::collection::vec(0i32..400, 0..40);
        let one = (weekend, holidays, 0u8..24).prop_map(|(weekend, holidays, hour)| {
            let days = holidays.into_iter().map(|n| Date::from_julian_day(2_461_400 + n).unwrap());
            Workdays::new(&weekend, days, Time::from_hms(hour, 0, 0).unwrap()).unwrap()
        });
        proptest::collection::vec(one, 0..=3)
    }

    fn term() -> impl Strategy<Value = fn(u32) -> Term> {
        proptest::sample::select(vec![
            Term::Minutes as fn(u32) -> Term,
            Term::Hours,
            Term::Days,
            Term::WorkingDays,
            Term::Months,
        ])
    }

    fn zone() -> impl Strategy<Value = UtcOffset> {
        proptest::sample::select(vec![offset!(+3), offset!(+7), offset!(+8), offset!(+9), offset!(-11)])
    }

    proptest! {
        #[test]
        fn a_later_start_or_a_longer_term_never_ends_earlier(
            sides in sides(), term in term(), zone in zone(), at in 0i64..20_000_000, later in 0i64..2_000_000, n in 0u32..60, more in 0u32..9,
        ) {
            let sides: Vec<&Workdays> = sides.iter().collect();
            let start = datetime!(2026-12-20 00:00 UTC) + Duration::seconds(at);
            let end = due(term(n), start, &sides, zone);
            prop_assert!(end >= start);
            prop_assert!(end <= due(term(n), start + Duration::seconds(later), &sides, zone));
            prop_assert!(end <= due(term(n + more), start, &sides, zone));
        }

        #[test]
        fn working_days_end_on_a_working_day_of_every_side_and_count_what_lies_between(
            sides in sides(), zone in zone(), at in 0i64..20_000_000, n in 0u32..60,
        ) {
            let sides: Vec<&Workdays> = sides.iter().collect();
            prop_assume!(Workdays::common_weekdays(&sides) > 0);
            let start = datetime!(2026-12-20 00:00 UTC) + Duration::seconds(at);
            let end = due(Term::WorkingDays(n), start, &sides, zone);
            prop_assert_eq!((end.offset(), end.time()), (zone, DAY_ENDS));
            prop_assert!(sides.iter().all(|side| side.is_working(end.date())));
            // Of the days after the start up to the end, n count, and one more where the start itself did not.
            let first = start.to_offset(zone);
            let mut counted = 0;
            let mut day = first.date();
            while day < end.date() {
                day = day.next_day().unwrap();
                counted += u32::from(sides.iter().all(|side| side.is_working(day)));
            }
            let open = sides.iter().all(|side| side.is_working(first.date()) && first.time() <= side.closes);
            prop_assert_eq!(counted, n + u32::from(!open));
        }
    }
}
