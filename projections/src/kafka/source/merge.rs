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
    lane::{BufferedEvent, GapCause, Lane},
    resume::{ResumePoint, ResumePoints},
};

/// The shortest interval between pages that only move the position.
const POSITION_INTERVAL: Duration = Duration::from_millis(50);
/// The interval between pages that only say that the view is still current.
const CURRENT_INTERVAL: Duration = Duration::from_secs(1);

/// Partitions, delivered up to the position that all of them have been read to.
pub(super) struct Merge {
    pub(super) lanes: Vec<Lane>,
    /// The position up to which everything is in `ready` or has been delivered.
    through: Position,
    as_of: Option<Timestamp>,
    ready: VecDeque<ReadyEvent>,
    last_page: LastPage,
}

/// The progress that the last page has given, and when.
struct LastPage {
    through: Position,
    as_of: Option<Timestamp>,
    at: Option<Instant>,
}

/// An event that is next in log order.
struct ReadyEvent {
    /// The lane that it came from, and its offset; `None` if it came from the store.
    from: Option<(usize, i64)>,
    event: Envelope,
}

impl Merge {
    pub(super) fn new(lanes: Vec<Lane>, from: Position, as_of: Timestamp) -> Self {
        let last_page = LastPage { through: from, as_of: Some(as_of), at: None };
        Self { lanes, through: from, as_of: None, ready: VecDeque::new(), last_page }
    }

    /// Returns the position up to which everything is ready or has been delivered.
    pub(super) fn through(&self) -> Position {
        self.through
    }

    /// Returns the next page, if there is one now.
    pub(super) fn page(&mut self, limit: usize, now: Instant) -> Option<FeedPage> {
        self.advance();
        if !self.ready.is_empty() {
            return Some(self.page_of_events(limit.max(1), now));
        }
        let due = self.until_due(now)?;
        due.is_zero().then(|| self.finish_page(Vec::new(), self.through, self.as_of, now))
    }

    /// Returns the time until a page without events is due; `None` if it would say nothing new.
    pub(super) fn until_due(&self, now: Instant) -> Option<Duration> {
        let interval = if self.through > self.last_page.through {
            POSITION_INTERVAL
        } else if self.as_of > self.last_page.as_of {
            CURRENT_INTERVAL
        } else {
            return None;
        };
        let since = self.last_page.at.map(|at| now.saturating_duration_since(at));
        Some(since.map_or(Duration::ZERO, |since| interval.saturating_sub(since)))
    }

    /// Returns the last event of the gaps, and their cause; `None` if the partitions can be read on.
    pub(super) fn missing(&self) -> Option<(Position, GapCause)> {
        let is_behind = |lane: &&Lane| lane.complete_to() <= self.through;
        let missing = self.lanes.iter().filter(is_behind).filter_map(Lane::missing);
        // If one partition shows more of the cause than another, it holds for all.
        missing.reduce(|(to, cause), (other, because)| (to.max(other), cause.max(because)))
    }

    /// Adds a page of the log that follows what is ready or has been delivered.
    pub(super) fn fill(&mut self, page: LogPage) {
        let as_of = page.events.last().map(|event| event.recorded_at);
        self.ready.extend(page.events.into_iter().map(|event| ReadyEvent { from: None, event }));
        self.through = page.through;
        for lane in &mut self.lanes {
            lane.skip_to(page.through, as_of);
        }
        self.as_of = self.as_of.max(as_of);
    }

    /// Moves on to the lowest position that every partition has been read to.
    fn advance(&mut self) {
        let Some(lowest) = self.lanes.iter().map(Lane::complete_to).min() else { return };
        if lowest > self.through {
            let mut ready = Vec::new();
            for (index, lane) in self.lanes.iter_mut().enumerate() {
                let due = lane.take_up_to(lowest);
                ready.extend(due.map(|BufferedEvent { offset, event }| ReadyEvent {
                    from: Some((index, offset)),
                    event,
                }));
            }
            ready.sort_by_key(|ready| ready.event.position);
            self.ready.extend(ready);
            self.through = lowest;
        }
        if lowest == self.through {
            let lanes = self.lanes.iter().filter(|lane| lane.complete_to() == lowest);
            self.as_of = self.as_of.max(lanes.filter_map(Lane::as_of).max());
        }
    }

    fn page_of_events(&mut self, limit: usize, now: Instant) -> FeedPage {
        let count = limit.min(self.ready.len());
        let mut events = Vec::with_capacity(count);
        for ReadyEvent { from, event } in self.ready.drain(..count) {
            if let Some((lane, offset)) = from {
                self.lanes[lane].delivered(ResumePoint { offset, position: event.position });
            }
            events.push(event);
        }
        let (through, as_of) = match (self.ready.is_empty(), events.last()) {
            (false, Some(last)) => (last.position, Some(last.recorded_at)),
            _ => (self.through, self.as_of),
        };
        self.finish_page(events, through, as_of, now)
    }

    fn finish_page(
        &mut self,
        events: Vec<Envelope>,
        through: Position,
        as_of: Option<Timestamp>,
        now: Instant,
    ) -> FeedPage {
        let as_of = as_of.filter(|_| as_of > self.last_page.as_of);
        let last_as_of = as_of.or(self.last_page.as_of);
        self.last_page = LastPage { through, as_of: last_as_of, at: Some(now) };
        let more = !self.ready.is_empty() || self.missing().is_some();
        FeedPage { events, through, as_of, cursor: self.resume_points(through).to_cursor(), more }
    }

    /// Returns where to resume if everything up to a position has been delivered.
    fn resume_points(&self, delivered: Position) -> ResumePoints {
        let mut points = ResumePoints::default();
        for lane in &self.lanes {
            if let Some(point) = lane.resume(delivered) {
                points.insert(&lane.topic, lane.partition, point);
            }
        }
        points
    }
}
