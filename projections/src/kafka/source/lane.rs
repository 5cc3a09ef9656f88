//! One partition: what has been read of it, and whether events are missing before that. Without I/O.
//!
//! Every record names the event before it in its partition. So a reader sees from each record by itself
//! whether events are missing, even if the topic was truncated or recreated; offsets only save work.

use std::{cmp::Ordering, collections::VecDeque, sync::Arc};

use highwater_core::{Envelope, Error, Position};
use jiff::Timestamp;

use super::resume::ResumePoint;

/// The place of a record in the chain of its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChainLink {
    pub(super) position: Position,
    pub(super) previous: Position,
    pub(super) time: Timestamp,
}

/// The cause of a gap in the chain, as far as the offsets show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum GapCause {
    /// The next record of the partition isn't the next of its chain.
    RecordsMissing,
    /// The records before it are gone: by the retention, or because they were deleted.
    Truncated,
    /// The partition ends before the offset that was read last, or another record is there now.
    TopicRecreated,
}

impl GapCause {
    /// Compares the offset of a record with the expected one, or the first.
    fn at(offset: i64, expected: Option<i64>) -> Self {
        match offset.cmp(&expected.unwrap_or(0)) {
            Ordering::Equal => Self::RecordsMissing,
            Ordering::Greater => Self::Truncated,
            Ordering::Less => Self::TopicRecreated,
        }
    }
}

/// A record, and the cause of a gap before it, if there is one.
#[derive(Debug)]
struct LinkedRecord {
    offset: i64,
    link: ChainLink,
    event: Option<Envelope>,
    cause: GapCause,
}

/// An event that has been read and not delivered.
#[derive(Debug)]
pub(super) struct BufferedEvent {
    pub(super) offset: i64,
    pub(super) event: Envelope,
}

/// The limit of a partition's buffer in bytes, beside the queue of the client.
const MAX_BUFFERED_BYTES: usize = 4 << 20;

/// A partition, as far as it has been read.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// The position up to which the partition is complete: its events are buffered or were delivered.
    complete_to: Position,
    /// A time at which the log ended there at the latest; `None` until it is known.
    as_of: Option<Timestamp>,
    events: VecDeque<BufferedEvent>,
    bytes: usize,
    /// A record before which events are missing.
    after_gap: Option<LinkedRecord>,
    /// The error because of which the partition is read no further.
    refused: Option<Error>,
    /// True if the refused record is of a stream that belongs in another partition.
    is_misplaced: bool,
    /// The offset after the last record that has been read.
    next: Option<i64>,
    /// The record that is read again at first, to recognise the topic.
    expected: Option<ResumePoint>,
    /// The last record that has been read.
    read: Option<ResumePoint>,
    /// The record that completes the partition to `complete_to`.
    completing: Option<ResumePoint>,
    /// The last event that has been delivered.
    delivered: Option<ResumePoint>,
    /// The number of events that have been read and not delivered.
    outstanding: usize,
    /// The number of events that were read again.
    repeats: u64,
}

impl Lane {
    /// Creates the lane of a partition that is complete to a position, to be read from a record that has
    /// been read before.
    pub(super) fn new(
        topic: Arc<str>,
        partition: i32,
        complete_to: Position,
        resume: Option<ResumePoint>,
    ) -> Self {
        Self {
            topic,
            partition,
            complete_to,
            as_of: None,
            events: VecDeque::new(),
            bytes: 0,
            after_gap: None,
            refused: None,
            is_misplaced: false,
            next: resume.map(|resume| resume.offset),
            expected: resume,
            read: resume,
            completing: None,
            delivered: resume,
            outstanding: 0,
            repeats: 0,
        }
    }

    pub(super) fn complete_to(&self) -> Position {
        self.complete_to
    }

    pub(super) fn as_of(&self) -> Option<Timestamp> {
        self.as_of
    }

    /// Returns the last event of the gap, and its cause; `None` if there is no gap.
    pub(super) fn missing(&self) -> Option<(Position, GapCause)> {
        self.after_gap.as_ref().map(|record| (record.link.previous, record.cause))
    }

    /// Takes the number of events that were read again since the last call.
    pub(super) fn take_repeats(&mut self) -> u64 {
        std::mem::take(&mut self.repeats)
    }

