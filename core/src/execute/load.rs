//! Folding a stream into a state.

use std::ops::Deref;

use futures_util::{
    future::BoxFuture,
    stream::{FuturesOrdered, StreamExt as _},
};
use jiff::Timestamp;

use crate::{
    Error, Result,
    domain::{Aggregate, Envelope},
    error::Corrupt,
    follow::{UnknownEvents, apply, read_ahead},
    port::{EventStore, ReadFrom, Snapshot, SnapshotStore, StreamPage},
    value::{EventId, Position, StreamId, Version},
};

/// How many events are read at a time: few enough that reading and folding overlap.
const PAGE: usize = 2048;
/// How many pages of a long stream are read at the same time.
const AHEAD: usize = 2;

/// Which state of an aggregate is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// The latest.
    Now,
    /// After the event with this version, or the latest if there are fewer.
    Version(Version),
    /// After everything up to this position in the log.
    Position(Position),
    /// After everything recorded up to this time, by the store's clock.
    Time(Timestamp),
}

impl AsOf {
    fn includes(self, event: &Envelope) -> bool {
        match self {
            Self::Now => true,
            Self::Version(version) => event.version <= version,
            Self::Position(position) => event.position <= position,
            Self::Time(time) => event.recorded_at <= time,
        }
    }

    /// A snapshot tells neither its position nor its time.
    fn can_start_from(self, snapshot: &Snapshot) -> bool {
        match self {
            Self::Now => true,
            Self::Version(version) => snapshot.version <= version,
            Self::Position(_) | Self::Time(_) => false,
        }
    }
}

/// A state, and where in its stream it is. It dereferences to the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<A> {
    /// The state.
    pub state: A,
    /// The version of the stream in that state; [`Version::NONE`] if it has no events.
    pub version: Version,
    /// The last event folded.
    pub head: Option<EventId>,
    /// The position of the last event read for it; [`Position::START`] if none was.
    pub position: Position,
    pub(super) snapshot: Version,
    pub(super) bytes_since: u64,
}

impl<A> Deref for Loaded<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.state
    }
}

impl<A: Default> Default for Loaded<A> {
    fn default() -> Self {
        Self {
            state: A::default(),
            version: Version::NONE,
            head: None,
            position: Position::START,
            snapshot: Version::NONE,
            bytes_since: 0,
        }
    }
}

/// Folds a stream, from its snapshot if there is a usable one.
pub(super) async fn load<A: Aggregate>(
    log: &dyn EventStore,
    snapshots: &dyn SnapshotStore,
    stream: &StreamId,
    as_of: AsOf,
    unknown: UnknownEvents,
) -> Result<Loaded<A>> {
    if let Some((snapshot, state)) = usable_snapshot::<A>(snapshots, stream, as_of).await? {
        let start = Loaded {
            state,
            version: snapshot.version,
            head: Some(snapshot.head),
            position: Position::START,
            snapshot: snapshot.version,
            bytes_since: 0,
        };
        if let Some(loaded) = fold(log, stream, start, as_of, unknown).await? {
            return Ok(loaded);
        }
        tracing::warn!(%stream, version = %snapshot.version, "snapshot is not of this stream; ignored");
    }
    let all = fold(log, stream, Loaded::default(), as_of, unknown).await?;
    all.ok_or_else(|| Corrupt::Log(format!("stream {stream} has no beginning")).into())
}

/// Reads on from an older state; `None` if the stream is not the one that the state is of.
pub(super) async fn resume<A: Aggregate>(
    log: &dyn EventStore,
    stream: &StreamId,
    known: Loaded<A>,
    unknown: UnknownEvents,
) -> Result<Option<Loaded<A>>> {
    match known.head {
        None => Ok(None),
        Some(_) => fold(log, stream, known, AsOf::Now, unknown).await,
    }
}

