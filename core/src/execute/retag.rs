//! Adding to stored events the tags that the program gives to new ones (W6).

use std::{fmt, marker::PhantomData, sync::Arc};

use futures_util::{FutureExt as _, future::BoxFuture};

use super::{boundary_query::current_tags, engine::Engine};
use crate::{
    Result,
    domain::{Envelope, Event, Query},
    follow::fold_events,
    port::{AddedTags, ReadFrom},
    value::{Position, Tags},
};

/// The number of events per read, and the most that get tags in one transaction.
const READ_PAGE_SIZE: usize = 1000;

/// A run over the stored events of a type that adds the tags which the program gives to them today. It starts
/// when it is awaited.
///
/// Each event is decoded and upcast as for a state. Tags that it has stay; nothing else of it changes. Events are
/// appended and boundaries decide meanwhile. It works page by page: a run that ended early keeps what it did, and
/// may be made again, from the beginning or [`after`](Self::after) a position that the log told.
#[must_use = "a run does nothing until it is awaited"]
pub struct Retag<E> {
    engine: Arc<Engine>,
    after: Position,
    event: PhantomData<fn() -> E>,
}

/// The outcome of a [`Retag`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retagged {
    /// The number of events that were read.
    pub read: u64,
    /// The number of events that got tags.
    pub changed: u64,
    /// The position up to which every event of the type has its tags.
    pub through: Position,
}

impl<E: Event> Retag<E> {
    pub(super) fn new(engine: &Arc<Engine>) -> Self {
        Self { engine: Arc::clone(engine), after: Position::START, event: PhantomData }
    }

    /// Starts after a position instead of at the beginning of the log.
    pub fn after(mut self, position: Position) -> Self {
        self.after = position;
        self
    }

    async fn run(self) -> Result<Retagged> {
        let query = Query::types(E::NAMES.iter().copied());
        let mut done = Retagged { through: self.after, ..Retagged::default() };
        loop {
            let from = ReadFrom::After(done.through);
            let page = self.engine.log.read_log(&query, from, READ_PAGE_SIZE).await?;
            let added = added_tags::<E>(&page.events)?;
            if !added.is_empty() {
                self.engine.log.add_tags(&added).await?;
                tracing::info!(through = %page.through, events = added.len(), "tags added");
            }
            done.read += page.events.len() as u64;
            done.changed += added.len() as u64;
            done.through = page.through;
            if !page.more {
                return Ok(done);
            }
        }
    }
}

/// Returns the tags that the events lack.
fn added_tags<E: Event>(events: &[Envelope]) -> Result<Vec<AddedTags>> {
    let mut added = Vec::new();
    fold_events(events, |event| {
        let current = current_tags::<E>(event)?;
        let lacking = current.as_slice().iter().filter(|tag| !event.tags.contain(tag));
        let tags: Tags = lacking.cloned().collect();
        if !tags.is_empty() {
            added.push(AddedTags { position: event.position, tags });
        }
        Ok(())
    })?;
    Ok(added)
}

impl<E: Event> IntoFuture for Retag<E> {
    type Output = Result<Retagged>;
    type IntoFuture = BoxFuture<'static, Result<Retagged>>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}

impl<E> fmt::Debug for Retag<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retag").field("after", &self.after).finish_non_exhaustive()
    }
}
