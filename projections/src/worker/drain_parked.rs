//! Retries of parked keys, on request of an operator (R4).

use futures_util::{FutureExt as _, future::BoxFuture};
use highwater_core::{Envelope, Error, Position, Query, ReadFrom, Result, error::Corrupt};

use super::{context::ClaimContext, failure::is_about_event, owned_shard::OwnedShard};
use crate::projection::ShardChanges;

/// The maximum number of parked keys in one read, and of queued events in one transaction.
const READ_PAGE_SIZE: usize = 200;

/// Applies the queued events of parked keys whose retry was requested.
pub(super) struct ParkedDrain<'a>(pub(super) &'a mut OwnedShard);

impl ParkedDrain<'_> {
    /// Retries the parked keys of the shard whose retry was requested.
    pub(super) async fn drain_parked(&mut self) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let context = &self.0.context;
            let page = context.views.parked_keys(&context.view, after.as_deref(), READ_PAGE_SIZE);
            let page = page.await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.key.clone());
            for parked in page {
                if parked.retry && self.0.context.scope.owns_key(&parked.key) {
                    self.drain_key(&parked.key).await?;
                }
            }
        }
    }

    /// Applies the queued events of a key in order, until none is left or one fails again.
    async fn drain_key(&mut self, key: &str) -> Result<()> {
        let limit = self.0.batch_size(READ_PAGE_SIZE);
        loop {
            let context = &self.0.context;
            let queued = context.views.queued_events(&context.view, key, Position::START, limit);
            let queued = queued.await?;
            let Some(last) = queued.last().copied() else {
                self.0.parking.release(key);
                return Ok(());
            };
            let mut events = Vec::with_capacity(queued.len());
            for position in queued {
                events.push(read_event(context, position).await?);
            }
            if !self.drain_bisecting(key, &events, last).await? {
                return Ok(());
            }
        }
    }

    /// Returns true if all events have been applied. An event at fault is found by halving.
    fn drain_bisecting<'a>(
        &'a mut self,
        key: &'a str,
        events: &'a [Envelope],
        through: Position,
    ) -> BoxFuture<'a, Result<bool>> {
        async move {
            match self.drain_once(key, events, through).await {
                Ok(()) => Ok(true),
                Err(error) if is_about_event(&error) => match events {
                    [] => Err(error),
                    [event] => self.park_again(key, event, &error).await.map(|()| false),
                    _ => {
                        let (first, rest) = events.split_at(events.len() / 2);
                        let between = first.last().map_or(through, |event| event.position);
                        Ok(self.drain_bisecting(key, first, between).await?
                            && self.drain_bisecting(key, rest, through).await?)
                    }
                },
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    async fn drain_once(
        &mut self,
        key: &str,
        events: &[Envelope],
        through: Position,
    ) -> Result<()> {
        self.0.parking.unstage();
        let changes = self.0.apply.drain(key, events).await.map_err(|failed| failed.error)?;
        self.0.parking.stage_drain(key, through);
        self.0.commit(changes, self.0.claim.progress.clone()).await
    }

    async fn park_again(&mut self, key: &str, event: &Envelope, error: &Error) -> Result<()> {
        self.0.parking.unstage();
        self.0.parking.park_again(key, event.position, error);
        self.0.commit(ShardChanges::default(), self.0.claim.progress.clone()).await
    }
}

async fn read_event(context: &ClaimContext, position: Position) -> Result<Envelope> {
    let before = ReadFrom::After(Position::new(position.get().saturating_sub(1)));
    let page = context.worker.log.read_log(&Query::all(), before, 1).await?;
    let event = page.events.into_iter().next().filter(|event| event.position == position);
    event.ok_or_else(|| {
        let missing = format!("event {position}, which is queued for a parked key, is missing");
        Corrupt::Log(missing).into()
    })
}
