//! Amounts of money: decimal text, an ISO 4217 currency and the period for which it is paid.
//!
//! Exact: no floating point, no rounding, no conversion. An amount that its currency cannot pay (a third decimal of a currency with
//! two) is said to be so, and amounts of different currencies or periods have no order.

use iso_currency::Currency;
use std::{cmp::Ordering, fmt, str::FromStr};

/// The most digits before the point; with the finest currency (four places) every amount fits 128 bits.
const DIGITS: usize = 18;

/// For what time an amount is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

/// An amount of money for a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    /// In the smallest unit of the currency.
    minor: u128,
    currency: Currency,
    period: Period,
}

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyFault {
    /// Not digits with at most one point between them, or more than 18 before it.
    #[error("not a decimal number")]
    Amount,
    /// Not a code of ISO 4217, or of something without units (gold, a bond unit).
    #[error("not a currency of ISO 4217")]
    Currency,
    /// Finer than the smallest unit of the currency; paying it would need rounding.
    #[error("more than {0} decimal places")]
    Places(u16),
    /// None of HOUR, DAY, WEEK, MONTH, YEAR.
    #[error("not a period")]
    Period,
}

impl FromStr for Period {
    type Err = MoneyFault;

    fn from_str(text: &str) -> Result<Self, MoneyFault> {
        Ok(match text {
            "HOUR" => Self::Hour,
            "DAY" => Self::Day,
            "WEEK" => Self::Week,
            "MONTH" => Self::Month,
            "YEAR" => Self::Year,
            _ => return Err(MoneyFault::Period),
        })
    }
}

impl Money {
    /// Reads `1700.00`, `MYR`, `MONTH`. Zeros beyond the currency's places cost nothing and are read.
    ///
    /// # Errors
    /// The first of [`MoneyFault`] in the order currency, period, amount, places.
    pub fn parse(amount: &str, currency: &str, period: &str) -> Result<Self, MoneyFault> {
        let currency = Currency::from_code(currency).ok_or(MoneyFault::Currency)?;
        let places = currency.exponent().ok_or(MoneyFault::Currency)?;
        let period = period.parse()?;
        Ok(Self { minor: minor(amount, places)?, currency, period })
    }

    /// The amount in the smallest unit of its currency.
    pub fn minor_units(self) -> u128 {
        self.minor
    }

    /// Decimal places of its currency.
    pub fn places(self) -> u16 {
        self.currency.exponent().unwrap_or(0)
    }

    /// For what time it is paid.
    pub fn period(self) -> Period {
        self.period
    }
}

fn minor(amount: &str, places: u16) -> Result<u128, MoneyFault> {
    let (whole, part) = amount.split_once('.').unwrap_or((amount, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || whole.len() > DIGITS {
        return Err(MoneyFault::Amount);
    }
    let part = part.trim_end_matches('0');
    let missing = usize::from(places).checked_sub(part.len()).ok_or(MoneyFault::Places(places))?;
    format!("{whole}{part}{}", "0".repeat(missing)).parse().map_err(|_| MoneyFault::Amount)
}

/// An order between amounts of one currency and one period only.
impl PartialOrd for Money {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let comparable = self.currency == other.currency && self.period == other.period;
        comparable.then(|| self.minor.cmp(&other.minor))
    }
}

/// The decimal text, with all places of the currency.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = usize::from(self.places());
        let digits = format!("{:0>width$}", self.minor, width = places + 1);
        let (whole, part) = digits.split_at(digits.len() - places);
        f.write_str(whole)?;
        if part.is_empty() { Ok(()) } else { write!(f, ".{part}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn month(amount: &str, currency: &str) -> Result<Money, MoneyFault> {
        Money::parse(amount, currency, "MONTH")
    }

    #[test]
    fn currencies_have_their_own_places() {
        let text = |amount, currency| month(amount, currency).map(|money| (money.minor_units(), money.to_string()));
        assert_eq!(text("1700.00", "MYR"), Ok((170_000, "1700.00".to_owned())));
        assert_eq!(text("1500", "SAR"), Ok((150_000, "1500.00".to_owned())));
        assert_eq!(text("0.125", "KWD"), Ok((125, "0.125".to_owned())));
        assert_eq!(text("120000", "JPY"), Ok((120_000, "120000".to_owned())));
        assert_eq!(text("0", "SAR"), Ok((0, "0.00".to_owned())));
    }

    #[test]
    fn nothing_is_rounded() {
        assert_eq!(month("1500.005", "SAR"), Err(MoneyFault::Places(2)));
        assert_eq!(month("1500.5", "JPY"), Err(MoneyFault::Places(0)));
        assert_eq!(month("1500.5000", "SAR"), month("1500.50", "SAR"));
    }

    #[test]
    fn what_is_no_money_is_said() {
        for amount in ["", ".", "1.", ".5", "-1", "+1", "1,5", "1e3", "١", " 1", "1.2.3", "1234567890123456789"] {
            assert_eq!(month(amount, "SAR"), Err(MoneyFault::Amount), "{amount}");
        }
        for currency in ["", "sar", "XXX", "XAU", "RIY"] {
            assert_eq!(month("1", currency), Err(MoneyFault::Currency), "{currency}");
        }
        assert_eq!(Money::parse("1", "SAR", "FORTNIGHT"), Err(MoneyFault::Period));
    }

    #[test]
    fn different_currencies_and_periods_have_no_order() {
        let wage = month("1500", "SAR").unwrap();
        assert_eq!(wage.partial_cmp(&month("1500", "MYR").unwrap()), None);
        assert_eq!(wage.partial_cmp(&Money::parse("1500", "SAR", "YEAR").unwrap()), None);
    }

    proptest! {
        #[test]
        fn text_and_back(whole in 0u64..10u64.pow(18), part in 0u32..1000, code in "MYR|SAR|KWD|JPY|IDR") {
            for text in [format!("{whole}"), format!("{whole}.{part:03}")] {
                if let Ok(money) = month(&text, &code) {
                    prop_assert_eq!(month(&money.to_string(), &code), Ok(money));
                    // Reading loses nothing: with the zeros taken off, both texts are one number.
                    let bare = |text: &str| match text.split_once('.') {
                        Some((whole, part)) => format!("{whole}.{}", part.trim_end_matches('0')),
                        None => format!("{text}."),
                    };
                    prop_assert_eq!(bare(&money.to_string()), bare(&text));
                }
            }
        }

        #[test]
        fn the_order_is_that_of_thousandths(a in 0u64..10u64.pow(15), b in 0u64..10u64.pow(15)) {
            let money = |n: u64| month(&format!("{}.{:03}", n / 1000, n % 1000), "KWD").unwrap();
            prop_assert_eq!(money(a).partial_cmp(&money(b)), Some(a.cmp(&b)));
        }
    }
}
