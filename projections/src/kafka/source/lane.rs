//! One partition: what has been read of it, and whether anything is missing before that.
//!
//! Every record says which event comes before it in its partition. So a reader sees from each record
//! by itself whether it lacks anything, whatever has become of the topic; offsets only spare work.

use std::{cmp::Ordering, collections::VecDeque, sync::Arc};

use highwater_core::{Envelope, Error, Position};
use jiff::Timestamp;

use super::offsets::Seen;

/// A record without its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) position: Position,
    pub(super) previous: Position,
    pub(super) time: Timestamp,
}

/// Why a partition lacks something, as far as its offsets tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lack {
    /// The record that comes next in the partition isn't the next of its chain.
    Lost,
    /// Records before it are gone.
    Forgotten,
    /// The partition ends before where it was read last, or another record stands there now.
    MadeAnew,
}

impl Lack {
    /// If this record was found where another offset was to be read, or the first.
    fn of(offset: i64, wanted: Option<i64>) -> Self {
        match offset.cmp(&wanted.unwrap_or(0)) {
            Ordering::Equal => Self::Lost,
            Ordering::Greater => Self::Forgotten,
            Ordering::Less => Self::MadeAnew,
        }
    }
}

/// A record, and what it means if something is missing before it.
#[derive(Debug)]
struct Found {
    offset: i64,
    link: Link,
    event: Option<Envelope>,
    why: Lack,
}

/// An event that has been read and not been delivered.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) offset: i64,
    pub(super) event: Envelope,
}

/// How much of a partition may lie in memory at a time, beside what the client holds.
const BYTES: usize = 4 << 20;

/// A partition as far as it has been read.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// Every event up to here that belongs in this partition is here or was before.
    have: Position,
    /// As of when that is all; `None` until it is known.
    as_of: Option<Timestamp>,
    events: VecDeque<Ahead>,
    bytes: usize,
    /// A record before which something is missing.
    gap: Option<Found>,
    /// Why the partition is read no further.
    refused: Option<Error>,
    /// The offset after the last record that has been read.
    next: Option<i64>,
    /// What is read again, to know the topic by.
    known: Option<Seen>,
    /// The last record that has been read.
    read: Option<Seen>,
    /// The record that says how far this is.
    last: Option<Seen>,
    /// The last event that has been delivered.
    delivered: Option<Seen>,
    /// How many events have been read and not been delivered.
    outstanding: usize,
    /// How many events came again.
    repeats: u64,
}

impl Lane {
    /// A partition up to a position, to be read from a record on that has been read before.
    pub(super) fn new(
        topic: Arc<str>,
        partition: i32,
        have: Position,
        known: Option<Seen>,
    ) -> Self {
        Self {
            topic,
            partition,
            have,
            as_of: None,
            events: VecDeque::new(),
            bytes: 0,
            gap: None,
            refused: None,
            next: known.map(|known| known.offset),
            known,
            read: known,
            last: None,
            delivered: known,
            outstanding: 0,
            repeats: 0,
        }
    }

    pub(super) fn have(&self) -> Position {
        self.have
    }

    pub(super) fn as_of(&self) -> Option<Timestamp> {
        self.as_of
    }

    /// The event before the record that can't be taken yet, and why it isn't here.
    pub(super) fn missing(&self) -> Option<(Position, Lack)> {
        self.gap.as_ref().map(|gap| (gap.link.previous, gap.why))
    }

    /// How many events came again since this was asked last.
    pub(super) fn repeats(&mut self) -> u64 {
        std::mem::take(&mut self.repeats)
    }

    pub(super) fn refused(&self) -> Option<&Error> {
        self.refused.as_ref()
    }

    /// Reads no further. A worker that is started anew begins with this record again.
    pub(super) fn refuse(&mut self, error: Error) {
        self.refused = Some(error);
    }

    /// Whether it is not to be read now: enough is here, or something is missing.
    pub(super) fn is_full(&self, events: usize) -> bool {
        self.events.len() >= events
            || self.bytes >= BYTES
            || self.gap.is_some()
            || self.refused.is_some()
    }

    /// Takes a record, with its event if the view wants it.
    pub(super) fn take(&mut self, offset: i64, link: Link, event: Option<Envelope>) {
        let seen = Seen { offset, position: link.position };
        let lack = Lack::of(offset, self.next.replace(offset + 1));
        self.read = Some(seen);
        let why = match self.known.take() {
            Some(known) if known == seen && link.position <= self.have => return,
            Some(known) if known != seen && known.offset == offset => Lack::MadeAnew,
            _ => lack,
        };
        self.link(Found { offset, link, event, why });
    }

    /// Passes over a record that is not of a relay.
    pub(super) fn skip(&mut self, offset: i64) {
        self.next = Some(offset + 1);
    }

    fn link(&mut self, record: Found) {
        let Found { offset, link, event, why } = record;
        if link.position <= self.have {
            // A repeat; or a mark that says that there is still nothing new.
            self.repeats += u64::from(event.is_some());
            if link.position == self.have && event.is_none() {
                self.as_of = self.as_of.max(Some(link.time));
            }
            return;
        }
        if link.previous > self.have {
            self.gap = Some(Found { offset, link, event, why });
            return;
        }
        self.have = link.position;
        self.last = Some(Seen { offset, position: link.position });
        self.as_of = self.as_of.max(Some(link.time));
        if let Some(event) = event {
            self.bytes += size(&event);
            self.outstanding += 1;
            self.events.push_back(Ahead { offset, event });
        }
    }

    /// Everything up to here has been delivered from elsewhere.
    pub(super) fn pass(&mut self, through: Position, as_of: Option<Timestamp>) {
        let here = self.events.partition_point(|ahead| ahead.event.position <= through);
        self.bytes -= self.events.drain(..here).map(|ahead| size(&ahead.event)).sum::<usize>();
        self.outstanding -= here;
        if through > self.have {
            self.have = through;
            self.as_of = self.as_of.max(as_of);
        }
        if let Some(record) = self.gap.take() {
            self.link(record);
        }
    }

    /// The events up to a position, to be delivered.
    pub(super) fn up_to(&mut self, position: Position) -> impl Iterator<Item = Ahead> + '_ {
        let here = self.events.partition_point(|ahead| ahead.event.position <= position);
        let bytes = &mut self.bytes;
        self.events.drain(..here).inspect(move |ahead| *bytes -= size(&ahead.event))
    }

    /// An event has been delivered.
    pub(super) fn delivered(&mut self, event: Seen) {
        self.delivered = Some(event);
        self.outstanding -= 1;
    }

    /// The record to begin with when it is read anew after everything up to a position has been
    /// delivered. What says that there is nothing between is read again; too early a one gives repeats.
    pub(super) fn resume(&self, delivered: Position) -> Option<Seen> {
        match self.outstanding == 0 && self.gap.is_none() {
            true if self.have > delivered => self.last,
            true => self.read,
            false => self.delivered,
        }
    }
}

fn size(event: &Envelope) -> usize {
    event.payload.len() + event.raw_metadata.len() + event.stream.as_str().len() + 200
}
