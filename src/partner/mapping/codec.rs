//! Codecs: how one value looks on the wire. Each is total (it refuses, it never panics) and has its inverse.

use crate::domain::{calendars::HijriDate, identifiers::ascii_digits};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use time::{
    Date, OffsetDateTime, PrimitiveDateTime, UtcOffset, format_description::well_known::Rfc3339,
    macros::format_description,
};

/// Longest name that a single upper-case field holds.
const NAME_MAX: usize = 40;

type Format = &'static [time::format_description::BorrowedFormatItem<'static>];
const DMY: Format = format_description!("[day]/[month]/[year]");
const ISO: Format = format_description!("[year]-[month]-[day]");
const DMY_TIME: Format = format_description!("[day]/[month]/[year] [hour]:[minute]:[second]");
const DMY_MINUTE: Format = format_description!("[day]/[month]/[year] [hour]:[minute]");
const ISO_TIME: Format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");

/// How one value looks on the wire.
#[derive(Debug)]
pub(crate) enum Codec {
    Text,
    UpperName,
    Digits,
    Prefix(String),
    Table {
        to_canonical: BTreeMap<String, String>,
        to_wire: BTreeMap<String, String>,
    },
    Date(Format),
    /// As far as it is known: unknown parts are zeros, `00/02/1996` or `1996-00-00`.
    BirthDate {
        format: Format,
        separator: char,
        day_first: bool,
    },
    DateTime {
        reads: &'static [Format],
        writes: Format,
        zone: UtcOffset,
    },
    Hijri,
    MoneyText,
    MoneyNumber,
    Integer,
    Number,
}

/// A wire value that says nothing.
pub(crate) fn is_missing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => matches!(text.trim(), "" | "-"),
        _ => false,
    }
}

impl Codec {
    pub(crate) fn new(
        name: &str,
        zone: UtcOffset,
        table: Option<BTreeMap<String, String>>,
        prefix: Option<String>,
    ) -> Result<Self, String> {
        Ok(match (name, table, prefix) {
            ("table", Some(table), _) => Self::Table {
                // Of several wire codes for one value the first (in order) is written.
                to_wire: table.iter().rev().map(|(wire, canonical)| (canonical.clone(), wire.clone())).collect(),
                to_canonical: table,
            },
            ("table", None, _) => return Err("codec table needs table = \"…\"".to_owned()),
            ("prefix", _, Some(prefix)) => Self::Prefix(prefix),
            ("prefix", _, None) => return Err("codec prefix needs prefix = \"…\"".to_owned()),
            ("text", ..) => Self::Text,
            ("upper-name", ..) => Self::UpperName,
            ("digits", ..) => Self::Digits,
            ("date-dmy", ..) => Self::Date(DMY),
            ("date-iso", ..) => Self::Date(ISO),
            ("birth-date-dmy", ..) => Self::BirthDate { format: DMY, separator: '/', day_first: true },
            ("birth-date-iso", ..) => Self::BirthDate { format: ISO, separator: '-', day_first: false },
            ("datetime-dmy", ..) => Self::DateTime { reads: &[DMY_TIME, DMY_MINUTE], writes: DMY_TIME, zone },
            ("datetime-iso-local", ..) => Self::DateTime { reads: &[ISO_TIME], writes: ISO_TIME, zone },
            ("date-hijri", ..) => Self::Hijri,
            ("money-text", ..) => Self::MoneyText,
            ("money-number", ..) => Self::MoneyNumber,
            ("integer", ..) => Self::Integer,
            ("number", ..) => Self::Number,
            (other, ..) => return Err(format!("there is no codec {other}")),
        })
    }

