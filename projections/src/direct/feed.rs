//! The events of one shard, from the log.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{Either, select};
use highwater_core::{
    Position, Query, ReadFrom, Result,
    domain::ViewName,
    error::Corrupt,
    port::{Clock, EventStore, Feed, FeedPage, LogPage, Subscription},
    value::{ShardId, Sharding},
};
use jiff::Timestamp;

/// The time that a page without events waits for events, before it moves the position alone.
const COALESCE_DELAY: Duration = Duration::from_millis(5);

/// The interval at which an idle feed reports, if the view can't see for itself that it is current.
const IDLE_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Follows the log. If the work is sharded by stream, it returns the events of its shard's streams alone.
pub struct LogFeed {
    log: Arc<dyn EventStore>,
    query: Query,
    sharding: Sharding,
    shard: ShardId,
    position: Position,
    /// Set if pages without events are coalesced.
    clock: Option<Arc<dyn Clock>>,
    idle_report_interval: Option<Duration>,
    /// The view, if it is in another store than the log: it may have events that the log has lost.
    apart: Option<ViewName>,
    /// True if the log has had all events of the view since the last error.
    is_end_checked: bool,
}

impl LogFeed {
    /// Creates the feed of a shard after a position.
    #[must_use]
    pub fn new(
        log: &Arc<dyn EventStore>,
        subscription: &Subscription,
        shard: ShardId,
        after: Position,
    ) -> Self {
        Self {
            log: Arc::clone(log),
            query: subscription.query.clone(),
            sharding: subscription.sharding,
            shard,
            position: after,
            clock: None,
            idle_report_interval: None,
            apart: None,
            is_end_checked: false,
        }
    }

    /// Lets a page without events wait a little for events, so that appends that don't concern the view
    /// don't cost a commit each.
    #[must_use]
    pub fn coalesce_empty_pages(mut self, clock: &Arc<dyn Clock>) -> Self {
        self.clock = Some(Arc::clone(clock));
        self
    }

    /// Reports about once a second as of when there is known to be nothing new. A view in another store
    /// than the log can't distinguish an idle log from a feed that has stopped otherwise.
    #[must_use]
    pub fn report_when_idle(mut self) -> Self {
        self.idle_report_interval = Some(IDLE_REPORT_INTERVAL);
        self
    }

    /// Checks that the log has not lost events which this view has, because it is in another store: at first, after an error,
    /// and when the feed reports that it is idle.
    #[must_use]
    pub fn check_end_for(mut self, view: &ViewName) -> Self {
        self.apart = Some(view.clone());
        self
    }

    /// Returns the next page, at most `limit` events; `None` if there is nothing new. Does not wait.
    ///
    /// # Errors
    /// As [`EventStore::read_log`].
    pub async fn poll(&mut self, limit: usize) -> Result<Option<FeedPage>> {
        let page = self.log.read_log(&self.query, ReadFrom::After(self.position), limit).await?;
        if page.through == self.position {
            return Ok(None);
        }
        let page = self.page_of_shard(page);
        self.position = page.through;
        Ok(Some(page))
    }

    fn page_of_shard(&self, mut page: LogPage) -> FeedPage {
        keep_appends_whole(&mut page);
        let as_of = page.events.last().map(|event| event.recorded_at);
        let mut events = page.events;
        events.retain(|event| {
            self.sharding.shard_of_stream(&event.stream).is_none_or(|shard| shard == self.shard)
        });
        FeedPage { events, through: page.through, as_of, cursor: Bytes::new(), more: page.more }
    }
}

/// Removes the last append from a full page, which may end within it. It comes with the next page, so that a
/// reader of a view with one shard sees an append as a whole or not at all; unless it fills a page.
fn keep_appends_whole(page: &mut LogPage) {
    let Some(last) = page.events.last().filter(|_| page.more).map(|event| event.command) else {
        return;
    };
    let earlier = page.events.iter().rposition(|event| event.command != last);
    if let Some(earlier) = earlier.and_then(|index| page.events.get(index)) {
        page.through = earlier.position;
        page.events.retain(|event| event.command != last);
    }
}

