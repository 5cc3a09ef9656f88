//! A view that is not far enough, as JSON, and the `Retry-After` of such a response (R3).

use std::time::Duration;

use headers::RetryAfter;
use highwater_core::value::Pending;
use serde::Serialize;

use super::freshness;

/// A view that is not far enough, as JSON. Durations are in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct PendingView<'a> {
    view: &'a str,
    status: &'static str,
    position: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<u64>,
    /// The number of events between the view's position and the requested one.
    missing: u64,
    waited_ms: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate_ms: Option<u128>,
}

impl<'a> PendingView<'a> {
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

/// Returns when to retry: after the time that the view needs at its current rate, or after the time that was waited if
/// the view did not move. Returns `None` for a view that has stopped, or that a parked key holds back, which waiting
/// does not help.
pub(super) fn retry_after(pending: &Pending) -> Option<RetryAfter> {
    let is_held_back = pending.missing() == 0 && pending.reached.parked_since.is_some();
    let wait = whole_seconds(pending.estimate.unwrap_or(pending.waited));
    (!is_held_back && !pending.reached.is_stopped()).then(|| RetryAfter::delay(wait))
}

/// Returns when to retry after a transient failure.
pub(super) fn min_retry_after() -> RetryAfter {
    RetryAfter::delay(MIN_RETRY_AFTER)
}

const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);
/// A longer estimate is not meaningful.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Rounds up to whole seconds, within the bounds.
fn whole_seconds(wait: Duration) -> Duration {
    let whole = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
    Duration::from_secs(whole).clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER)
}
