//! `calendar/`: on which days a party works, region by region, and which zones it has.
//!
//! `week.toml` holds zones, weekends and the end of business, `<year>.toml` the holidays of a year. A year without a file has no
//! holidays: [`WorkCalendar::knows`] says so. When a term ends is computed in [`crate::domain::workdays`].

use super::{
    PartyFault,
    reading::{Day, Reading, texts},
};
use crate::domain::workdays::Workdays;
use serde::{Deserialize, Deserializer, de::Error};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use time::{Date, Time, UtcOffset, Weekday, macros::format_description};

/// The working days of a party.
#[derive(Debug)]
pub struct WorkCalendar {
    zones: Vec<Zone>,
    everywhere: Workdays,
    regions: BTreeMap<String, Workdays>,
    years: BTreeSet<i32>,
    holidays: Vec<Holiday>,
}

/// A zone of a party.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// What it is called.
    pub name: String,
    /// Offset of local times.
    #[serde(deserialize_with = "offset")]
    pub offset: UtcOffset,
    /// ISO 3166-2 codes of its regions; the one zone without any is that of all others.
    #[serde(default)]
    pub regions: Vec<String>,
}

/// A day off.
#[derive(Debug, Clone)]
pub struct Holiday {
    /// When.
    pub day: Date,
    /// What it is called.
    pub name: String,
    /// Whether the day is expected and not yet, or not surely, proclaimed.
    pub expected: bool,
    only: Vec<String>,
    except: Vec<String>,
}

impl Holiday {
    /// Whether it is one in this region; without a region, whether it is one in general.
    pub fn holds_in(&self, region: Option<&str>) -> bool {
        let within = |list: &[String]| region.is_some_and(|region| list.iter().any(|one| one == region));
        (self.only.is_empty() || within(&self.only)) && !within(&self.except)
    }
}

impl WorkCalendar {
    /// Reads the calendar of the party in `folder`.
    ///
    /// # Errors
    /// Every fault found, with file and line.
    pub fn load(folder: &Path) -> Result<Self, Vec<PartyFault>> {
        let folder = folder.join("calendar");
        Self::read(&folder, &texts(&folder)?)
    }

    fn read(folder: &Path, files: &[(PathBuf, String)]) -> Result<Self, Vec<PartyFault>> {
        let (mut faults, mut week, mut years, mut holidays) = (Vec::new(), None, BTreeSet::new(), Vec::new());
        for (file, text) in files {
            let mut reading = Reading::new(file, text);
            let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            match stem.parse::<i32>() {
                _ if stem == "week" => week = Week::read(&mut reading),
                Ok(year) if stem.len() == 4 => {
                    years.insert(year);
                    holidays.extend(read_year(&mut reading, year));
                }
                _ => reading.fault(0, "the file is neither week.toml nor a year, such as 2027.toml"),
            }
            faults.append(&mut reading.faults);
        }
        if !files.iter().any(|(file, _)| file.ends_with("week.toml")) {
            faults.push(PartyFault::of(&folder.join("week.toml"), "the file is missing"));
        }
        let Some(week) = week.filter(|_| faults.is_empty()) else { return Err(faults) };
        let workdays = |region: Option<&str>| {
            let off = holidays.iter().filter(|holiday: &&Holiday| holiday.holds_in(region)).map(|holiday| holiday.day);
            Workdays::new(week.weekend(region), off, week.closes)
                .ok_or_else(|| vec![PartyFault::of(&folder.join("week.toml"), "a weekend leaves no day to work on")])
        };
        let of_holidays = holidays.iter().flat_map(|holiday| holiday.only.iter().chain(&holiday.except));
        let named: BTreeSet<&String> = week.weekends.iter().flat_map(|one| &one.regions).chain(of_holidays).collect();
        let regions = named.into_iter().map(|region| Ok((region.clone(), workdays(Some(region))?)));
        let regions = regions.collect::<Result<_, Vec<PartyFault>>>()?;
        Ok(Self { everywhere: workdays(None)?, regions, zones: week.zones, years, holidays })
    }

    /// Every fault of the calendar of the party in `folder`.
    pub fn faults(folder: &Path) -> Vec<PartyFault> {
        Self::load(folder).err().unwrap_or_default()
    }

    /// The working days of a region; of the party in general without one, or for one with nothing of its own.
    pub fn workdays(&self, region: Option<&str>) -> &Workdays {
        region.and_then(|region| self.regions.get(region)).unwrap_or(&self.everywhere)
    }

    /// The working days of every region that differs, and of the party in general.
    pub fn all_workdays(&self) -> impl Iterator<Item = &Workdays> {
        std::iter::once(&self.everywhere).chain(self.regions.values())
    }

    /// The offset of local times in a region; the party's general one without one, or for one that no zone names.
    pub fn zone(&self, region: Option<&str>) -> UtcOffset {
        let named = |zone: &&Zone| region.is_some_and(|region| zone.regions.iter().any(|one| one == region));
        let general = |zone: &&Zone| zone.regions.is_empty();
        let zone = self.zones.iter().find(named).or_else(|| self.zones.iter().find(general));
        zone.map_or(UtcOffset::UTC, |zone| zone.offset)
    }

    /// Its zones.
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// Whether the holidays of the day's year are known.
    pub fn knows(&self, day: Date) -> bool {
        self.years.contains(&day.year())
    }

