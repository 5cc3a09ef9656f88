//! What a worker keeps up.

use highwater::{
    Highwater, Worker,
    port::FeedSource,
    projections::{OnFailure, ProjectionOptions},
    service::Config,
};

use crate::domain::{Balance, Statement};

/// How many keys of a shard may be parked before a view stops: one broken account must not stop a bank,
/// and a thousand are no longer a matter of accounts.
const PARKED: usize = 1_000;

/// A worker that keeps up every view of the bank.
#[must_use]
pub fn worker(bank: &Highwater, source: impl FeedSource, config: &Config) -> Worker {
    Worker::new(bank)
        .fed_by(source)
        .view_with::<Balance>(options(config, "balances"))
        .view_with::<Statement>(options(config, "statements"))
}

/// What the configuration says, but that keys are parked unless it says otherwise.
fn options(config: &Config, view: &str) -> ProjectionOptions {
    let says = config.projections.get(view).and_then(|projection| projection.on_failure);
    let otherwise = OnFailure::Park { at_most: PARKED };
    config.options(view).on_failure(says.unwrap_or(otherwise))
}
