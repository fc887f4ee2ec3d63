//! The calendars of every party, and everything that a calendar's files can get wrong.

use super::*;
use crate::domain::workdays::{Term, due};
use proptest::prelude::*;
use time::{
    Duration,
    macros::{date, datetime, offset, time},
};

const PARTIES: [&str; 3] = ["id", "my", "sa"];

fn calendar(code: &str) -> WorkCalendar {
    WorkCalendar::load(&Path::new("partners").join(code)).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

fn read(files: &[(&str, &str)]) -> Result<WorkCalendar, Vec<String>> {
    let files: Vec<(PathBuf, String)> =
        files.iter().map(|(name, text)| (Path::new("calendar").join(name), (*text).to_owned())).collect();
    WorkCalendar::read("calendar".as_ref(), &files).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

const WEEK: &str = "[business]\ncloses = \"16:00\"\nsource = \"none\"\n[[zone]]\nname = \"Z\"\noffset = \"+08:00\"\n\
                    [[weekend]]\ndays = [\"saturday\", \"sunday\"]\n";

#[test]
fn every_party_has_the_holidays_of_three_years() {
    for code in PARTIES {
        let calendar = calendar(code);
        for year in 2025..=2027 {
            assert!(calendar.knows(Date::from_calendar_date(year, time::Month::June, 1).unwrap()), "{code} {year}");
        }
        assert!(!calendar.knows(date!(2028 - 01 - 01)));
    }
}

#[test]
fn feasts_of_the_moon_are_where_the_published_table_puts_them_or_a_day_beside() {
    use crate::domain::calendars::HijriDate;
    for (code, name) in [("id", "Idul Fitri"), ("my", "Hari Raya Puasa"), ("sa", "عيد الفطر")] {
        let calendar = calendar(code);
        for year in [1446, 1447, 1448] {
            let feast = HijriDate::new(year, 10, 1).and_then(HijriDate::gregorian).unwrap();
            let near = |holiday: &&Holiday| holiday.name == name && (holiday.day - feast).whole_days().abs() <= 1;
            assert!(calendar.holidays.iter().any(|holiday| near(&holiday)), "{code} {year} {feast}");
        }
    }
}

#[test]
fn holidays_that_move_are_marked_and_fixed_ones_are_not() {
    let home = calendar("id");
    let expected = |day| home.holidays_on(day, None).map(|holiday| holiday.expected).collect::<Vec<_>>();
    assert_eq!(expected(date!(2027 - 03 - 10)), [true]);
    assert_eq!(expected(date!(2027 - 08 - 17)), [false]);
    assert_eq!(expected(date!(2027 - 08 - 18)), [] as [bool; 0]);
}

#[test]
fn regions_have_their_own_weekend_zone_and_holidays() {
    let (home, other) = (calendar("id"), calendar("my"));
    let zone = |region| home.zone(region);
    assert_eq!(
        [zone(None), zone(Some("ID-JK")), zone(Some("ID-BA")), zone(Some("ID-PA"))],
        [offset!(+7), offset!(+7), offset!(+8), offset!(+9)]
    );
    assert_eq!(home.zones().len(), 3);
    let works = |region, day| other.workdays(region).is_working(day);
    let (friday, sunday) = (date!(2027 - 01 - 15), date!(2027 - 01 - 17));
    assert!(works(Some("MY-14"), friday) && !works(Some("MY-14"), sunday));
    assert!(!works(Some("MY-03"), friday) && works(Some("MY-03"), sunday));
    assert!(works(Some("MY-01"), friday));
    // A holiday of some regions, and one that is replaced only where Sunday is a day off.
    assert!(!works(Some("MY-14"), date!(2027 - 02 - 01)) && works(Some("MY-10"), date!(2027 - 02 - 01)));
    assert!(!works(None, date!(2025 - 09 - 01)) && works(Some("MY-02"), date!(2025 - 09 - 01)));
    assert!(works(Some("MY-13"), date!(2025 - 10 - 20)) && !works(Some("MY-10"), date!(2025 - 10 - 20)));
}

#[test]
fn home_and_a_party_with_another_weekend_share_four_days_a_week() {
    let (home, late, early) = (calendar("id"), calendar("my"), calendar("sa"));
    let common = |one: &WorkCalendar, other: &WorkCalendar, region| {
        Workdays::common_weekdays(&[one.workdays(None), other.workdays(region)])
    };
    assert_eq!(common(&home, &late, None), 5);
    assert_eq!(common(&home, &late, Some("MY-11")), 4);
    assert_eq!(common(&home, &early, None), 4);
    // Thursday at 13:00; Monday to Thursday are four, the next Monday is the fifth.
    let start = datetime!(2027-01-14 13:00 +3);
    let end = due(Term::WorkingDays(5), start, &[home.workdays(None), early.workdays(None)], offset!(+3));
    assert_eq!(end, datetime!(2027-01-25 23:59:59 +3));
}

proptest! {
    #[test]
    fn no_term_ends_on_a_day_off_of_either_side(partner in 1usize..3, hours in 0i64..26_000, n in 0u32..30) {
        let (home, partner) = (calendar("id"), calendar(PARTIES[partner]));
        let start = datetime!(2024-12-20 00:00 UTC) + Duration::hours(hours);
        for theirs in partner.all_workdays() {
            for zone in [partner.zone(None), home.zone(None), home.zone(Some("ID-PA"))] {
                let end = due(Term::WorkingDays(n), start, &[home.workdays(None), theirs], zone);
                prop_assert!(home.workdays(None).is_working(end.date()) && theirs.is_working(end.date()));
                prop_assert_eq!(end.time(), time!(23:59:59));
            }
        }
    }
}

#[test]
fn all_faults_come_at_once_each_with_its_line() {
    let week = "[business]\ncloses = \"4 pm\"\nsource = \"none\"\n\n[[zone]]\nname = \"Z\"\noffset = \"8\"\n\n[[weekend]]\n\
                days = [\"saturday\", \"someday\"]\n\n[[weekend]]\n\
                days = [\"monday\", \"tuesday\", \"wednesday\", \"thursday\", \"friday\", \"saturday\", \"sunday\"]\n\
                regions = [\"XX-01\", \"XX-01\"]\n\n[more]\n";
    let year = "[year]\nsource = \"none\"\n\n[[holiday]]\ndate = \"2026-12-25\"\nname = \"a\"\n\n[[holiday]]\n\
                date = \"2027-02-30\"\nname = \"b\"\n\n[[holiday]]\ndate = \"2027-05-01\"\nname = \"c\"\n\n[[holiday]]\n\
                date = \"2027-05-01\"\nname = \"c\"\nregions = [\"XX-01\"]\nexcept = [\"XX-02\"]\n";
    let faults = read(&[("2027.toml", year), ("holidays.toml", ""), ("week.toml", week)]).unwrap_err();
    assert_eq!(
        faults,
        [
            "calendar/2027.toml: line 9: 2027-02-30 is not a date of the form 2024-11-05",
            "calendar/2027.toml: line 4: 2026-12-25 is not a day of 2027",
            "calendar/2027.toml: line 16: a holiday has regions or exceptions, not both",
            "calendar/2027.toml: line 16: 2027-05-01 c stands here twice",
            "calendar/holidays.toml: line 1: the file is neither week.toml nor a year, such as 2027.toml",
            "calendar/week.toml: line 2: 4 pm is not a time of the form 16:00",
            "calendar/week.toml: line 7: 8 is not an offset of the form +08:00",
            "calendar/week.toml: line 10: someday is no day of the week",
            "calendar/week.toml: line 16: more is unknown here",
            "calendar/week.toml: line 1: there must be one [[zone]] without regions, for all others; there are 0",
            "calendar/week.toml: line 1: there must be one [[weekend]] without regions, for all others; there are 0",
            "calendar/week.toml: line 12: a weekend of 7 days leaves none to work on",
            "calendar/week.toml: line 12: XX-01 stands here twice",
        ]
    );
}

#[test]
fn a_party_without_a_week_is_refused_and_one_without_holidays_knows_no_year() {
    assert_eq!(read(&[]).unwrap_err(), ["calendar/week.toml: the file is missing"]);
    let calendar = read(&[("week.toml", WEEK)]).unwrap();
    assert!(!calendar.knows(date!(2027 - 01 - 01)) && calendar.workdays(None).is_working(date!(2027 - 01 - 01)));
    assert!(read(&[("week.toml", "[business\n")]).unwrap_err()[0].starts_with("calendar/week.toml: line 1: "));
}

#[test]
fn a_partner_that_shares_no_day_of_the_week_with_the_home_party_is_refused() {
    use crate::partner::{Party, never_at_work_together};
    let load =
        |code: &str| Party::load(&Path::new("partners").join(code)).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let (home, mut partner) = (load("id"), load("my"));
    assert!(never_at_work_together(&home, &partner).is_none());
    let days = "\"monday\", \"tuesday\", \"wednesday\", \"thursday\", \"friday\"";
    partner.calendar =
        read(&[("week.toml", &format!("{WEEK}[[weekend]]\ndays = [{days}]\nregions = [\"XX-01\"]\n"))]).unwrap();
    let fault = never_at_work_together(&home, &partner).unwrap().to_string();
    assert!(fault.ends_with("my/calendar/week.toml: shares no day of the week with the home party"), "{fault}");
}
