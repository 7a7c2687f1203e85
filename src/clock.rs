//! The time, as a value that is passed down: a run that takes hours has no single "now".

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

/// A source of the time. Created at the top level; the code below uses it and never the system clock.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// Creates a clock that calls this function.
    pub fn new(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Creates a clock that stands still, for tests and simulations.
    pub fn fixed(time: DateTime<Utc>) -> Self {
        Self::new(move || time)
    }

    /// Returns the current time.
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}
