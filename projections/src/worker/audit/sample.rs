//! The sample of rows that is compared when a shard is taken up.

use std::{collections::BTreeSet, time::Duration};

use highwater_core::{Position, Result, port::ViewState, value::ShardId};

use super::auditor::ShardAuditor;
use crate::projection::Pace;

/// The number of events of a shard whose rows are compared when it is taken up.
const SAMPLE: usize = 20;
/// The largest number of events that are looked at to find those of the shards that were taken up.
const MAX_TRIES: u64 = 500;
/// The pause between two steps of a sample.
const SAMPLE_PAUSE: Duration = Duration::from_millis(5);

impl ShardAuditor {
    /// Compares some rows of each shard whose rows another process may have folded, with another fold under the same
    /// definition.
    pub(super) async fn sample(&self) -> Result<()> {
        let unknown = self.held.unknown();
        if unknown.is_empty() {
            return Ok(());
        }
        let state = self.context.views.read_view(&self.view, &[]).await?.state;
        self.check(&state)?;
        let mut pace = Pace::every(SAMPLE_PAUSE);
        let keys = self.sample_keys(&state, &unknown, &mut pace).await?;
        let compared = self.compare(keys, &mut pace).await?;
        tracing::debug!(view = %self.view, compared, "sampled");
        self.held.sampled(&unknown);
        Ok(())
    }

    /// Returns keys of events of these shards, spread over the log.
    async fn sample_keys(
        &self,
        state: &ViewState,
        shards: &BTreeSet<ShardId>,
        pace: &mut Pace,
    ) -> Result<BTreeSet<String>> {
        let mut fresh = self.fresh_rows()?;
        let mut keys = BTreeSet::new();
        let wanted = SAMPLE * shards.len();
        let tries = (SAMPLE as u64 * u64::from(self.sharding.shards)).min(MAX_TRIES);
        let head = state.shards.iter().map(|shard| shard.position.get()).max().unwrap_or_default();
        let step = (head / tries).max(1);
        let mut after = self.random() % step;
        while after < head && keys.len() < wanted {
            let found = fresh.keys_after(Position::new(after), 1).await?;
            let of_event = found.keys.into_iter().flat_map(|(_, keys)| keys);
            keys.extend(of_event.filter(|key| shards.contains(&self.shard_of(key))));
            if found.through.get() <= after {
                break;
            }
            after = found.through.get().max(after.saturating_add(step));
            pace.wait().await;
        }
        Ok(keys)
    }
}
