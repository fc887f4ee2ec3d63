//! The closed list of shapes that a rule can have, and what each finds in a message.

use super::file::{Condition, List};
use crate::domain::{
    calendars::Calendar,
    identifiers::ascii_digits,
    rules::{Born, Decimal, term_within},
};
use crate::partner::reading::Day;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;
use std::collections::BTreeMap;
use time::Date;

/// What a rule asks of the value at its pointer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Shape {
    /// A number no smaller.
    AtLeast(Limit),
    /// A number no greater.
    AtMost(Limit),
    /// A number within both.
    Between(Between),
    /// One of these texts.
    OneOf(Vec<String>),
    /// None of these texts.
    NotOneOf(Vec<String>),
    /// A birth date that gives an age in completed years.
    AgeBetween(Ages),
    /// A last day that gives a term in months.
    TermBetween(Terms),
    /// An amount no smaller than a floor of its currency and period.
    MoneyAtLeast(Money),
    /// On a list, on the day by which the pack is chosen.
    Listed(Membership),
    /// Not on it.
    NotListed(Membership),
}

/// A limit: a whole number or a decimal as text, kept as written.
#[derive(Debug, Clone)]
pub(super) struct Limit {
    text: String,
    value: Decimal,
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Whole(i64),
            Text(String),
        }
        let wrong = || D::Error::custom("a limit is a whole number or a decimal as text, such as \"7.5\"");
        let text = match Written::deserialize(value).map_err(|_| wrong())? {
            Written::Whole(number) => number.to_string(),
            Written::Text(text) => text,
        };
        let value = Decimal::parse(&text).ok_or_else(wrong)?;
        Ok(Self { text, value })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Between {
    min: Limit,
    max: Limit,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ages {
    min: Option<i32>,
    max: Option<i32>,
    /// Pointers to the day on which the age counts, the first that is there; without any, the day of the message.
    #[serde(default)]
    on: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Terms {
    min_months: Option<u32>,
    max_months: Option<u32>,
    /// Pointer to the first day.
    from: String,
    /// Pointer to the calendar that the contract says, `GREGORIAN` or `HIJRI`.
    calendar: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Money {
    /// Pointer to the ISO 4217 code.
    currency: String,
    /// Pointer to the period, where the amount has one.
    period: Option<String>,
    floor: Vec<Floor>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Floor {
    currency: String,
    period: Option<String>,
    amount: Limit,
    /// For regions or jobs, say.
    #[serde(default)]
    when: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Membership {
    /// Name of the list.
    list: String,
    /// Pointer to the identifier's kind, where the list keeps keyed references.
    kind: Option<String>,
}

/// What is judged.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) data: &'a Value,
    /// The day by which the pack was chosen.
    pub(super) day: Date,
    /// The day of the message.
    pub(super) today: Date,
}

/// What a rule finds; with the limit, never with the value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing to say.
    Kept,
    /// It is broken.
    Broken(String),
    /// What is known of the value does not tell.
    Unclear(String),
}

impl Finding {
    fn unless(kept: bool, expected: impl FnOnce() -> String) -> Self {
        if kept { Self::Kept } else { Self::Broken(expected()) }
    }
}

impl Shape {
    /// What the rule finds at `pointer`. A value that is not there is a schema's business.
    pub(super) fn judge(&self, pointer: &str, case: &Case<'_>, lists: &BTreeMap<String, List>) -> Finding {
        let Some(value) = case.data.pointer(pointer).filter(|value| !value.is_null()) else { return Finding::Kept };
        let number = || Decimal::parse(&text(value));
        match self {
            Self::AtLeast(limit) => {
                Finding::unless(number().is_some_and(|n| n >= limit.value), || format!("≥ {}", limit.text))
            }
            Self::AtMost(limit) => {
                Finding::unless(number().is_some_and(|n| n <= limit.value), || format!("≤ {}", limit.text))
            }
            Self::Between(Between { min, max }) => {
                let within = number().is_some_and(|n| (min.value..=max.value).contains(&n));
                Finding::unless(within, || format!("{}–{}", min.text, max.text))
            }
            Self::OneOf(texts) => Finding::unless(texts.contains(&text(value)), || texts.join(", ")),
            Self::NotOneOf(texts) => {
                Finding::unless(!texts.contains(&text(value)), || format!("≠ {}", texts.join(", ")))
            }
            Self::AgeBetween(ages) => ages.judge(value, case),
            Self::TermBetween(terms) => terms.judge(value, case),
            Self::MoneyAtLeast(money) => money.judge(value, case),
            Self::Listed(which) => Finding::unless(which.holds(value, case, lists), || which.list.clone()),
            Self::NotListed(which) => Finding::unless(!which.holds(value, case, lists), || which.list.clone()),
        }
    }

    /// What is wrong with it, whatever the message.
    pub(super) fn lacks(&self, lists: &BTreeMap<String, List>) -> Option<String> {
        let empty = |what| format!("without {what} nothing is asked");
        match self {
            Self::AtLeast(_) | Self::AtMost(_) => None,
            Self::Between(Between { min, max }) => limits(Some(min.value), Some(max.value)),
            Self::OneOf(texts) | Self::NotOneOf(texts) => texts.is_empty().then(|| empty("values")),
            Self::AgeBetween(Ages { min, max, .. }) => limits(*min, *max),
            Self::TermBetween(Terms { min_months, max_months, .. }) => limits(*min_months, *max_months),
            Self::MoneyAtLeast(money) => money.floor.is_empty().then(|| empty("floors")),
            Self::Listed(which) | Self::NotListed(which) => match lists.get(&which.list) {
                None => Some(format!("there is no list {}", which.list)),
                Some(list) if list.is_keyed() && which.kind.is_none() => {
                    Some(format!("the list {} is keyed: kind must point to the kind of the identifier", which.list))
                }
                Some(_) => None,
            },
        }
    }

    /// Pointers besides the rule's own.
    pub(super) fn pointers(&self) -> Vec<&str> {
        match self {
            Self::AtLeast(_) | Self::AtMost(_) | Self::Between(_) | Self::OneOf(_) | Self::NotOneOf(_) => Vec::new(),
            Self::AgeBetween(ages) => ages.on.iter().map(String::as_str).collect(),
            Self::TermBetween(terms) => terms.calendar.iter().chain([&terms.from]).map(String::as_str).collect(),
            Self::MoneyAtLeast(money) => {
                let of_floors = money.floor.iter().flat_map(|floor| &floor.when).map(|condition| &condition.pointer);
                of_floors.chain(&money.period).chain([&money.currency]).map(String::as_str).collect()
            }
            Self::Listed(which) | Self::NotListed(which) => which.kind.iter().map(String::as_str).collect(),
        }
    }
}

fn limits<T: PartialOrd>(min: Option<T>, max: Option<T>) -> Option<String> {
    match (min, max) {
        (None, None) => Some("neither a least nor a greatest is given".to_owned()),
        (Some(min), Some(max)) if min > max => Some("the least is greater than the greatest".to_owned()),
        _ => None,
    }
}

/// `21–45`, `24`, `≥ 21`, `≤ 45`.
fn span<T: std::fmt::Display + PartialEq>(min: Option<T>, max: Option<T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) if min == max => min.to_string(),
        (Some(min), Some(max)) => format!("{min}–{max}"),
        (Some(min), None) => format!("≥ {min}"),
        (None, Some(max)) => format!("≤ {max}"),
        (None, None) => String::new(),
    }
}

impl Ages {
    fn judge(&self, value: &Value, case: &Case<'_>) -> Finding {
        let expected = || span(self.min, self.max);
        let stated = self.on.iter().find_map(|at| case.data.pointer(at)).map(|day| Day::parse(&text(day)));
        let day = match stated {
            None => case.today,
            Some(Some(day)) => day.0,
            Some(None) => return Finding::Unclear(expected()),
        };
        let Some(born) = Born::parse(&text(value)) else { return Finding::Broken(expected()) };
        let within = |age: i32| self.min.is_none_or(|min| min <= age) && self.max.is_none_or(|max| age <= max);
        let (least, most) = born.age_on(day);
        if within(least) && within(most) {
            return Finding::Kept;
        }
        // The two differ by a year at most: either the one or the other is the age.
        if within(least) || within(most) { Finding::Unclear(expected()) } else { Finding::Broken(expected()) }
    }
}

impl Terms {
    fn judge(&self, value: &Value, case: &Case<'_>) -> Finding {
        let Some(from) = case.data.pointer(&self.from) else { return Finding::Kept };
        let hijri = self.calendar.as_ref().and_then(|at| case.data.pointer(at)).is_some_and(|name| name == "HIJRI");
        let calendar = if hijri { Calendar::Hijri } else { Calendar::Gregorian };
        let within = Day::parse(&text(from)).zip(Day::parse(&text(value)));
        let within =
            within.is_some_and(|(from, to)| term_within(from.0, to.0, self.min_months, self.max_months, calendar));
        Finding::unless(within, || span(self.min_months, self.max_months))
    }
}

impl Money {
    fn judge(&self, value: &Value, case: &Case<'_>) -> Finding {
        let floors: Vec<&Floor> =
            self.floor.iter().filter(|floor| floor.when.iter().all(|condition| condition.holds(case.data))).collect();
        if floors.is_empty() {
            return Finding::Kept;
        }
        let at = |pointer: &str| case.data.pointer(pointer).map(text);
        let (currency, period) = (at(&self.currency), self.period.as_deref().and_then(at));
        let fits = |floor: &&&Floor| currency.as_ref() == Some(&floor.currency) && period == floor.period;
        let fitting: Vec<&&Floor> = floors.iter().filter(fits).collect();
        let Some(highest) = fitting.iter().max_by_key(|floor| floor.amount.value) else {
            // No floor is stated in this currency and period, so none is kept.
            return Finding::Broken(floors.iter().map(|floor| floor.to_string()).collect::<Vec<_>>().join("; "));
        };
        let enough = Decimal::parse(&text(value)).is_some_and(|amount| amount >= highest.amount.value);
        Finding::unless(enough, || highest.to_string())
    }
}

impl std::fmt::Display for Floor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "≥ {} {}", self.amount.text, self.currency)?;
        self.period.iter().try_for_each(|period| write!(f, "/{period}"))
    }
}

impl Membership {
    fn holds(&self, value: &Value, case: &Case<'_>, lists: &BTreeMap<String, List>) -> bool {
        let kind = self.kind.as_ref().and_then(|at| case.data.pointer(at)).map(text).unwrap_or_default();
        lists.get(&self.list).is_some_and(|list| list.has(&kind, &text(value), case.day))
    }
}

/// A value as text.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The part of a licence or identifier that counts when two are compared: letters and digits, upper case, ASCII digits.
pub(super) fn plain(value: &str) -> String {
    ascii_digits(value).chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}