#[async_trait]
impl Feed for LogFeed {
    /// The position advances with what is returned alone, so that no event is lost when this is cancelled.
    async fn next(&mut self, limit: usize) -> Result<FeedPage> {
        if !self.is_end_checked {
            self.check_end().await?;
            self.is_end_checked = true;
        }
        let next = self.next_page(limit).await;
        self.is_end_checked = next.is_ok();
        next
    }
}

impl LogFeed {
    async fn next_page(&mut self, limit: usize) -> Result<FeedPage> {
        let log = Arc::clone(&self.log);
        let clock = self.clock.clone();
        let mut through = self.position;
        let mut coalescing = None;
        let mut idle = clock
            .as_ref()
            .zip(self.idle_report_interval)
            .map(|(clock, interval)| clock.sleep(interval));
        let mut is_idle = false;
        loop {
            let read_at = self.now();
            let idle_at = read_at.filter(|_| self.idle_report_interval.is_some());
            let page = log.read_log(&self.query, ReadFrom::After(through), limit).await?;
            if page.through > through {
                let mut page = self.page_of_shard(page);
                page.as_of = self.as_of(&page, read_at);
                through = page.through;
                if !page.events.is_empty() || clock.is_none() {
                    self.position = through;
                    return Ok(page);
                }
                if page.more {
                    continue;
                }
            }
            if is_idle {
                self.check_end().await?;
                return Ok(self.advance(through, idle_at));
            }
            if through > self.position && coalescing.is_none() {
                coalescing = clock.as_ref().map(|clock| clock.sleep(COALESCE_DELAY));
            }
            let appended = log.wait_for_append(through);
            let is_coalescing = coalescing.is_some();
            match coalescing.as_mut().or(idle.as_mut()) {
                None => appended.await?,
                // The timer is polled first: in a busy log there is always an append.
                Some(timer) => match select(timer, appended).await {
                    Either::Left(_) if is_coalescing => {
                        return Ok(self.advance(through, idle_at));
                    }
                    Either::Left(_) => is_idle = true,
                    Either::Right((appended, _)) => appended?,
                },
            }
        }
    }

    /// # Errors
    /// [`Corrupt::AheadOfLog`] if the log ends before the position of the view, and those of the log.
    async fn check_end(&self) -> Result<()> {
        let Some(view) = &self.apart else { return Ok(()) };
        let position = self.position;
        let head = self.log.head().await?;
        if position > head {
            return Err(Corrupt::AheadOfLog { view: view.to_string(), position, head }.into());
        }
        Ok(())
    }

    /// Returns the time before the log is read: every event in it by then is in the answer.
    fn now(&self) -> Option<Timestamp> {
        self.clock.as_ref().map(|clock| clock.now())
    }

    /// Returns the time up to which a page is complete: the time of its last event, or of the read, if nothing follows
    /// and the feed reports when idle. An event may have been recorded by a clock that was ahead. Its time says nothing
    /// then, and the time before stays, unless nothing follows.
    fn as_of(&self, page: &FeedPage, read_at: Option<Timestamp>) -> Option<Timestamp> {
        let Some(read_at) = read_at else { return page.as_of };
        if !page.more && self.idle_report_interval.is_some() {
            return Some(read_at);
        }
        let recorded_at = page.as_of?;
        if page.more {
            Some(recorded_at).filter(|recorded_at| *recorded_at <= read_at)
        } else {
            Some(recorded_at.min(read_at))
        }
    }

    fn advance(&mut self, through: Position, as_of: Option<Timestamp>) -> FeedPage {
        self.position = through;
        FeedPage { as_of, ..Self::empty_page(through) }
    }

    /// Creates a page that moves the position alone.
    pub(crate) fn empty_page(through: Position) -> FeedPage {
        FeedPage { events: Vec::new(), through, as_of: None, cursor: Bytes::new(), more: false }
    }
}
