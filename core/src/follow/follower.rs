//! Following the log from a position, at the reader's own pace.

use std::sync::Arc;

use crate::{
    Result,
    domain::Query,
    port::{EventStore, LogPage, ReadFrom},
    value::Position,
};

/// The largest number of events per page unless the follower sets another.
const DEFAULT_PAGE_SIZE: usize = 1000;

/// Delivers matching events in log order, none twice, none skipped (W3). Pages are read on demand,
/// so a slow follower blocks nothing and no events accumulate.
#[derive(Clone)]
pub struct Follower {
    log: Arc<dyn EventStore>,
    query: Query,
    position: Position,
    page: usize,
}

impl Follower {
    /// Follows the events that match `query`, starting after the position `after`.
    #[must_use]
    pub fn new(log: Arc<dyn EventStore>, query: Query, after: Position) -> Self {
        Self { log, query, position: after, page: DEFAULT_PAGE_SIZE }
    }

    /// Sets the largest number of events in a page.
    #[must_use]
    pub fn page_size(mut self, events: usize) -> Self {
        self.page = events.max(1);
        self
    }

    /// The position up to which everything was delivered: the checkpoint to resume from.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns the next page; waits until there is a matching event. Safe to cancel: events that
    /// were not returned are delivered next time.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable) or [`Corrupt`](crate::Error::Corrupt); the
    /// follower stays where it was.
    pub async fn next_page(&mut self) -> Result<LogPage> {
        loop {
            let page =
                self.log.read_log(&self.query, ReadFrom::After(self.position), self.page).await?;
            self.position = page.through;
            if !page.events.is_empty() {
                return Ok(page);
            }
            if !page.more {
                self.log.wait_for_append(self.position).await?;
            }
        }
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("position", &self.position).finish_non_exhaustive()
    }
}
