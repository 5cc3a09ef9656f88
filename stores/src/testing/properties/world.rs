//! Runs a script on the store under test and on a memory store as the model.

use std::sync::Arc;

use highwater_core::{
    Category, Code, Envelope, Error, Position, Query, QueryItem, ReadFrom, StreamId, Tag, Tags,
    Version,
    error::{Actual, Conflict},
    port::{Append, AppendFuture, Appended, Condition, EventStore as _, LogPage, NewEvent},
    value::Expected,
};
use jiff::Timestamp;
use proptest::{prelude::*, test_runner::TestCaseError};

use super::script::{Identity, PageRead, Part, RelativeExpectation, Step, Watch};
use crate::{
    MemoryStore,
    testing::{
        Store,
        build::{OTHER_FINGERPRINT, empty, event_id, stream_of, typed},
        read,
    },
};

/// A case. The model is new for each case while the store under test continues, so every position
/// in the store is `base` more than in the model, and the streams belong to a category of the case.
pub(super) struct World {
    store: Arc<dyn Store>,
    model: MemoryStore,
    base: u64,
    category: Category,
    /// The appends, as the model received them.
    sent: Vec<Append>,
    /// The appends that were called and not yet awaited, with their expected outcomes.
    called: Vec<(AppendFuture, Outcome)>,
}

/// The comparable part of an outcome, with the positions of the model.
#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    Appended(Appended),
    Conflict(Conflict),
    /// A conflict. Where several expectations are unmet, the store may report any of them.
    SomeConflict,
    Failed(Code),
}

impl World {
    pub(super) async fn new(store: Arc<dyn Store>) -> Self {
        let base = store.head().await.unwrap().get();
        let category = Category::new(&format!("case{base}")).unwrap();
        let model = MemoryStore::default();
        let sent = Vec::new();
        let called = Vec::new();
        Self { store, model, base, category, sent, called }
    }

    /// Calls one append: first on the model, which responds immediately.
    pub(super) async fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let append = self.draw(step).await;
        let expected = outcome(self.model.append(append.clone()).await, &append, 0);
        let mut for_store = append.clone();
        if let Some(condition) = &mut for_store.condition {
            condition.after = self.to_store(condition.after);
        }
        self.called.push((self.store.append(for_store), expected));
        self.sent.push(append);
        if step.settles { self.settle().await } else { Ok(()) }
    }

    /// Awaits all appends that have been called.
    pub(super) async fn settle(&mut self) -> Result<(), TestCaseError> {
        let first = self.sent.len() - self.called.len();
        for (index, (called, expected)) in std::mem::take(&mut self.called).into_iter().enumerate()
        {
            let append = &self.sent[first + index];
            let found = outcome(called.await, append, self.base);
            prop_assert_eq!(found, expected, "append {} is {:?}", first + index, append);
        }
        Ok(())
    }

    async fn draw(&self, step: &Step) -> Append {
        match &step.identity {
            Identity::Repeat(index) if !self.sent.is_empty() => index.get(&self.sent).clone(),
            Identity::Reuse(index) if !self.sent.is_empty() => {
                let command = index.get(&self.sent).command;
                Append { command, fingerprint: OTHER_FINGERPRINT, ..self.draw_new(step).await }
            }
            _ => self.draw_new(step).await,
        }
    }

    async fn draw_new(&self, step: &Step) -> Append {
        let mut append = empty();
        for (number, part) in step.parts.iter().enumerate() {
            if let Some(Part { expectation, tags }) = part {
                let stream = self.stream(number);
                let expected = expected(*expectation, self.actual(&stream).await);
                append = append.stream(stream, expected, tags.iter().map(|n| drawn(*n)).collect());
            }
        }
        let head = self.model.head().await.unwrap().get();
        append.condition = step.watch.as_ref().map(|Watch { kind, behind }| {
            let query = if *kind == 0 { Query::all() } else { self.query(*kind) };
            Condition::new(query, Position::new(head.saturating_sub(*behind)))
        });
        append
    }

    fn stream(&self, number: usize) -> StreamId {
        stream_of(self.category.as_str(), &number.to_string())
    }

    async fn actual(&self, stream: &StreamId) -> Actual {
        let last = ReadFrom::Before(Version::END);
        let page = self.model.read_stream(stream, last, 1).await.unwrap();
        page.events.last().map_or_else(Actual::default, |event| Actual {
            version: event.version,
            head: Some(event.id),
        })
    }

    /// Returns one of [`KINDS`](super::script::KINDS) queries over the streams of this case.
    fn query(&self, kind: u8) -> Query {
        let item = |types: &[&str], tags: Tags| {
            let types = types.iter().map(|name| (*name).to_owned()).collect();
            Query::from(QueryItem { categories: vec![self.category.clone()], types, tags })
        };
        match kind {
            0 => item(&[], Tags::none()),
            1 => item(&[], tags(1)),
            2 => item(&[], tags(3)),
            3 => item(&[TYPES[1]], Tags::none()),
            4 => item(&[TYPES[0]], tags(2)),
            _ => item(&[TYPES[0]], tags(2)).or(item(&["none", TYPES[1]], tags(1))),
        }
    }

    fn to_store(&self, position: Position) -> Position {
        Position::new(position.get() + self.base)
    }

    pub(super) async fn compare_logs(&self) -> Result<(), TestCaseError> {
        let after = ReadFrom::After(self.to_store(Position::START));
        let log = read::log_by(&*self.store, &Query::all(), after, 7).await;
        let modelled = read::log(&self.model, &Query::all()).await;
        prop_assert_eq!(timeless(log, self.base), timeless(modelled, 0));
        for number in 0..3 {
            let stream = self.stream(number);
            let events = read::stream(&*self.store, &stream).await;
            let modelled = read::stream(&self.model, &stream).await;
            prop_assert_eq!(timeless(events, self.base), timeless(modelled, 0));
        }
        Ok(())
    }

    /// Reads one page from the store and from the model, and compares them.
    pub(super) async fn compare_page(&self, read: &PageRead) -> Result<(), TestCaseError> {
        let head = self.model.head().await.unwrap().get();
        let from = Position::new(read.from.index(head as usize + 2) as u64);
        let bound = if read.backward { ReadFrom::Before } else { ReadFrom::After };
        let query = self.query(read.kind);
        let page =
            self.store.read_log(&query, bound(self.to_store(from)), read.limit).await.unwrap();
        let modelled = self.model.read_log(&query, bound(from), read.limit).await.unwrap();
        let full = modelled.events.len() == read.limit;
        prop_assert_eq!(
            timeless(page.events.clone(), self.base),
            timeless(modelled.events.clone(), 0)
        );
        // A full page may or may not know that it is the last.
        let ends = |page: &LogPage, base| (to_model(page.through, base), page.more);
        prop_assert!(full || ends(&page, self.base) == ends(&modelled, 0), "{page:?} {modelled:?}");
        Ok(())
    }
}

