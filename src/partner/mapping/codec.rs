//! Codecs: how one value looks on the wire. Each is total (it refuses, it never panics) and has its inverse, or its row is
//! declared lossy.

use super::calendar::{Calendar, DateForm};
use crate::domain::{calendars::HijriDate, identifiers::ascii_digits};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use time::{
    Date, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset, format_description::well_known::Rfc3339,
    macros::format_description,
};

/// Longest name that a single upper-case field holds, where the row does not say otherwise.
const NAME_MAX: usize = 40;

/// Every codec, so that tests leave none out.
#[cfg(test)]
pub(crate) const NAMES: [&str; 26] = [
    "text",
    "digits",
    "upper-name",
    "prefix",
    "table",
    "boolean",
    "texts",
    "date-dmy",
    "date-ymd",
    "date-iso",
    "date-compact",
    "date-hijri",
    "birth-date-dmy",
    "birth-date-ymd",
    "birth-date-iso",
    "birth-date-compact",
    "datetime-dmy",
    "datetime-ymd",
    "datetime-iso-local",
    "datetime-iso",
    "datetime-compact",
    "money-text",
    "money-number",
    "money-minor",
    "integer",
    "number",
];
/// `integer` and `number` as text, for formats that know only text.
#[cfg(test)]
pub(crate) const TEXT_NAMES: [&str; 2] = ["integer-text", "number-text"];

/// What a row says beside the codec's name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Wire code → value.
    pub(crate) table: Option<BTreeMap<String, String>>,
    /// What a code that the table does not have means.
    pub(crate) default: Option<String>,
    pub(crate) prefix: Option<String>,
    /// Most characters written.
    pub(crate) max: Option<usize>,
    pub(crate) calendar: Option<String>,
    /// Offset of local times, where not the party's.
    pub(crate) zone: Option<String>,
    /// `arabic`: written with Arabic-Indic digits.
    pub(crate) digits: Option<String>,
    /// Places after the point on the wire.
    pub(crate) scale: Option<u8>,
}

/// How one value looks on the wire.
#[derive(Debug)]
pub(crate) struct Codec {
    form: Form,
    arabic: bool,
}

