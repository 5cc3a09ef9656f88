//! Folding a stream into a state.

use std::collections::VecDeque;

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
    port::{EventStore, MAX_PAGE_BYTES, ReadFrom, StreamPage},
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
    let mut reads = PageReads::new(log, stream, &page);
    if let Some(head) = loaded.head {
        match page.events.first() {
            Some(first) if first.id == head => loaded.position = first.position,
            _ => return Ok(None),
        }
        page.events.remove(0);
    }
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
    /// The version after which each pending page begins, and the number of events that it may have.
    asked: VecDeque<(Version, usize)>,
    /// The number of events per read: fewer while events are large.
    page_size: usize,
}

impl<'a> PageReads<'a> {
    fn new(log: &'a dyn EventStore, stream: &'a StreamId, first_page: &StreamPage) -> Self {
        let pending = FuturesOrdered::new();
        let asked = VecDeque::new();
        let mut reads = Self { log, stream, pending, asked, page_size: READ_PAGE_SIZE };
        reads.adapt(first_page, READ_PAGE_SIZE);
        reads
    }

    /// Returns the page that begins after a version. The starts of later pages are predicted; if a
    /// prediction was wrong, because a store returned a shorter page, they are read again.
    async fn next(&mut self, after: Version) -> Result<StreamPage> {
        if self.asked.front().is_none_or(|(start, _)| *start != after) {
            self.pending = FuturesOrdered::new();
            self.asked.clear();
        }
        while self.pending.len() < CONCURRENT_READS {
            let start = self.asked.back().map_or(after, |(last, size)| last.plus(*size));
            let read = self.log.read_stream(self.stream, ReadFrom::After(start), self.page_size);
            self.pending.push_back(read);
            self.asked.push_back((start, self.page_size));
        }
        let asked = self.asked.pop_front().map_or(self.page_size, |(_, size)| size);
        let empty = StreamPage { events: Vec::new(), next: None };
        let page = self.pending.next().await.unwrap_or(Ok(empty))?;
        self.adapt(&page, asked);
        Ok(page)
    }

    /// Asks for fewer events after a page that the store has ended by its bytes, and for more once they are small.
    fn adapt(&mut self, page: &StreamPage, asked: usize) {
        let events = page.events.len();
        if page.next.is_some() && events < asked {
            self.page_size = events.max(1);
        } else if self.page_size < READ_PAGE_SIZE {
            let bytes: usize = page.events.iter().map(|event| event.payload.len()).sum();
            let is_small = bytes <= MAX_PAGE_BYTES / 2;
            self.page_size = if is_small { READ_PAGE_SIZE.min(asked * 2) } else { asked };
        }
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
