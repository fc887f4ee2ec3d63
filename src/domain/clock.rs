//! Time and randomness as parameters: nothing in the product reads a wall clock or a generator except through these traits.
//!
//! The system implementations live in [`crate::app`]; tests turn a [`ManualClock`] and never sleep.

use std::sync::Mutex;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// The present instant. Implementations answer in UTC.
pub trait Clock: Send + Sync {
    /// Now, with offset zero.
    fn now(&self) -> OffsetDateTime;
}

/// A cryptographically secure source of random bytes.
pub trait Random: Send + Sync {
    /// Fills `bytes` completely.
    fn fill(&self, bytes: &mut [u8]);
}

/// A UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then random bits.
pub fn uuid_v7(clock: &dyn Clock, random: &dyn Random) -> Uuid {
    let millis = (clock.now().unix_timestamp_nanos() / 1_000_000) as u64;
    let mut tail = [0u8; 10];
    random.fill(&mut tail);
    uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock(Mutex<OffsetDateTime>);

impl ManualClock {
    /// A clock that shows `start`.
    pub fn at(start: OffsetDateTime) -> Self {
        Self(Mutex::new(start))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().expect("no holder of this lock can panic") += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().expect("no holder of this lock can panic")
    }
}
