//! The stop of a worker that holds no shard, because it can't be a member of the view's workers: readers learn of it if
//! no other worker works on the view.

use highwater_core::{Error, Result, port::ClaimMode, value::ShardId};

use super::{failure::is_transient, task::ProjectionTask};

impl ProjectionTask {
    /// Records an error that an operator must look at as the stop of every shard that no worker holds and that has not
    /// stopped before. A shard of another worker is left alone, as long as its lease lasts. A store that doesn't take the
    /// record doesn't keep the projection from stopping.
    pub(super) async fn stop_free_shards(&self, error: &Error) {
        if is_transient(error, &self.view) {
            return;
        }
        if let Err(error) = self.claim_and_stop(error).await {
            tracing::warn!(view = %self.view, %error, "the stop could not be recorded");
        }
    }

    async fn claim_and_stop(&self, error: &Error) -> Result<()> {
        let state = self.context.views.read_view(&self.view, &[]).await?.state;
        let has_stopped = |shard| state.stops.iter().any(|stop| stop.shard == shard);
        let shards = (0..state.sharding.shards).map(ShardId::new);
        for shard in shards.filter(|shard| !has_stopped(*shard)) {
            let context = self.claim_context(state.sharding, shard);
            if context.claim(ClaimMode::IfFree).await?.is_some() {
                context.record_stop(error).await;
                context.release().await?;
            }
        }
        Ok(())
    }
}
