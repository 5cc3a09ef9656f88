//! Parked keys that somebody wants tried again (R4).

use futures_util::{FutureExt as _, future::BoxFuture};
use highwater_core::{Envelope, Error, Position, Query, ReadFrom, Result, error::Corrupt};

use super::{ShardContext, failing::is_of_an_event, shard::ShardWork};

/// How many parked keys are looked at, and how many waiting events are applied, at once at the most.
const PAGE: usize = 200;

impl ShardWork {
    /// Tries the parked keys again whose retry has been asked for.
    pub(super) async fn retry_parked(&mut self) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let context = &self.context;
            let page = context.views.parked_keys(&context.view, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.key.clone());
            for parked in page {
                if parked.retry && self.context.share.owns_key(&parked.key) {
                    self.drain(&parked.key).await?;
                }
            }
        }
    }

    /// Applies what waits behind a key, in order, until nothing does or one fails again.
    async fn drain(&mut self, key: &str) -> Result<()> {
        let at_once = self.batch(PAGE);
        loop {
            let context = &self.context;
            let queued =
                context.views.queued_events(&context.view, key, Position::START, at_once).await?;
            let Some(last) = queued.last().copied() else {
                self.parking.release(key);
                return Ok(());
            };
            let mut events = Vec::with_capacity(queued.len());
            for position in queued {
                events.push(event_at(&self.context, position).await?);
            }
            if !self.drain_some(key, &events, last).await? {
                return Ok(());
            }
        }
    }

    /// Whether all of them have been applied. As elsewhere, the one at fault is found by halving.
    fn drain_some<'a>(
        &'a mut self,
        key: &'a str,
        events: &'a [Envelope],
        through: Position,
    ) -> BoxFuture<'a, Result<bool>> {
        async move {
            match self.try_to_drain(key, events, through).await {
                Ok(()) => Ok(true),
                Err(error) if is_of_an_event(&error) => match events {
                    [] => Err(error),
                    [event] => self.park_again(key, event, &error).await.map(|()| false),
                    _ => {
                        let (first, rest) = events.split_at(events.len() / 2);
                        let between = first.last().map_or(through, |event| event.position);
                        Ok(self.drain_some(key, first, between).await?
                            && self.drain_some(key, rest, through).await?)
                    }
                },
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    async fn try_to_drain(
        &mut self,
        key: &str,
        events: &[Envelope],
        through: Position,
    ) -> Result<()> {
        self.parking.unstage();
        let changes = self.apply.drain(key, events).await?;
        self.parking.drained(key, through);
        self.commit(changes, self.claim.progress.clone()).await
    }

    async fn park_again(&mut self, key: &str, event: &Envelope, error: &Error) -> Result<()> {
        self.parking.unstage();
        self.parking.failed_again(key, event.position, error);
        self.commit(crate::job::Changes::default(), self.claim.progress.clone()).await
    }
}

async fn event_at(context: &ShardContext, position: Position) -> Result<Envelope> {
    let before = ReadFrom::After(Position::new(position.get().saturating_sub(1)));
    let page = context.log.read_log(&Query::all(), before, 1).await?;
    let event = page.events.into_iter().next().filter(|event| event.position == position);
    event.ok_or_else(|| {
        let lost = format!("event {position}, for which a parked key waits, is not there");
        Corrupt::Log(lost).into()
    })
}
