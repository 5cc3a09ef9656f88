//! The order of the log, and the types of its events.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use highwater::{
    Code, Envelope, Position, Query, Result, StreamId,
    port::{EventStore, ReadFrom},
    stores::examine::StoreFinding,
};
use jiff::Timestamp;
use serde::Serialize;

use super::super::PAGE;
use crate::output::counted;

/// The number of faults of one kind that are named.
const NAMED: usize = 5;

/// The events that were read, and what is wrong with them.
#[derive(Serialize)]
pub(super) struct LogScan {
    pub(super) from: u64,
    pub(super) through: u64,
    pub(super) head: u64,
    pub(super) types: Vec<EventTypeCount>,
    #[serde(skip)]
    pub(super) findings: Vec<StoreFinding>,
}

/// A type and a schema version of events.
#[derive(Serialize)]
pub(super) struct EventTypeCount {
    #[serde(rename = "type")]
    pub(super) type_name: String,
    pub(super) schema_version: u32,
    pub(super) events: u64,
}

/// The events up to here. It keeps a number for each stream.
struct LogOrder {
    is_complete: bool,
    last: Position,
    recorded_at: Timestamp,
    versions: HashMap<StreamId, u64>,
    types: BTreeMap<(Arc<str>, u32), u64>,
    gaps: NamedFaults,
    holes: NamedFaults,
    times: NamedFaults,
}

impl LogScan {
    /// Reads the last events, at most so many.
    pub(super) async fn read(log: &Arc<dyn EventStore>, sample: u64) -> Result<Self> {
        let head = log.head().await?;
        let before = Position::new(head.get().saturating_sub(sample));
        let mut order = LogOrder::after(before);
        let mut end = None;
        while order.last < head && end.is_none() {
            end = order.read_page(log, head).await;
        }
        if end.is_none() {
            order.expect(Position::new(head.get() + 1));
        }
        let through = order.last.get();
        let (types, mut findings) = order.into_result();
        findings.extend(end);
        Ok(Self { from: before.get() + 1, through, head: head.get(), types, findings })
    }
}

impl LogOrder {
    fn after(before: Position) -> Self {
        Self {
            is_complete: before == Position::START,
            last: before,
            recorded_at: Timestamp::MIN,
            versions: HashMap::new(),
            types: BTreeMap::new(),
            gaps: NamedFaults::default(),
            holes: NamedFaults::default(),
            times: NamedFaults::default(),
        }
    }

    /// Reads a page up to the head. Returns the reason for which no more can be read.
    async fn read_page(
        &mut self,
        log: &Arc<dyn EventStore>,
        head: Position,
    ) -> Option<StoreFinding> {
        let page = match log.read_log(&Query::all(), ReadFrom::After(self.last), PAGE).await {
            Ok(page) => page,
            Err(error) => return Some(self.unreadable(&error)),
        };
        let before = self.last;
        for event in page.events.iter().filter(|event| event.position <= head) {
            self.add(event);
        }
        if self.last == before {
            self.expect(Position::new(head.get() + 1));
            self.last = head;
        }
        None
    }

    fn unreadable(&self, error: &highwater::Error) -> StoreFinding {
        let finding = StoreFinding::of(error);
        let message =
            format!("the log can't be read after position {}: {}", self.last, finding.message);
        StoreFinding { message, ..finding }
    }

    fn add(&mut self, event: &Envelope) {
        self.expect(event.position);
        self.last = event.position;
        self.add_version(event);
        if event.recorded_at < self.recorded_at {
            let Envelope { position, recorded_at, .. } = event;
            let earlier = self.recorded_at;
            self.times.add(|| format!("{recorded_at} at position {position}, after {earlier}"));
        }
        self.recorded_at = self.recorded_at.max(event.recorded_at);
        let of_type = (Arc::clone(&event.type_name), event.schema_version.get());
        *self.types.entry(of_type).or_default() += 1;
    }

    /// Notices positions without an event before the next one.
    fn expect(&mut self, next: Position) {
        let first = self.last.get() + 1;
        match next.get().saturating_sub(first) {
            0 => {}
            1 => self.gaps.add(|| first.to_string()),
            _ => self.gaps.add(|| format!("{first} to {}", next.get() - 1)),
        }
    }

    /// Notices versions that are missing or repeated. Of a sample, the first event of a stream may have any.
    fn add_version(&mut self, event: &Envelope) {
        let Envelope { stream, version, position, .. } = event;
        let found = version.get();
        let before = match self.versions.get_mut(stream) {
            Some(version) => std::mem::replace(version, found),
            None => {
                self.versions.insert(stream.clone(), found);
                if self.is_complete { 0 } else { found.saturating_sub(1) }
            }
        };
        if before + 1 != found {
            self.holes.add(|| {
                format!(
                    "{stream} has version {found} after version {before} at position {position}"
                )
            });
        }
    }

    fn into_result(self) -> (Vec<EventTypeCount>, Vec<StoreFinding>) {
        let types = self.types.into_iter().map(|((type_name, schema_version), events)| {
            EventTypeCount { type_name: type_name.as_ref().to_owned(), schema_version, events }
        });
        let to_do = "stop writing, keep a copy of the database, find out what else writes to its tables, and restore a backup";
        let broken = |message| StoreFinding::error(message, to_do).with_code(Code::CORRUPT_LOG);
        let findings = [
            self.gaps.text("the log has no event at").map(broken),
            self.holes.text("streams have holes:").map(broken),
            self.times.text("the times of events go back:").map(|message| {
                let to_do = "find out what else writes to the tables; reads as of a time may miss these events";
                StoreFinding::warning(message, to_do).with_code(Code::CORRUPT_LOG)
            }),
        ];
        (types.collect(), findings.into_iter().flatten().collect())
    }
}

/// Faults of one kind. The first ones are named.
#[derive(Default)]
struct NamedFaults {
    named: Vec<String>,
    more: u64,
}

impl NamedFaults {
    fn add(&mut self, name: impl FnOnce() -> String) {
        if self.named.len() < NAMED {
            self.named.push(name());
        } else {
            self.more += 1;
        }
    }

    fn text(&self, begin: &str) -> Option<String> {
        let named = self.named.join(", ");
        match (self.named.is_empty(), self.more) {
            (true, _) => None,
            (false, 0) => Some(format!("{begin} {named}")),
            (false, more) => {
                Some(format!("{begin} {named}, and at {} more", counted(more, "place")))
            }
        }
    }
}
