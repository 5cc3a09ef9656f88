//! The duration and the seed of randomised tests.

use std::{env, time::Duration};

/// Returns the number in this environment variable.
pub fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Returns the duration of one crash test: `HIGHWATER_FIRE_MINUTES` or `HIGHWATER_FIRE_SECONDS`, or this many seconds.
pub fn duration(default_seconds: u64) -> Duration {
    let minutes = number("HIGHWATER_FIRE_MINUTES").map(|minutes| minutes * 60);
    let seconds = minutes.or(number("HIGHWATER_FIRE_SECONDS"));
    Duration::from_secs(seconds.unwrap_or(default_seconds))
}

/// The least number of events that a crash test writes, however long that takes.
pub fn min_events() -> u64 {
    number("HIGHWATER_FIRE_EVENTS").unwrap_or(0)
}

/// Returns the seed of all random choices of a run, and prints it. `HIGHWATER_SEED` repeats one.
pub fn seed() -> u64 {
    let seed = number("HIGHWATER_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("HIGHWATER_SEED={seed}");
    seed
}