#[derive(Debug)]
enum Form {
    Text {
        prefix: String,
        upper: bool,
        digits: bool,
        max: Option<usize>,
    },
    Table {
        to_canonical: BTreeMap<String, String>,
        to_wire: BTreeMap<String, String>,
        default: Option<String>,
    },
    Boolean(Option<BTreeMap<String, String>>),
    /// A list of texts.
    Texts,
    Date(DateForm),
    /// As far as it is known: unknown parts are zeros, `00/02/1996` or `1996-00-00`.
    BirthDate(DateForm),
    DateTime {
        date: DateForm,
        /// Between date and time; none for digits alone.
        joint: Option<char>,
        zone: UtcOffset,
    },
    Instant(UtcOffset),
    Hijri,
    Money {
        shape: MoneyShape,
        scale: u8,
    },
    Integer {
        text: bool,
    },
    Number {
        text: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MoneyShape {
    Text,
    Number,
    /// Text of whole minor units.
    Minor,
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
    pub(crate) fn new(name: &str, party_zone: UtcOffset, options: &Options) -> Result<Self, String> {
        let arabic = match options.digits.as_deref() {
            None | Some("ascii") => false,
            Some("arabic") => true,
            Some(other) => return Err(format!("digits are ascii or arabic, not {other}")),
        };
        Ok(Self { form: form(name, party_zone, options)?, arabic })
    }

    /// A codec by its name alone, with a calendar after `@`: `date-ymd@roc`.
    #[cfg(feature = "sandbox")]
    pub(crate) fn plain(form: &str, party_zone: UtcOffset) -> Result<Self, String> {
        let (name, calendar) = form.split_once('@').map_or((form, None), |(name, calendar)| (name, Some(calendar)));
        let options = Options { calendar: calendar.map(str::to_owned), ..Options::default() };
        Self::new(name, party_zone, &options)
    }

    /// Whether what it writes may be less than what it was given.
    pub(crate) fn loses(&self) -> bool {
        match &self.form {
            Form::Text { upper, max, .. } => *upper || max.is_some(),
            Form::Table { default, .. } => default.is_some(),
            _ => false,
        }
    }

    /// Wire code → value, of a table or of a boolean's words.
    #[cfg(test)]
    pub(crate) fn table(&self) -> Option<&BTreeMap<String, String>> {
        match &self.form {
            Form::Table { to_canonical, .. } => Some(to_canonical),
            Form::Boolean(words) => words.as_ref(),
            _ => None,
        }
    }

    /// From the wire.
    pub(crate) fn read(&self, value: &Value) -> Result<Value, &'static str> {
        match &self.form {
            Form::Integer { text: false } => value.as_i64().map(Value::from).ok_or("whole number"),
            Form::Number { text: false } => value.as_f64().and(Some(value.clone())).ok_or("number"),
            Form::Boolean(None) => value.as_bool().map(Value::from).ok_or("true or false"),
            Form::Texts => {
                let items = value.as_array().ok_or("list of texts")?.iter();
                let text = |item: &Value| Some(Value::from(clean(item.as_str()?).trim()));
                items.map(text).collect::<Option<Vec<Value>>>().map(Value::from).ok_or("list of texts")
            }
            Form::Money { shape: MoneyShape::Number, scale } => {
                money(&value.as_number().ok_or("number")?.to_string(), *scale).map(Value::from)
            }
            Form::Table { to_canonical, default, .. } => {
                let code = value.as_str().map_or_else(|| value.to_string(), |text| clean(text).trim().to_owned());
                let code = if self.arabic { ascii_digits(&code) } else { code };
                to_canonical.get(&code).or(default.as_ref()).cloned().map(Value::from).ok_or("code of the table")
            }
            _ => {
                let text = clean(value.as_str().ok_or("text")?);
                let text = text.trim();
                if self.arabic { self.form.read(&ascii_digits(text)) } else { self.form.read(text) }
            }
        }
    }

    /// To the wire.
    pub(crate) fn write(&self, value: &Value) -> Result<Value, &'static str> {
        match self.form.write(value)? {
            Value::String(text) if self.arabic => Ok(arabic_digits(&text).into()),
            written => Ok(written),
        }
    }
}

fn form(name: &str, party_zone: UtcOffset, options: &Options) -> Result<Form, String> {
    let calendar = match options.calendar.as_deref() {
        None => Calendar::Gregorian,
        Some(name) => Calendar::named(name).ok_or_else(|| format!("there is no calendar {name}"))?,
    };
    let zone = match options.zone.as_deref() {
        None => party_zone,
        Some(zone) => UtcOffset::parse(zone, format_description!("[offset_hour sign:mandatory]:[offset_minute]"))
            .map_err(|fault| format!("zone: {fault}"))?,
    };
    let date = |name: &str| {
        let (day_first, separator) = match name {
            "dmy" => (true, Some('/')),
            "ymd" => (false, Some('/')),
            "iso" => (false, Some('-')),
            "compact" => (false, None),
            _ => return None,
        };
        Some(DateForm { day_first, separator, calendar })
    };
    let scale = options.scale.unwrap_or(2);
    if scale > 2 {
        return Err("an amount has two places at most".to_owned());
    }
    let text = |upper, digits, max| Form::Text { prefix: String::new(), upper, digits, max };
    Ok(match name {
        "text" => text(false, false, options.max),
        "digits" => text(false, true, options.max),
        "upper-name" => text(true, false, Some(options.max.unwrap_or(NAME_MAX))),
        "prefix" => {
            let prefix = options.prefix.clone().ok_or("codec prefix needs prefix = \"…\"")?;
            Form::Text { prefix, upper: false, digits: false, max: None }
        }
        "table" => {
            let table = options.table.clone().ok_or("codec table needs table = \"…\"")?;
            Form::Table {
                // Of several wire codes for one value the first (in order) is written.
                to_wire: table.iter().rev().map(|(wire, canonical)| (canonical.clone(), wire.clone())).collect(),
                to_canonical: table,
                default: options.default.clone(),
            }
        }
        "texts" => Form::Texts,
        "boolean" => match &options.table {
            Some(words) if words.values().any(|word| !matches!(word.as_str(), "true" | "false")) => {
                return Err("the words of a boolean mean \"true\" or \"false\"".to_owned());
            }
            words => Form::Boolean(words.clone()),
        },
        "date-hijri" => Form::Hijri,
        "datetime-iso" => Form::Instant(zone),
        "money-text" => Form::Money { shape: MoneyShape::Text, scale },
        "money-number" => Form::Money { shape: MoneyShape::Number, scale },
        "money-minor" => Form::Money { shape: MoneyShape::Minor, scale },
        "integer" => Form::Integer { text: false },
        "number" => Form::Number { text: false },
        "integer-text" => Form::Integer { text: true },
        "number-text" => Form::Number { text: true },
        other => {
            let named = |kind: &str| other.strip_prefix(kind);
            let joined = named("datetime-").and_then(|name| match name {
                "iso-local" => Some((date("iso")?, Some('T'))),
                "compact" => Some((date("compact")?, None)),
                name => Some((date(name)?, Some(' '))),
            });
            match (named("date-").and_then(date), named("birth-date-").and_then(date), joined) {
                (Some(date), ..) => Form::Date(date),
                (_, Some(_), _) if calendar.offset().is_none() => {
                    return Err("a birth date known in part cannot be carried into this calendar".to_owned());
                }
                (_, Some(date), _) => Form::BirthDate(date),
                (.., Some((date, joint))) => Form::DateTime { date, joint, zone },
                _ => return Err(format!("there is no codec {other}; there are {CODECS}")),
            }
        }
    })
}

