//! Drifted rows that are folded again and committed by their own shard.
//!
//! The shard is held by this worker, so nothing else moves it: between two pages its task folds the rows on to the
//! position that it has committed, and writes them there in a commit of its own. No second claim is needed, and no worker
//! is fenced. The auditor has folded the rows before; what is left are the events since then.

use std::sync::Arc;

use highwater_core::{Result, domain::ViewName, port::ViewStore};
use tokio::sync::oneshot;

use super::record::AuditRecord;
use crate::{
    projection::{Findings, FreshRows, Pace, ShardChanges},
    worker::owned_shard::OwnedShard,
};

/// An order of the auditor to write rows of a shard again.
pub(in crate::worker) struct RepairOrder {
    keys: Vec<String>,
    /// The rows as far as the auditor has folded them.
    fresh: Box<dyn FreshRows>,
    reply: oneshot::Sender<Box<dyn FreshRows>>,
}

impl RepairOrder {
    /// Creates an order. The answer has the folded rows, when the order was dealt with.
    pub(super) fn new(
        keys: Vec<String>,
        fresh: Box<dyn FreshRows>,
    ) -> (Self, oneshot::Receiver<Box<dyn FreshRows>>) {
        let (reply, answer) = oneshot::channel();
        (Self { keys, fresh, reply }, answer)
    }

    /// Writes the rows that differ still.
    ///
    /// # Errors
    /// That of the commit: it is unknown if that was stored. Rows that can't be read or folded now are left to the next
    /// comparison.
    pub(in crate::worker) async fn execute(
        self,
        shard: &mut OwnedShard,
        record: &AuditRecord,
    ) -> Result<()> {
        let Self { keys, mut fresh, reply } = self;
        let view = shard.context.view.clone();
        let views = Arc::clone(&shard.context.views);
        let committed = match fold_on(&*views, &view, &keys, &mut *fresh).await {
            Ok(findings) => commit(shard, record, findings).await,
            Err(error) => {
                tracing::warn!(%view, shard = %shard.claim.shard, %error, "not repaired; trying again later");
                Ok(())
            }
        };
        // The auditor may have gone on without the answer.
        drop(reply.send(fresh));
        committed
    }
}

/// Compares the rows at the position of the shard.
async fn fold_on(
    views: &dyn ViewStore,
    view: &ViewName,
    keys: &[String],
    fresh: &mut dyn FreshRows,
) -> Result<Findings> {
    let stored = views.read_view(view, keys).await?;
    let rows: Vec<_> = keys.iter().cloned().zip(stored.rows).collect();
    fresh.compare(&rows, &stored.state, &mut Pace::none()).await
}

/// Writes the rows at the position of the shard. Another one, at which they were compared if the shard has been taken
/// away meanwhile, is refused by the store, as the epoch is another one.
async fn commit(shard: &mut OwnedShard, record: &AuditRecord, findings: Findings) -> Result<()> {
    let Findings { mut drift, repairs: rows, right, .. } = findings;
    drift.retain(|drift| rows.iter().any(|(key, _)| *key == drift.key));
    record.found_right(&right);
    if rows.is_empty() {
        return Ok(());
    }
    shard.parking.unstage();
    shard.apply.forget(&rows);
    let changes = ShardChanges { rows, ..ShardChanges::default() };
    shard.commit(changes, shard.claim.progress.clone()).await?;
    record.repaired(&drift);
    Ok(())
}
