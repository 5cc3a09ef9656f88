//! The worker that maintains the views.

use highwater::{
    Highwater, Worker,
    port::FeedSource,
    service::Config,
    worker::{OnFailure, ProjectionOptions},
};

use crate::domain::{Balance, Statement};

/// The limit on parked keys of a shard, at which a view stops: one broken account must not stop a bank, but a
/// thousand have a common cause.
const MAX_PARKED: usize = 1_000;

/// Creates a worker that maintains every view of the bank.
#[must_use]
pub fn worker(bank: &Highwater, source: impl FeedSource, config: &Config) -> Worker {
    Worker::new(bank)
        .fed_by(source)
        .view_with::<Balance>(options(config, "balances"))
        .view_with::<Statement>(options(config, "statements"))
}

/// Returns the configured options, with parking as the default reaction to a failure.
fn options(config: &Config, view: &str) -> ProjectionOptions {
    let configured = config.projections.get(view).and_then(|projection| projection.on_failure);
    let default = OnFailure::Park { at_most: MAX_PARKED };
    config.options(view).on_failure(configured.unwrap_or(default))
}
