//! The events that made a row, step by step.

use std::{
    collections::VecDeque,
    fmt::{self, Display},
    future::IntoFuture,
};

use futures_util::future::BoxFuture;
use highwater_core::{
    Envelope, Error, Position, Query, ReadFrom, Result, StreamId, Version,
    domain::{KeyedBy, View},
    value::Timestamp,
};
use serde_json::Value;

use super::snapshot::read_snapshot;
use crate::{
    projection::{FieldChange, LogFold, changes, encode_folded, position_of, shown},
    read::{RowScope, ViewReader, ViewSource},
};

/// The number of events that are read at a time.
const PAGE_SIZE: usize = 1_000;
/// The number of steps that are kept, unless another one is set.
const STEPS: usize = 1_000;

/// The events that made a row, and what each changed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RowHistory {
    /// The key of the row.
    pub key: String,
    /// The last steps, in log order.
    pub steps: Vec<RowStep>,
    /// The number of earlier steps, which are not among these.
    pub earlier_steps: u64,
    /// The position up to which the log was folded: that of the stored row, unless another one was set.
    pub position: Position,
    /// The row as it is folded from the log.
    pub row: Option<Value>,
    /// The row as it is stored now; a text if it is not JSON.
    pub stored: Option<Value>,
    /// The first event that is not in the stored row, if the key is parked (R4).
    pub parked_since: Option<Position>,
}

/// One event of a row, and what it changed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RowStep {
    /// The position of the event.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// Its version in the stream.
    pub version: Version,
    /// Its type.
    pub type_name: String,
    /// The time at which it was recorded.
    pub recorded_at: Timestamp,
    /// The row after it; `None` if the event deleted it.
    pub row: Option<Value>,
    /// The fields that it changed.
    pub changes: Vec<FieldChange>,
    /// The reason for which it could not be applied. Then it changed nothing.
    pub error: Option<Error>,
}

impl Display for RowStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, stream, type_name, recorded_at, .. } = self;
        write!(f, "{position} {recorded_at} {type_name} of {stream}")?;
        if let Some(error) = &self.error {
            return write!(f, "; not applied: {error}");
        }
        self.changes.iter().try_for_each(|change| write!(f, "; {change}"))
    }
}

/// A question for the events that made a row, before it is awaited.
///
/// ```
/// # use highwater_core::{Highwater, Result, domain::View};
/// # use highwater_projections::read::Views as _;
/// # async fn example<Balances: View>(bank: &Highwater) -> Result<()> {
/// let history = bank.view::<Balances>().why("alice").await?;
/// for step in &history.steps {
///     println!("{step}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is read until it is awaited"]
pub struct HistoryRequest<V> {
    reader: ViewReader<V>,
    key: String,
    through: Option<Position>,
    last: usize,
}

impl<V: View> HistoryRequest<V> {
    pub(super) fn new(reader: &ViewReader<V>, key: String) -> Self {
        Self { reader: reader.clone(), key, through: None, last: STEPS }
    }

    /// Ends with the events up to a position, instead of those that the stored row has.
    pub fn up_to(mut self, position: Position) -> Self {
        self.through = Some(position);
        self
    }

    /// Sets the number of steps that are kept, the last ones; 1,000 unless set. All events are folded.
    pub fn last(mut self, steps: usize) -> Self {
        self.last = steps;
        self
    }

    async fn run(self) -> Result<RowHistory> {
        let source = self.reader.source()?;
        let scope = RowScope::Keys([self.key.clone()].into());
        let snapshot = read_snapshot::<V>(&source, &scope).await?;
        let stored = snapshot.rows.first().map(|(_, row)| row.clone()).unwrap_or_default();
        let position = position_of::<V>(&snapshot.state, &self.key, &stored);
        let through = match self.through {
            Some(through) => through.min(source.highwater.log().head().await?),
            None => position,
        };
        let mut fold = HistoryFold::<V>::new(&source, &self.key, self.last)?;
        fold.read(through).await?;
        Ok(RowHistory {
            key: self.key.clone(),
            steps: fold.steps.into(),
            earlier_steps: fold.earlier_steps,
            position: through,
            row: fold.row,
            stored: stored.value.as_ref().map(shown),
            parked_since: stored.parked_since,
        })
    }
}

