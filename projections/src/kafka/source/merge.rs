//! Several partitions as one sequence in log order. Without I/O.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use highwater_core::{
    Envelope, Position,
    port::{FeedPage, LogPage},
};
use jiff::Timestamp;

use super::{
    lane::{Ahead, Lack, Lane},
    offsets::{Offsets, Seen},
};

/// How often pages that move the position alone are given, at the most.
const POSITION_INTERVAL: Duration = Duration::from_millis(50);
/// How often pages are given that only say that the view is still current.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Partitions, delivered up to where all of them have been read.
pub(super) struct Merge {
    pub(super) lanes: Vec<Lane>,
    /// Up to here everything is in `ready` or has been delivered.
    through: Position,
    as_of: Option<Timestamp>,
    ready: VecDeque<Ready>,
    /// What the last page has said.
    said: Said,
}

struct Said {
    position: Position,
    as_of: Option<Timestamp>,
    at: Option<Instant>,
}

/// An event whose turn it is, and where it came from; `None` is the store.
struct Ready {
    from: Option<(usize, i64)>,
    event: Envelope,
}

impl Merge {
    pub(super) fn new(lanes: Vec<Lane>, from: Position, as_of: Timestamp) -> Self {
        let said = Said { position: from, as_of: Some(as_of), at: None };
        Self { lanes, through: from, as_of: None, ready: VecDeque::new(), said }
    }

    /// Up to where everything is delivered or ready.
    pub(super) fn through(&self) -> Position {
        self.through
    }

    /// The next page, if there is one now.
    pub(super) fn page(&mut self, limit: usize, now: Instant) -> Option<FeedPage> {
        self.advance();
        if !self.ready.is_empty() {
            return Some(self.events(limit.max(1), now));
        }
        let due = self.until_due(now)?;
        due.is_zero().then(|| self.say(Vec::new(), self.through, self.as_of, now))
    }

    /// How long until a page without events is due; `None` if there is nothing to say.
    pub(super) fn until_due(&self, now: Instant) -> Option<Duration> {
        let interval = if self.through > self.said.position {
            POSITION_INTERVAL
        } else if self.as_of > self.said.as_of {
            HEARTBEAT_INTERVAL
        } else {
            return None;
        };
        let since = self.said.at.map(|at| now.saturating_duration_since(at));
        Some(since.map_or(Duration::ZERO, |since| interval.saturating_sub(since)))
    }

    /// The first event that is missing stands before this one, and why it isn't here; `None` if the
    /// partitions can be read on.
    pub(super) fn missing(&self) -> Option<(Position, Lack)> {
        let behind = |lane: &&Lane| lane.have() <= self.through;
        let missing = self.lanes.iter().filter(behind).filter_map(Lane::missing);
        // Where one partition tells more than another, that goes for all.
        missing.reduce(|(to, why), (other, because)| (to.max(other), why.max(because)))
    }

    /// Takes a page of the log that begins where everything has been delivered.
    pub(super) fn fill(&mut self, page: LogPage) {
        let as_of = page.events.last().map(|event| event.recorded_at);
        self.ready.extend(page.events.into_iter().map(|event| Ready { from: None, event }));
        self.through = page.through;
        for lane in &mut self.lanes {
            lane.pass(page.through, as_of);
        }
        self.as_of = self.as_of.max(as_of);
    }

    /// Moves on to the least position that every partition has been read to.
    fn advance(&mut self) {
        let Some(least) = self.lanes.iter().map(Lane::have).min() else { return };
        if least > self.through {
            let mut ready = Vec::new();
            for (index, lane) in self.lanes.iter_mut().enumerate() {
                let due = lane.up_to(least);
                ready.extend(
                    due.map(|Ahead { offset, event }| Ready { from: Some((index, offset)), event }),
                );
            }
            ready.sort_by_key(|ready| ready.event.position);
            self.ready.extend(ready);
            self.through = least;
        }
        if least == self.through {
            let known =
                self.lanes.iter().filter(|lane| lane.have() == least).filter_map(Lane::as_of);
            self.as_of = self.as_of.max(known.max());
        }
    }

    fn events(&mut self, limit: usize, now: Instant) -> FeedPage {
        let count = limit.min(self.ready.len());
        let mut events = Vec::with_capacity(count);
        for Ready { from, event } in self.ready.drain(..count) {
            if let Some((lane, offset)) = from {
                self.lanes[lane].delivered(Seen { offset, position: event.position });
            }
            events.push(event);
        }
        let (through, as_of) = match (self.ready.is_empty(), events.last()) {
            (false, Some(last)) => (last.position, Some(last.recorded_at)),
            _ => (self.through, self.as_of),
        };
        self.say(events, through, as_of, now)
    }

    fn say(
        &mut self,
        events: Vec<Envelope>,
        through: Position,
        as_of: Option<Timestamp>,
        now: Instant,
    ) -> FeedPage {
        let is_news = as_of > self.said.as_of;
        let as_of = as_of.filter(|_| is_news);
        self.said = Said { position: through, as_of: as_of.or(self.said.as_of), at: Some(now) };
        let offsets = Offsets::of(&self.lanes, through);
        let more = !self.ready.is_empty() || self.missing().is_some();
        FeedPage { events, through, as_of, cursor: offsets.to_cursor(), more }
    }
}
