//! Retries of parked keys, on request of an operator (R4).

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{FutureExt as _, future::BoxFuture};
use highwater_core::{
    Envelope, Error, Position, Query, ReadFrom, Result, error::Corrupt, port::ParkedKey,
};

use super::{
    context::ClaimContext,
    failure::{is_about_event, is_out_of_date},
    owned_shard::OwnedShard,
};
use crate::projection::{ShardChanges, name_event};

/// The maximum number of parked keys in one read, and of queued events in one turn and one transaction.
const READ_PAGE_SIZE: usize = 200;

/// Applies the queued events of parked keys whose retry was requested, one page of them in a turn: other keys
/// go on between two turns.
pub(super) struct ParkedDrain<'a>(pub(super) &'a mut OwnedShard);

/// The outcome of a turn for its key.
enum Drained {
    /// No event waited.
    Nothing,
    /// A page of events has been applied, and more may wait.
    Page,
    /// The last event has been applied, or one has failed again.
    Last,
}

impl ParkedDrain<'_> {
    /// Applies a page of the events of one key: of `draining`, or else of the next key whose retry was
    /// requested. Returns false if there is none; `draining` is the key that has more.
    pub(super) async fn take_turn(&mut self, draining: &mut Option<String>) -> Result<bool> {
        let continued = draining.take();
        let is_continued = continued.is_some();
        let key = match continued {
            Some(key) => Some(key),
            None => self.next_key().await?,
        };
        let Some(key) = key else { return Ok(false) };
        match self.drain_page(&key).await? {
            Drained::Nothing => return Ok(is_continued),
            Drained::Page => *draining = Some(key),
            Drained::Last => {}
        }
        Ok(true)
    }

    /// Returns the first parked key of the shard whose retry was requested.
    async fn next_key(&mut self) -> Result<Option<String>> {
        let context = &self.0.context;
        let mut after: Option<String> = None;
        loop {
            let page = context.views.parked_keys(&context.view, after.as_deref(), READ_PAGE_SIZE);
            let page = page.await?;
            let Some(last) = page.last() else { return Ok(None) };
            after = Some(last.key.clone());
            let requested = |key: &ParkedKey| key.retry && context.scope.owns_key(&key.key);
            if let Some(parked) = page.into_iter().find(requested) {
                return Ok(Some(parked.key));
            }
        }
    }

    /// Applies the first queued events of a key, in order.
    async fn drain_page(&mut self, key: &str) -> Result<Drained> {
        let limit = self.0.batch_size(READ_PAGE_SIZE);
        let context = &self.0.context;
        let queued = context.views.queued_events(&context.view, key, Position::START, limit);
        let queued = queued.await?;
        let Some(last) = queued.last().copied() else {
            self.0.parking.release(key);
            return Ok(Drained::Nothing);
        };
        let events = read_events(context, &queued).await?;
        if !self.drain_bisecting(key, &events, last).await? {
            return Ok(Drained::Last);
        }
        if queued.len() == limit {
            return Ok(Drained::Page);
        }
        self.0.parking.release(key);
        Ok(Drained::Last)
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
                // A key that an earlier version has parked for such an event stays parked.
                Err(error) if is_about_event(&error) || is_out_of_date(&error) => match events {
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
        let committed = self.0.commit(changes, self.0.claim.progress.clone()).await;
        committed.map_err(|error| self.0.name_hook(error, events))
    }

    async fn park_again(&mut self, key: &str, event: &Envelope, error: &Error) -> Result<()> {
        let error = name_event(&self.0.context.view, key, event, error);
        self.0.parking.unstage();
        self.0.parking.park_again(key, event.position, &error);
        self.0.commit(ShardChanges::default(), self.0.claim.progress.clone()).await
    }
}

/// Reads the queued events of a key. As a rule they are of one stream, and read with it.
async fn read_events(context: &ClaimContext, queued: &[Position]) -> Result<Vec<Envelope>> {
    let wanted: BTreeSet<Position> = queued.iter().copied().collect();
    let mut events: BTreeMap<Position, Envelope> = BTreeMap::new();
    for position in &wanted {
        if events.contains_key(position) {
            continue;
        }
        let event = read_event(context, *position).await?;
        let stream = event.stream.clone();
        let after = ReadFrom::After(event.version);
        events.insert(*position, event);
        let missing = wanted.len() - events.len();
        if missing > 0 {
            let page = context.worker.log.read_stream(&stream, after, missing).await?;
            let of_key = page.events.into_iter().filter(|event| wanted.contains(&event.position));
            events.extend(of_key.map(|event| (event.position, event)));
        }
    }
    Ok(events.into_values().collect())
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
