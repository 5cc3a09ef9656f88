//! What is said of a view that is not far enough, and when to ask again (R3).

use std::time::Duration;

use headers::RetryAfter;
use highwater_core::value::Pending;
use serde::Serialize;

use super::freshness;

/// A view that is not far enough, as JSON. Durations are in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Behind<'a> {
    view: &'a str,
    status: &'static str,
    position: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<u64>,
    /// How many events it has to get through until it is where it was to be.
    missing: u64,
    waited_ms: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate_ms: Option<u128>,
}

impl<'a> Behind<'a> {
    pub(super) fn of(pending: &'a Pending) -> Self {
        Self {
            view: &pending.view,
            status: freshness::token(pending.reached.status()).as_str(),
            position: pending.reached.position.get(),
            lag: pending.reached.lag(),
            missing: pending.missing(),
            waited_ms: pending.waited.as_millis(),
            estimate_ms: pending.estimate.map(|estimate| estimate.as_millis()),
        }
    }
}

/// When to ask again: after what it takes at the rate seen; if nothing moved, after as long as was waited.
/// A view that is held back by a parked key doesn't get there by itself.
pub(super) fn retry_after(pending: &Pending) -> Option<RetryAfter> {
    let is_held_back = pending.missing() == 0 && pending.reached.parked_since.is_some();
    let wait = seconds(pending.estimate.unwrap_or(pending.waited));
    (!is_held_back).then(|| RetryAfter::delay(wait))
}

/// When to ask again after a failure that may pass.
pub(super) fn soon() -> RetryAfter {
    RetryAfter::delay(LEAST)
}

const LEAST: Duration = Duration::from_secs(1);
/// An estimate beyond is no estimate.
const MOST: Duration = Duration::from_secs(60 * 60);

/// Whole seconds, rounded up.
fn seconds(wait: Duration) -> Duration {
    let whole = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
    Duration::from_secs(whole).clamp(LEAST, MOST)
}