    /// The holidays on a day in a region.
    pub fn holidays_on<'a>(&'a self, day: Date, region: Option<&'a str>) -> impl Iterator<Item = &'a Holiday> {
        self.holidays.iter().filter(move |holiday| holiday.day == day && holiday.holds_in(region))
    }
}

/// `week.toml`.
struct Week {
    closes: Time,
    zones: Vec<Zone>,
    weekends: Vec<Weekend>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Business {
    #[serde(deserialize_with = "clock_time")]
    closes: Time,
    #[serde(rename = "source")]
    _source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weekend {
    #[serde(deserialize_with = "weekdays")]
    days: Vec<Weekday>,
    #[serde(default)]
    regions: Vec<String>,
}

impl Week {
    fn read(reading: &mut Reading<'_>) -> Option<Self> {
        let mut tables = reading.tables();
        let business: Option<Business> = reading.one(&mut tables, "business");
        let zones: Vec<(usize, Zone)> = reading.each(&mut tables, "zone");
        let weekends: Vec<(usize, Weekend)> = reading.each(&mut tables, "weekend");
        reading.nothing_else(&tables);
        for (what, count) in [
            ("zone", zones.iter().filter(|(_, zone)| zone.regions.is_empty()).count()),
            ("weekend", weekends.iter().filter(|(_, weekend)| weekend.regions.is_empty()).count()),
        ] {
            if count != 1 {
                reading.fault(
                    0,
                    format!("there must be one [[{what}]] without regions, for all others; there are {count}"),
                );
            }
        }
        for (at, weekend) in
            weekends.iter().filter(|(_, weekend)| Workdays::new(&weekend.days, [], Time::MIDNIGHT).is_none())
        {
            reading.fault(*at, format!("a weekend of {} days leaves none to work on", weekend.days.len()));
        }
        once(reading, zones.iter().flat_map(|(at, zone)| zone.regions.iter().map(|region| (*at, region.clone()))));
        once(reading, weekends.iter().flat_map(|(at, one)| one.regions.iter().map(|region| (*at, region.clone()))));
        let strip = |(_, weekend)| weekend;
        Some(Self {
            closes: business?.closes,
            zones: zones.into_iter().map(|(_, zone)| zone).collect(),
            weekends: weekends.into_iter().map(strip).collect(),
        })
    }

    fn weekend(&self, region: Option<&str>) -> &[Weekday] {
        let named = |one: &&Weekend| region.is_some_and(|region| one.regions.iter().any(|other| other == region));
        let found = self.weekends.iter().find(named);
        found.or_else(|| self.weekends.iter().find(|one| one.regions.is_empty())).map_or(&[], |one| &one.days)
    }
}

/// Notes what stands in a file twice.
fn once<T: Ord + std::fmt::Display>(reading: &mut Reading<'_>, items: impl Iterator<Item = (usize, T)>) {
    let mut seen = BTreeSet::new();
    for (at, item) in items {
        if seen.contains(&item) {
            reading.fault(at, format!("{item} stands here twice"));
        }
        seen.insert(item);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Year {
    #[serde(rename = "source")]
    _source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HolidayRow {
    date: Day,
    name: String,
    #[serde(default)]
    expected: bool,
    #[serde(default)]
    regions: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
}

fn read_year(reading: &mut Reading<'_>, year: i32) -> Vec<Holiday> {
    let mut tables = reading.tables();
    let _: Option<Year> = reading.one(&mut tables, "year");
    let rows: Vec<(usize, HolidayRow)> = reading.each(&mut tables, "holiday");
    reading.nothing_else(&tables);
    for (at, row) in &rows {
        if row.date.0.year() != year {
            reading.fault(*at, format!("{} is not a day of {year}", row.date.0));
        }
        if !row.regions.is_empty() && !row.except.is_empty() {
            reading.fault(*at, "a holiday has regions or exceptions, not both");
        }
    }
    once(reading, rows.iter().map(|(at, row)| (*at, format!("{} {}", row.date.0, row.name))));
    let holiday = |(_, row): (usize, HolidayRow)| Holiday {
        day: row.date.0,
        name: row.name,
        expected: row.expected,
        only: row.regions,
        except: row.except,
    };
    rows.into_iter().map(holiday).collect()
}

fn offset<'de, D: Deserializer<'de>>(value: D) -> Result<UtcOffset, D::Error> {
    let text = String::deserialize(value)?;
    UtcOffset::parse(&text, format_description!("[offset_hour sign:mandatory]:[offset_minute]"))
        .map_err(|_| D::Error::custom(format!("{text} is not an offset of the form +08:00")))
}

fn clock_time<'de, D: Deserializer<'de>>(value: D) -> Result<Time, D::Error> {
    let text = String::deserialize(value)?;
    Time::parse(&text, format_description!("[hour]:[minute]"))
        .map_err(|_| D::Error::custom(format!("{text} is not a time of the form 16:00")))
}

fn weekdays<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<Weekday>, D::Error> {
    let names = Vec::<String>::deserialize(value)?;
    let day = |name: &String| {
        let mut letters = name.chars();
        let capital: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        capital.parse().map_err(|_| D::Error::custom(format!("{name} is no day of the week")))
    };
    names.iter().map(day).collect()
}

#[cfg(test)]
mod tests;