/// What a row may name; DATE is `dmy`, `ymd`, `iso` or `compact`.
const CODECS: &str = "text, digits, upper-name, prefix, table, texts, boolean, date-DATE, date-hijri, birth-date-DATE, datetime-dmy, \
                      datetime-ymd, datetime-iso-local, datetime-compact, datetime-iso, money-text, money-number, money-minor, \
                      integer, number, integer-text, number-text (DATE is dmy, ymd, iso or compact)";

impl Form {
    fn read(&self, text: &str) -> Result<Value, &'static str> {
        match self {
            Self::Text { prefix, digits, .. } => {
                let text = if *digits { ascii_digits(text) } else { text.to_owned() };
                Ok(format!("{prefix}{text}").into())
            }
            Self::Boolean(Some(words)) => {
                words.get(text).map(|word| Value::from(word == "true")).ok_or("word of the table")
            }
            Self::Date(form) => Ok(iso(form.read(&ascii_digits(text)).ok_or("date")?).into()),
            Self::BirthDate(form) => read_birth_date(*form, &ascii_digits(text)),
            Self::DateTime { date, joint, zone } => {
                let instant = local(&ascii_digits(text), *date, *joint).ok_or("local date and time")?;
                instant.assume_offset(*zone).format(&Rfc3339).map(Value::from).map_err(|_| "local date and time")
            }
            Self::Instant(_) => {
                let instant = OffsetDateTime::parse(&ascii_digits(text), &Rfc3339).map_err(|_| "instant")?;
                instant.format(&Rfc3339).map(Value::from).map_err(|_| "instant")
            }
            Self::Hijri => {
                let text = ascii_digits(text).replace('/', "-");
                HijriDate::parse(&text).map(|_| text.into()).ok_or("Umm al-Qura date yyyy/MM/dd")
            }
            Self::Money { shape: MoneyShape::Text, scale } => money(&ascii_digits(text), *scale).map(Value::from),
            Self::Money { shape: MoneyShape::Minor, scale } => of_minor(&ascii_digits(text), *scale).map(Value::from),
            Self::Integer { text: true } => {
                ascii_digits(text).parse::<i64>().map(Value::from).map_err(|_| "whole number")
            }
            Self::Number { text: true } => {
                let number = serde_json::from_str::<serde_json::Number>(&ascii_digits(text)).map_err(|_| "number")?;
                Ok(Value::Number(number))
            }
            Self::Table { .. }
            | Self::Texts
            | Self::Boolean(None)
            | Self::Integer { text: false }
            | Self::Number { text: false }
            | Self::Money { shape: MoneyShape::Number, .. } => Err("text"),
        }
    }

    fn write(&self, value: &Value) -> Result<Value, &'static str> {
        let text = || value.as_str().ok_or("text");
        match self {
            Self::Text { prefix, upper, max, .. } => {
                let text = text()?.strip_prefix(prefix).ok_or("value with the prefix")?;
                let text = if *upper { text.to_uppercase() } else { text.to_owned() };
                Ok(match max {
                    Some(max) => text.chars().take(*max).collect::<String>().trim_end().into(),
                    None => text.into(),
                })
            }
            Self::Table { to_wire, .. } => to_wire.get(text()?).cloned().map(Value::from).ok_or("value of the table"),
            Self::Boolean(words) => {
                let yes = value.as_bool().ok_or("true or false")?;
                let Some(words) = words else { return Ok(yes.into()) };
                let word = words.iter().find(|(_, word)| *word == if yes { "true" } else { "false" });
                word.map(|(word, _)| word.clone().into()).ok_or("word of the table")
            }
            Self::Texts => {
                let items = value.as_array().filter(|items| items.iter().all(Value::is_string));
                items.map(|items| items.clone().into()).ok_or("list of texts")
            }
            Self::Date(form) => form.write(iso_date(text()?)?).map(Value::from).ok_or("date"),
            Self::BirthDate(form) => write_birth_date(*form, value).map(Value::from),
            Self::DateTime { date, joint, zone } => {
                let local = shifted(text()?, *zone)?;
                let time: &[time::format_description::BorrowedFormatItem<'_>] = match joint {
                    Some(_) => format_description!("[hour]:[minute]:[second]"),
                    None => format_description!("[hour][minute][second]"),
                };
                let time = local.time().format(time).map_err(|_| "instant")?;
                let joint = joint.map(String::from).unwrap_or_default();
                Ok(format!("{}{joint}{time}", date.write(local.date()).ok_or("instant")?).into())
            }
            Self::Instant(zone) => shifted(text()?, *zone)?.format(&Rfc3339).map(Value::from).map_err(|_| "instant"),
            Self::Hijri => Ok(text()?.replace('-', "/").into()),
            Self::Money { shape, scale } => {
                let amount = scaled(&money(text()?, 2)?, *scale)?;
                match shape {
                    MoneyShape::Text => Ok(amount.into()),
                    MoneyShape::Minor => {
                        let units = amount.replace('.', "");
                        let trimmed = units.trim_start_matches('0');
                        Ok(if trimmed.is_empty() { "0" } else { trimmed }.into())
                    }
                    MoneyShape::Number => serde_json::from_str(&amount).map_err(|_| "amount"),
                }
            }
            Self::Integer { text } => {
                let number = value.as_i64().ok_or("whole number")?;
                Ok(if *text { number.to_string().into() } else { number.into() })
            }
            Self::Number { text } => {
                value.as_f64().ok_or("number")?;
                Ok(if *text { value.to_string().into() } else { value.clone() })
            }
        }
    }
}

