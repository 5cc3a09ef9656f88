//! The events of one shard, from the log.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{Either, select};
use highwater_core::{
    Position, Query, ReadFrom, Result,
    port::{Clock, EventStore, Feed, FeedPage, LogPage, Subscription},
    value::{ShardId, Sharding},
};
use jiff::Timestamp;

/// How long a page without events waits for some to go with, before it moves the position alone.
const LINGER: Duration = Duration::from_millis(5);

/// How long a feed that has nothing new stays silent, if the view can't see for itself that it is current.
const SILENCE: Duration = Duration::from_secs(1);

/// Follows the log. With a layout by streams it keeps to the streams of its shard.
pub struct LogFeed {
    log: Arc<dyn EventStore>,
    query: Query,
    layout: Sharding,
    shard: ShardId,
    position: Position,
    clock: Option<Arc<dyn Clock>>,
    silence: Option<Duration>,
}

impl LogFeed {
    /// Feeds what a shard is to have of the log after a position.
    #[must_use]
    pub fn new(
        log: &Arc<dyn EventStore>,
        feeding: &Subscription,
        shard: ShardId,
        after: Position,
    ) -> Self {
        let (query, layout) = (feeding.query.clone(), feeding.sharding);
        Self {
            log: Arc::clone(log),
            query,
            layout,
            shard,
            position: after,
            clock: None,
            silence: None,
        }
    }

    /// Lets pages without events wait a little for some, so that appends that the view has nothing to
    /// do with don't cost a commit each.
    #[must_use]
    pub fn lingering(mut self, clock: &Arc<dyn Clock>) -> Self {
        self.clock = Some(Arc::clone(clock));
        self
    }

    /// Says about once a second as of when it is known that there is nothing new. A view that is kept
    /// elsewhere than the log has nothing else by which to tell a quiet log from a feed that has stopped.
    #[must_use]
    pub fn saying_when_idle(mut self) -> Self {
        self.silence = Some(SILENCE);
        self
    }

    /// What there is now, at most `limit` events; `None` if there is nothing new. Does not wait.
    ///
    /// # Errors
    /// As [`EventStore::read_log`].
    pub async fn poll(&mut self, limit: usize) -> Result<Option<FeedPage>> {
        let page = self.log.read_log(&self.query, ReadFrom::After(self.position), limit).await?;
        if page.through == self.position {
            return Ok(None);
        }
        let page = self.own(page);
        self.position = page.through;
        Ok(Some(page))
    }

    fn own(&self, mut page: LogPage) -> FeedPage {
        keep_appends_whole(&mut page);
        let as_of = page.events.last().map(|event| event.recorded_at);
        let mut events = page.events;
        events.retain(|event| {
            self.layout.shard_of_stream(&event.stream).is_none_or(|shard| shard == self.shard)
        });
        FeedPage { events, through: page.through, as_of, cursor: Bytes::new(), more: page.more }
    }
}

/// A page that is full may end within an append. What it has of that one comes with the next page, so
/// that whoever reads an undivided view sees an append whole or not at all; unless it fills a page.
fn keep_appends_whole(page: &mut LogPage) {
    let Some(last) = page.events.last().filter(|_| page.more).map(|event| event.command) else {
        return;
    };
    let earlier = page.events.iter().rposition(|event| event.command != last);
    if let Some(earlier) = earlier.and_then(|place| page.events.get(place)) {
        page.through = earlier.position;
        page.events.retain(|event| event.command != last);
    }
}

#[async_trait]
impl Feed for LogFeed {
    /// The position moves with what is returned alone, so that nothing is lost when this is dropped.
    async fn next(&mut self, limit: usize) -> Result<FeedPage> {
        let (log, clock) = (Arc::clone(&self.log), self.clock.clone());
        let (mut through, mut linger, mut is_due) = (self.position, None, false);
        let mut silence =
            clock.as_ref().zip(self.silence).map(|(clock, silence)| clock.sleep(silence));
        loop {
            let asked_at = self.asked_at();
            let page = log.read_log(&self.query, ReadFrom::After(through), limit).await?;
            if page.through > through {
                let mut page = self.own(page);
                if !page.more {
                    page.as_of = asked_at.or(page.as_of);
                }
                through = page.through;
                if !page.events.is_empty() || clock.is_none() {
                    self.position = through;
                    return Ok(page);
                }
                if page.more {
                    continue;
                }
            }
            if is_due {
                return Ok(self.pass(through, asked_at));
            }
            if through > self.position && linger.is_none() {
                linger = clock.as_ref().map(|clock| clock.sleep(LINGER));
            }
            let appended = log.wait_for_append(through);
            let is_lingering = linger.is_some();
            match linger.as_mut().or(silence.as_mut()) {
                None => appended.await?,
                // Asked first: in a busy log there is always an append.
                Some(timer) => match select(timer, appended).await {
                    Either::Left(_) if is_lingering => return Ok(self.pass(through, asked_at)),
                    Either::Left(_) => is_due = true,
                    Either::Right((appended, _)) => appended?,
                },
            }
        }
    }
}

impl LogFeed {
    /// Before the log is asked: what is in it then is in the answer. Only who speaks when idle needs it.
    fn asked_at(&self) -> Option<Timestamp> {
        self.clock.as_ref().filter(|_| self.silence.is_some()).map(|clock| clock.now())
    }

    fn pass(&mut self, through: Position, as_of: Option<Timestamp>) -> FeedPage {
        self.position = through;
        FeedPage { as_of, ..Self::empty_page(through) }
    }

    /// A page that moves the position alone.
    pub(crate) fn empty_page(through: Position) -> FeedPage {
        let (events, cursor) = (Vec::new(), Bytes::new());
        FeedPage { events, through, as_of: None, cursor, more: false }
    }
}
