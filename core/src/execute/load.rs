//! Folding a stream into a state.

use futures_util::{
    future::BoxFuture,
    stream::{FuturesOrdered, StreamExt as _},
};

use super::{
    engine::Engine,
    loaded::{AsOf, Loaded},
    snapshot,
};
use crate::{
    Result,
    domain::{Aggregate, Envelope},
    error::Corrupt,
    follow::{UnknownEvents, apply, fold_events, read_ahead},
    port::{EventStore, ReadFrom, StreamPage},
    value::{StreamId, Version},
};

/// The number of events per read: few enough that reading and folding overlap.
const READ_PAGE_SIZE: usize = 2048;
/// The number of pages of a long stream that are read at the same time.
const CONCURRENT_READS: usize = 2;

/// Folds a stream, from its snapshot if there is a usable one.
pub(super) async fn load<A: Aggregate>(
    engine: &Engine,
    stream: &StreamId,
    as_of: AsOf,
) -> Result<Loaded<A>> {
    let log = &*engine.log;
    let unknown = engine.unknown_events;
    if let Some(start) = snapshot::load_usable::<A>(&*engine.snapshots, stream, as_of).await? {
        let version = start.version;
        if let Some(loaded) = fold(log, stream, start, as_of, unknown).await? {
            return Ok(loaded);
        }
        tracing::warn!(%stream, %version, "snapshot is not of this stream; ignored");
    }
    let all = fold(log, stream, Loaded::default(), as_of, unknown).await?;
    all.ok_or_else(|| Corrupt::Log(format!("stream {stream} has no beginning")).into())
}

/// Continues reading from an older state. Returns `None` if that state is not of this stream.
pub(super) async fn resume<A: Aggregate>(
    log: &dyn EventStore,
    stream: &StreamId,
    base: Loaded<A>,
    unknown: UnknownEvents,
) -> Result<Option<Loaded<A>>> {
    match base.head {
        None => Ok(None),
        Some(_) => fold(log, stream, base, AsOf::Now, unknown).await,
    }
}

/// Continues reading from a state, and folds. The last event of a state that is not initial is read
/// again and compared: the result is `None` if the state is of another history, for example after a
/// database was restored.
async fn fold<A: Aggregate>(
    log: &dyn EventStore,
    stream: &StreamId,
    mut loaded: Loaded<A>,
    as_of: AsOf,
    unknown: UnknownEvents,
) -> Result<Option<Loaded<A>>> {
    let start = ReadFrom::After(Version::new(loaded.version.get().saturating_sub(1)));
    let mut page = log.read_stream(stream, start, READ_PAGE_SIZE).await?;
    if let Some(head) = loaded.head {
        match page.events.first() {
            Some(first) if first.id == head => loaded.position = first.position,
            _ => return Ok(None),
        }
        page.events.remove(0);
    }
    let mut reads = PageReads::new(log, stream);
    loop {
        let folded = async { fold_page(&mut loaded, &page, as_of, unknown) };
        let Some(ReadFrom::After(next)) = page.next else {
            return folded.await.map(|_| Some(loaded));
        };
        // The store reads the next pages while this one is folded.
        let (next, needs_more) = read_ahead(reads.next(next), folded).await;
        if !needs_more? {
            return Ok(Some(loaded));
        }
        page = next?;
    }
}

/// Reads of the next pages, several at the same time.
struct PageReads<'a> {
    log: &'a dyn EventStore,
    stream: &'a StreamId,
    pending: FuturesOrdered<BoxFuture<'a, Result<StreamPage>>>,
    /// The version after which the first pending page begins.
    first: Version,
}

impl<'a> PageReads<'a> {
    fn new(log: &'a dyn EventStore, stream: &'a StreamId) -> Self {
        Self { log, stream, pending: FuturesOrdered::new(), first: Version::NONE }
    }

    /// Returns the page that begins after a version. The starts of later pages are predicted; if a
    /// prediction was wrong, because a store returned a shorter page, they are read again.
    async fn next(&mut self, after: Version) -> Result<StreamPage> {
        if self.first != after {
            self.first = after;
            self.pending = FuturesOrdered::new();
        }
        while self.pending.len() < CONCURRENT_READS {
            let after = self.first.plus(self.pending.len() * READ_PAGE_SIZE);
            let from = ReadFrom::After(after);
            self.pending.push_back(self.log.read_stream(self.stream, from, READ_PAGE_SIZE));
        }
        self.first = self.first.plus(READ_PAGE_SIZE);
        let empty = Ok(StreamPage { events: Vec::new(), next: None });
        self.pending.next().await.unwrap_or(empty)
    }
}

/// Folds a page. Returns true if the requested state may lie beyond it.
fn fold_page<A: Aggregate>(
    loaded: &mut Loaded<A>,
    page: &StreamPage,
    as_of: AsOf,
    unknown: UnknownEvents,
) -> Result<bool> {
    let included = page.events.iter().take_while(|event| as_of.includes(event)).count();
    fold_events(&page.events[..included], |event| fold_one(loaded, event, unknown))?;
    Ok(included == page.events.len())
}

fn fold_one<A: Aggregate>(
    loaded: &mut Loaded<A>,
    event: &Envelope,
    unknown: UnknownEvents,
) -> Result<()> {
    if event.version != loaded.version.plus(1) {
        let stream = &event.stream;
        let message = format!(
            "stream {stream} has version {} after version {}",
            event.version, loaded.version
        );
        return Err(Corrupt::Log(message).into());
    }
    apply(&mut loaded.state, event, unknown)?;
    loaded.version = event.version;
    loaded.head = Some(event.id);
    loaded.position = event.position;
    loaded.bytes_since += event.payload.len() as u64;
    Ok(())
}