const TYPES: [&str; 2] = ["model.even", "model.odd"];

/// Creates an event whose type and tags follow from the number.
fn drawn(number: u8) -> NewEvent {
    NewEvent { tags: tags(number), id: event_id(), ..typed(TYPES[usize::from(number % 2)]) }
}

/// Returns a tag for each of the two bits.
fn tags(number: u8) -> Tags {
    (0..2).filter(|bit| number & (1 << bit) != 0).map(|bit| Tag::new("bit", bit)).collect()
}

fn expected(expectation: RelativeExpectation, actual: Actual) -> Expected {
    let version = |by: i64| Version::new(actual.version.get().saturating_add_signed(by));
    match expectation {
        RelativeExpectation::Any => Expected::Any,
        RelativeExpectation::NoStream => Expected::NoStream,
        RelativeExpectation::Exists => Expected::StreamExists,
        RelativeExpectation::Version(by) => Expected::Version(version(by)),
        RelativeExpectation::Head(by) => match actual.head {
            Some(head) => Expected::Head(version(by), head),
            None => Expected::NoStream,
        },
        RelativeExpectation::StrangeHead => Expected::Head(actual.version, event_id()),
    }
}

fn to_model(position: Position, base: u64) -> Position {
    Position::new(position.get().saturating_sub(base))
}

fn outcome(answer: Result<Appended, Error>, append: &Append, base: u64) -> Outcome {
    let checks = append.streams.len() + usize::from(append.condition.is_some());
    match answer {
        Ok(appended) => {
            Outcome::Appended(Appended { position: to_model(appended.position, base), ..appended })
        }
        Err(Error::Conflict(conflict)) if checks == 1 => Outcome::Conflict(match *conflict {
            Conflict::Boundary { after, found } => {
                Conflict::Boundary { after: to_model(after, base), found: to_model(found, base) }
            }
            other => other,
        }),
        Err(Error::Conflict(_)) => Outcome::SomeConflict,
        Err(error) => Outcome::Failed(error.code()),
    }
}

/// Returns the events with the positions of the model, without their times.
fn timeless(events: Vec<Envelope>, base: u64) -> Vec<Envelope> {
    let timeless = |event: Envelope| Envelope {
        position: to_model(event.position, base),
        recorded_at: Timestamp::UNIX_EPOCH,
        ..event
    };
    events.into_iter().map(timeless).collect()
}