/// A local time with or without seconds.
fn local(text: &str, date: DateForm, joint: Option<char>) -> Option<PrimitiveDateTime> {
    let (day, time) = match joint {
        Some(joint) => text.split_once(joint)?,
        None => text.split_at_checked(text.len().checked_sub(6)?)?,
    };
    let time = match joint {
        Some(_) => Time::parse(time, format_description!("[hour]:[minute]:[second]"))
            .or_else(|_| Time::parse(time, format_description!("[hour]:[minute]"))),
        None => Time::parse(time, format_description!("[hour][minute][second]")),
    };
    Some(PrimitiveDateTime::new(date.read(day)?, time.ok()?))
}

fn shifted(text: &str, zone: UtcOffset) -> Result<OffsetDateTime, &'static str> {
    let instant = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "instant")?;
    instant.checked_to_offset(zone).ok_or("instant")
}

/// A birth date of which the day, the month too or all may be unknown.
fn read_birth_date(form: DateForm, text: &str) -> Result<Value, &'static str> {
    const EXPECTED: &str = "birth date, with zeros for what is not known";
    if let Some(day) = form.read(text) {
        return Ok(json!({"value": iso(day), "precision": "DAY"}));
    }
    let [year, month, "00"] = form.split(text).ok_or(EXPECTED)? else { return Err(EXPECTED) };
    let (year, month) = (year.parse::<i32>().map_err(|_| EXPECTED)?, month.parse::<u8>().map_err(|_| EXPECTED)?);
    let gregorian = year + form.calendar.offset().unwrap_or_default();
    match (year, month) {
        (0, 0) => Ok(json!({"precision": "UNKNOWN"})),
        (1.., 0) => Ok(json!({"value": format!("{gregorian:04}"), "precision": "YEAR"})),
        (1.., 1..=12) => Ok(json!({"value": format!("{gregorian:04}-{month:02}"), "precision": "MONTH"})),
        _ => Err(EXPECTED),
    }
}