/// Reads on from `start` and folds. A start that isn't empty is read again and compared, so that a
/// snapshot of another history (a restored database, say) is found out: then the answer is `None`.
async fn fold<A: Aggregate>(
    log: &dyn EventStore,
    stream: &StreamId,
    mut loaded: Loaded<A>,
    as_of: AsOf,
    unknown: UnknownEvents,
) -> Result<Option<Loaded<A>>> {
    let start = ReadFrom::After(Version::new(loaded.version.get().saturating_sub(1)));
    let mut page = log.read_stream(stream, start, PAGE).await?;
    if let Some(head) = loaded.head {
        match page.events.first() {
            Some(first) if first.id == head => loaded.position = first.position,
            _ => return Ok(None),
        }
        page.events.remove(0);
    }
    let mut reads = Reads { log, stream, under_way: FuturesOrdered::new(), first: Version::NONE };
    loop {
        let folded = async { fold_page(&mut loaded, &page, as_of, unknown) };
        let Some(ReadFrom::After(next)) = page.next else {
            return folded.await.map(|_| Some(loaded));
        };
        // The store works on the next pages while this one is folded.
        let (next, goes_on) = read_ahead(reads.next(next), folded).await;
        if !goes_on? {
            return Ok(Some(loaded));
        }
        page = next?;
    }
}

/// Reads of the pages to come, under way at the same time.
struct Reads<'a> {
    log: &'a dyn EventStore,
    stream: &'a StreamId,
    under_way: FuturesOrdered<BoxFuture<'a, Result<StreamPage>>>,
    /// After which version the first of them begins.
    first: Version,
}

impl Reads<'_> {
    /// The page that begins after a version. Where the ones after it begin is foreseen, and if that
    /// was wrong (a store may give shorter pages) they are read anew.
    async fn next(&mut self, after: Version) -> Result<StreamPage> {
        if self.first != after {
            (self.first, self.under_way) = (after, FuturesOrdered::new());
        }
        while self.under_way.len() < AHEAD {
            let after = self.first.plus(self.under_way.len() * PAGE);
            let (log, stream) = (self.log, self.stream);
            self.under_way.push_back(log.read_stream(stream, ReadFrom::After(after), PAGE));
        }
        self.first = self.first.plus(PAGE);
        let none = Ok(StreamPage { events: Vec::new(), next: None });
        self.under_way.next().await.unwrap_or(none)
    }
}

/// Whether the state asked for may lie beyond the page.
fn fold_page<A: Aggregate>(
    loaded: &mut Loaded<A>,
    page: &StreamPage,
    as_of: AsOf,
    unknown: UnknownEvents,
) -> Result<bool> {
    for event in &page.events {
        if !as_of.includes(event) {
            return Ok(false);
        }
        fold_one(loaded, event, unknown)?;
    }
    Ok(true)
}

fn fold_one<A: Aggregate>(
    loaded: &mut Loaded<A>,
    event: &Envelope,
    unknown: UnknownEvents,
) -> Result<()> {
    if event.version != loaded.version.plus(1) {
        let (stream, found, last) = (&event.stream, event.version, loaded.version);
        let message = format!("stream {stream} has version {found} after version {last}");
        return Err(Corrupt::Log(message).into());
    }
    apply(&mut loaded.state, event, unknown)?;
    loaded.version = event.version;
    loaded.head = Some(event.id);
    loaded.position = event.position;
    loaded.bytes_since += event.payload.len() as u64;
    Ok(())
}

/// The stored snapshot, if the program can use it. One that can't be decoded is never taken as
/// state: the stream is replayed instead.
async fn usable_snapshot<A: Aggregate>(
    snapshots: &dyn SnapshotStore,
    stream: &StreamId,
    as_of: AsOf,
) -> Result<Option<(Snapshot, A)>> {
    let Some(how) = A::SNAPSHOTS else { return Ok(None) };
    let snapshot = match snapshots.load_snapshot(stream).await {
        Err(Error::Corrupt(error)) => {
            tracing::warn!(%stream, %error, "snapshot can't be read; replaying the stream");
            return Ok(None);
        }
        outcome => outcome?,
    };
    let usable = |s: &Snapshot| s.schema == how.schema && as_of.can_start_from(s);
    let Some(snapshot) = snapshot.filter(usable) else { return Ok(None) };
    match (how.decode)(&snapshot.state) {
        Ok(state) => Ok(Some((snapshot, state))),
        Err(error) => {
            tracing::warn!(%stream, %error, "snapshot can't be decoded; replaying the stream");
            Ok(None)
        }
    }
}
