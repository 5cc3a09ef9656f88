//! The tokio tasks of the shards that a projection works on.

use std::collections::HashMap;

use highwater_core::{Result, value::ShardId};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::{audit::HeldShards, context::ClaimContext, failure::outcome_of_join_error};

/// The shards that are worked on, one task each.
pub(super) struct ShardTasks {
    /// The same shards, as the auditor knows them.
    pub(super) held: HeldShards,
    tasks: JoinSet<Result<()>>,
    by_shard: HashMap<ShardId, AbortHandle>,
    by_task: HashMap<Id, ClaimContext>,
}

impl ShardTasks {
    pub(super) fn new(held: HeldShards) -> Self {
        Self { held, tasks: JoinSet::new(), by_shard: HashMap::new(), by_task: HashMap::new() }
    }

    pub(super) fn spawn(
        &mut self,
        context: ClaimContext,
        work: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        let shard = context.scope.shard;
        let handle = self.tasks.spawn(work);
        self.by_task.insert(handle.id(), context);
        if let Some(earlier) = self.by_shard.insert(shard, handle) {
            earlier.abort();
        }
    }

    pub(super) fn contains(&self, shard: ShardId) -> bool {
        self.by_shard.contains_key(&shard)
    }

    /// Aborts the work on a shard; [`next_ended`](Self::next_ended) returns the shard afterwards.
    pub(super) fn abort(&self, shard: ShardId) {
        if let Some(handle) = self.by_shard.get(&shard) {
            handle.abort();
        }
    }

    /// Waits for the next shard whose work has ended. Safe to cancel.
    pub(super) async fn next_ended(&mut self) -> (ClaimContext, Result<()>) {
        loop {
            let Some(joined) = self.tasks.join_next_with_id().await else {
                std::future::pending::<()>().await;
                continue;
            };
            let task = joined.as_ref().map_or_else(JoinError::id, |(task, _)| *task);
            let Some(context) = self.by_task.remove(&task) else { continue };
            let shard = context.scope.shard;
            if self.by_shard.get(&shard).is_some_and(|handle| handle.id() == task) {
                self.by_shard.remove(&shard);
                let outcome = match joined {
                    Ok((_, outcome)) => outcome,
                    Err(error) => {
                        let task = format!("shard {shard} of view {}", context.view);
                        outcome_of_join_error(task, error)
                    }
                };
                return (context, outcome);
            }
        }
    }

    /// Aborts all work and waits until it has ended.
    pub(super) async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
    }
}