fn write_birth_date(form: DateForm, value: &Value) -> Result<String, &'static str> {
    const EXPECTED: &str = "birth date";
    let text = value.get("value").and_then(Value::as_str).unwrap_or_default();
    if let Ok(day) = iso_date(text) {
        return form.write(day).ok_or(EXPECTED);
    }
    let digits = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    let (year, month) = text.split_once('-').unwrap_or((text, "00"));
    let known = digits(year, 4) && digits(month, 2);
    match (text.is_empty(), known) {
        (true, _) => form.join(0, 0, 0).ok_or(EXPECTED),
        (false, true) => {
            let year = year.parse::<i32>().map_err(|_| EXPECTED)? - form.calendar.offset().unwrap_or_default();
            let month = month.parse().ok().filter(|month| *month <= 12).ok_or(EXPECTED)?;
            form.join(year, month, 0).filter(|_| year >= 1).ok_or(EXPECTED)
        }
        (false, false) => Err(EXPECTED),
    }
}

fn iso_date(text: &str) -> Result<Date, &'static str> {
    Date::parse(text, format_description!("[year]-[month]-[day]")).map_err(|_| "date")
}

fn iso(date: Date) -> String {
    date.format(format_description!("[year]-[month]-[day]")).unwrap_or_default()
}

/// A decimal amount of at most `scale` places, with two.
fn money(text: &str, scale: u8) -> Result<String, &'static str> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 9 || !digits(whole) || !digits(part) || part.len() > scale.into() {
        return Err("amount with two places");
    }
    Ok(format!("{whole}.{part:0<2}"))
}

/// An amount of two places with `scale`, where nothing is lost by it.
fn scaled(amount: &str, scale: u8) -> Result<String, &'static str> {
    let (kept, cut) = amount.split_at(amount.len() - usize::from(2 - scale));
    let kept = kept.trim_end_matches('.');
    if cut.bytes().all(|digit| digit == b'0') { Ok(kept.to_owned()) } else { Err("amount without smaller units") }
}

/// Whole minor units as an amount of two places.
fn of_minor(text: &str, scale: u8) -> Result<String, &'static str> {
    let scale = usize::from(scale);
    let units = format!("{text:0>width$}", width = scale + 1);
    let (whole, part) = units.split_at_checked(units.len() - scale).ok_or("whole minor units")?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("whole minor units");
    }
    money(&if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }, 2)
}

/// With the digits ٠ to ٩.
fn arabic_digits(text: &str) -> String {
    let digit = |c: char| match c.to_digit(10) {
        Some(value) => char::from_u32(0x0660 + value).unwrap_or(c),
        None => c,
    };
    text.chars().map(digit).collect()
}

/// Without tatweel and marks of direction, which registers of right-to-left scripts leave in values.
fn clean(text: &str) -> String {
    let mark = |c: &char| matches!(*c, '\u{0640}' | '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| !mark(c)).collect()
}