impl<V: View> IntoFuture for HistoryRequest<V> {
    type Output = Result<RowHistory>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Folds the events of the row one by one. For a view keyed by stream only the stream of the key is read, otherwise
    /// every event of the view.
    ///
    /// # Errors
    /// As [`VerifyRequest`](super::VerifyRequest); [`Invalid`](highwater_core::Error::Invalid) if the row can't be
    /// encoded after an event.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<V: View> fmt::Debug for HistoryRequest<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryRequest")
            .field("view", &V::NAME)
            .field("key", &self.key)
            .field("through", &self.through)
            .finish_non_exhaustive()
    }
}

/// A history under way: the row after the last event, and the last steps.
struct HistoryFold<'a, V> {
    source: &'a ViewSource,
    key: &'a str,
    query: Query,
    fold: LogFold<V>,
    row: Option<Value>,
    steps: VecDeque<RowStep>,
    earlier_steps: u64,
    last: usize,
}

impl<'a, V: View> HistoryFold<'a, V> {
    fn new(source: &'a ViewSource, key: &'a str, last: usize) -> Result<Self> {
        let fold = LogFold::new(source.highwater.log(), &source.view)?.passing_over_failures();
        Ok(Self {
            source,
            key,
            query: V::query()?,
            fold,
            row: None,
            steps: VecDeque::new(),
            earlier_steps: 0,
            last,
        })
    }

    async fn read(&mut self, through: Position) -> Result<()> {
        match V::KEYED_BY {
            KeyedBy::Stream(category) => match StreamId::new(category, self.key) {
                Ok(stream) => self.read_stream(&stream, through).await,
                // A key that is no part of a stream's name has no events.
                Err(_) => Ok(()),
            },
            KeyedBy::Key => self.read_log(through).await,
        }
    }

    async fn read_stream(&mut self, stream: &StreamId, through: Position) -> Result<()> {
        let mut next = Some(ReadFrom::After(Version::NONE));
        while let Some(from) = next {
            let page = self.source.highwater.log().read_stream(stream, from, PAGE_SIZE).await?;
            let is_before = page.events.last().is_some_and(|event| event.position < through);
            for event in page.events.iter().filter(|event| event.position <= through) {
                if self.query.matches(&event.stream, &event.type_name, &event.tags) {
                    self.fold(event)?;
                }
            }
            next = page.next.filter(|_| is_before);
        }
        Ok(())
    }

    async fn read_log(&mut self, through: Position) -> Result<()> {
        let log = self.source.highwater.log();
        let mut after = Position::START;
        while after < through {
            let page = log.read_log(&self.query, ReadFrom::After(after), PAGE_SIZE).await?;
            for event in page.events.iter().filter(|event| event.position <= through) {
                self.fold(event)?;
            }
            if page.through <= after {
                return Ok(());
            }
            after = page.through;
        }
        Ok(())
    }

    /// Folds an event, and keeps what it changed if it is one of the row's.
    fn fold(&mut self, event: &Envelope) -> Result<()> {
        let key = self.key;
        self.fold.fold_event(event, &|other, _| other == key)?;
        let Some(row) = self.fold.rows.get_mut(key) else { return Ok(()) };
        if row.events == 0 {
            return Ok(());
        }
        row.events = 0;
        let error = row.failure.take().map(|(_, error)| error);
        let after = encode_folded(&self.source.view, key, row.value.clone())?;
        let after = after.as_ref().map(shown);
        let step = RowStep {
            position: event.position,
            stream: event.stream.clone(),
            version: event.version,
            type_name: event.type_name.to_string(),
            recorded_at: event.recorded_at,
            changes: changes(self.row.as_ref(), after.as_ref()),
            row: after.clone(),
            error,
        };
        self.row = after;
        self.keep(step);
        Ok(())
    }

    fn keep(&mut self, step: RowStep) {
        self.steps.push_back(step);
        if self.steps.len() > self.last {
            self.steps.pop_front();
            self.earlier_steps += 1;
        }
    }
}