    pub(super) fn refused(&self) -> Option<&Error> {
        self.refused.as_ref()
    }

    /// Stops reading the partition. A worker that is restarted begins with this record again.
    pub(super) fn refuse(&mut self, error: Error) {
        self.refused = Some(error);
        self.is_misplaced = false;
    }

    /// Stops reading the partition before a record of a stream that belongs in another one.
    pub(super) fn refuse_misplaced(&mut self, error: Error) {
        self.refused = Some(error);
        self.is_misplaced = true;
    }

    pub(super) fn is_misplaced(&self) -> bool {
        self.is_misplaced
    }

    /// Returns true if the partition must not be read now: enough is buffered, or events are missing.
    pub(super) fn is_full(&self, events: usize) -> bool {
        self.events.len() >= events
            || self.bytes >= MAX_BUFFERED_BYTES
            || self.after_gap.is_some()
            || self.refused.is_some()
    }

    /// Adds a record, with its event if it passes the filter of the view.
    pub(super) fn add(&mut self, offset: i64, link: ChainLink, event: Option<Envelope>) {
        let point = ResumePoint { offset, position: link.position };
        let cause = GapCause::at(offset, self.next.replace(offset + 1));
        self.read = Some(point);
        let cause = match self.expected.take() {
            Some(expected) if expected == point && link.position <= self.complete_to => return,
            Some(expected) if expected != point && expected.offset == offset => {
                GapCause::TopicRecreated
            }
            _ => cause,
        };
        self.append(LinkedRecord { offset, link, event, cause });
    }

    /// Skips a record that no relay has published.
    pub(super) fn skip(&mut self, offset: i64) {
        self.next = Some(offset + 1);
    }

    /// Appends a record to the chain, or keeps it until the gap before it is filled.
    fn append(&mut self, record: LinkedRecord) {
        let LinkedRecord { offset, link, event, cause } = record;
        if link.position <= self.complete_to {
            // An event that is read again; or a mark that says that there is still nothing new.
            self.repeats += u64::from(event.is_some());
            if link.position == self.complete_to && event.is_none() {
                self.as_of = self.as_of.max(Some(link.time));
            }
            return;
        }
        if link.previous > self.complete_to {
            self.after_gap = Some(LinkedRecord { offset, link, event, cause });
            return;
        }
        self.complete_to = link.position;
        self.completing = Some(ResumePoint { offset, position: link.position });
        self.as_of = self.as_of.max(Some(link.time));
        if let Some(event) = event {
            self.bytes += size(&event);
            self.outstanding += 1;
            self.events.push_back(BufferedEvent { offset, event });
        }
    }

    /// Skips everything up to a position, which has been delivered from the log.
    pub(super) fn skip_to(&mut self, through: Position, as_of: Option<Timestamp>) {
        let count = self.events.partition_point(|buffered| buffered.event.position <= through);
        self.bytes -=
            self.events.drain(..count).map(|buffered| size(&buffered.event)).sum::<usize>();
        self.outstanding -= count;
        if through > self.complete_to {
            self.complete_to = through;
            self.as_of = self.as_of.max(as_of);
        }
        if let Some(record) = self.after_gap.take() {
            self.append(record);
        }
    }

    /// Takes the events up to a position, to deliver them.
    pub(super) fn take_up_to(
        &mut self,
        position: Position,
    ) -> impl Iterator<Item = BufferedEvent> + '_ {
        let count = self.events.partition_point(|buffered| buffered.event.position <= position);
        let bytes = &mut self.bytes;
        self.events.drain(..count).inspect(move |buffered| *bytes -= size(&buffered.event))
    }

    /// Notes that an event has been delivered.
    pub(super) fn delivered(&mut self, event: ResumePoint) {
        self.delivered = Some(event);
        self.outstanding -= 1;
    }

    /// Returns the record to resume from if everything up to a position has been delivered. A record that
    /// says that there is nothing in between is read again; one that is too early gives repeats.
    pub(super) fn resume(&self, delivered: Position) -> Option<ResumePoint> {
        match self.outstanding == 0 && self.after_gap.is_none() {
            true if self.complete_to > delivered => self.completing,
            true => self.read,
            false => self.delivered,
        }
    }
}

fn size(event: &Envelope) -> usize {
    event.payload.len() + event.raw_metadata.len() + event.stream.as_str().len() + 200
}