    /// From the wire.
    pub(crate) fn read(&self, value: &Value) -> Result<Value, &'static str> {
        match self {
            Self::Integer => value.as_i64().map(Value::from).ok_or("whole number"),
            Self::Number => value.as_f64().and(Some(value.clone())).ok_or("number"),
            Self::MoneyNumber => money(&value.as_number().ok_or("number")?.to_string()).map(Value::from),
            Self::Table { to_canonical, .. } => {
                let code = value.as_str().map_or_else(|| value.to_string(), |text| clean(text).trim().to_owned());
                to_canonical.get(&code).cloned().map(Value::from).ok_or("code of the table")
            }
            _ => self.read_text(clean(value.as_str().ok_or("text")?).trim()),
        }
    }

    fn read_text(&self, text: &str) -> Result<Value, &'static str> {
        match self {
            Self::Text | Self::UpperName => Ok(text.into()),
            Self::Digits => Ok(ascii_digits(text).into()),
            Self::Prefix(prefix) => Ok(format!("{prefix}{text}").into()),
            Self::Date(format) => Ok(iso(date(text, format)?).into()),
            Self::BirthDate { format, separator, day_first } => match date(text, format) {
                Ok(day) => Ok(json!({"value": iso(day), "precision": "DAY"})),
                Err(_) => partial_birth_date(text, *separator, *day_first),
            },
            Self::DateTime { reads, zone, .. } => {
                let text = ascii_digits(text);
                let local = reads.iter().find_map(|format| PrimitiveDateTime::parse(&text, format).ok());
                let instant = local.ok_or("local date and time")?.assume_offset(*zone);
                instant.format(&Rfc3339).map(Value::from).map_err(|_| "local date and time")
            }
            Self::Hijri => {
                let text = ascii_digits(text).replace('/', "-");
                HijriDate::parse(&text).map(|_| text.into()).ok_or("Umm al-Qura date yyyy/MM/dd")
            }
            Self::MoneyText => money(&ascii_digits(text)).map(Value::from),
            Self::Table { .. } | Self::Integer | Self::Number | Self::MoneyNumber => Err("text"),
        }
    }

    /// To the wire.
    pub(crate) fn write(&self, value: &Value) -> Result<Value, &'static str> {
        let text = || value.as_str().ok_or("text");
        match self {
            Self::Text | Self::Digits => Ok(text()?.into()),
            Self::UpperName => Ok(text()?.to_uppercase().chars().take(NAME_MAX).collect::<String>().trim_end().into()),
            Self::Prefix(prefix) => text()?.strip_prefix(prefix).map(Value::from).ok_or("value with the prefix"),
            Self::Table { to_wire, .. } => to_wire.get(text()?).cloned().map(Value::from).ok_or("value of the table"),
            Self::Date(format) => written(date(text()?, ISO)?, format),
            Self::BirthDate { format, separator, day_first } => {
                let text = value.get("value").and_then(Value::as_str).unwrap_or_default();
                if let Ok(day) = date(text, ISO) {
                    return written(day, format);
                }
                let (year, month) = text.split_once('-').unwrap_or((text, ""));
                let [year, month] =
                    [(year, "0000"), (month, "00")].map(|(part, none)| if part.is_empty() { none } else { part });
                let mut parts = [year, month, "00"];
                if *day_first {
                    parts.reverse();
                }
                let wire = parts.join(&separator.to_string());
                partial_birth_date(&wire, *separator, *day_first).and(Ok(wire.into()))
            }
            Self::DateTime { writes, zone, .. } => {
                let instant = OffsetDateTime::parse(text()?, &Rfc3339).map_err(|_| "instant")?;
                instant
                    .checked_to_offset(*zone)
                    .and_then(|local| local.format(writes).ok())
                    .map(Value::from)
                    .ok_or("instant")
            }
            Self::Hijri => Ok(text()?.replace('-', "/").into()),
            Self::MoneyText => money(text()?).map(Value::from),
            Self::MoneyNumber => serde_json::from_str(&money(text()?)?).map_err(|_| "amount"),
            Self::Integer => value.as_i64().map(Value::from).ok_or("whole number"),
            Self::Number => value.as_f64().and(Some(value.clone())).ok_or("number"),
        }
    }
}

fn date(text: &str, format: Format) -> Result<Date, &'static str> {
    Date::parse(&ascii_digits(text), format).map_err(|_| "date")
}

/// A birth date of which the day, the month too or all is unknown.
fn partial_birth_date(text: &str, separator: char, day_first: bool) -> Result<Value, &'static str> {
    const EXPECTED: &str = "birth date, with zeros for what is not known";
    let text = ascii_digits(text);
    let mut parts: Vec<&str> = text.split(separator).collect();
    if day_first {
        parts.reverse();
    }
    let &[year, month, "00"] = parts.as_slice() else { return Err(EXPECTED) };
    let known_year = year.len() == 4 && year != "0000" && year.bytes().all(|b| b.is_ascii_digit());
    let known_month = month.len() == 2 && month.parse().is_ok_and(|month: u8| (1..=12).contains(&month));
    match (known_year, month) {
        (true, "00") => Ok(json!({"value": year, "precision": "YEAR"})),
        (true, _) if known_month => Ok(json!({"value": format!("{year}-{month}"), "precision": "MONTH"})),
        (false, "00") if year == "0000" => Ok(json!({"precision": "UNKNOWN"})),
        _ => Err(EXPECTED),
    }
}

fn iso(date: Date) -> String {
    date.format(ISO).unwrap_or_default()
}

fn written(date: Date, format: Format) -> Result<Value, &'static str> {
    date.format(format).map(Value::from).map_err(|_| "date")
}

/// A decimal amount with two places.
fn money(text: &str) -> Result<String, &'static str> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 9 || !digits(whole) || !digits(part) || part.len() > 2 {
        return Err("amount with two places");
    }
    Ok(format!("{whole}.{part:0<2}"))
}

/// Without tatweel and marks of direction, which registers of right-to-left scripts leave in values.
fn clean(text: &str) -> String {
    let mark = |c: &char| matches!(*c, '\u{0640}' | '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| !mark(c)).collect()
}
