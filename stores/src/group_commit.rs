//! Group commit: concurrent appends of one process share a transaction, each with its own outcome.
//!
//! Appends wait in one queue. A single writer takes as many as can be judged together, commits them
//! at once, answers each, and goes on with what has queued up meanwhile: nobody waits for a timer,
//! and an append alone is one round trip.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use async_trait::async_trait;
use highwater_core::{
    CommandId, Error, EventId, Result, StreamId, Version,
    error::Unavailable,
    port::{Append, AppendFuture, Appended, StreamAppend},
    value::Expected,
};
use tokio::sync::{Notify, oneshot};

use crate::metrics::Meter;

/// How many appends, events and bytes of payload one transaction takes, unless a single append has
/// more.
const APPENDS: usize = 256;
const EVENTS: usize = 2_000;
const BYTES: usize = 8 << 20;

/// What a batch gave for one of its appends.
pub(crate) enum Verdict {
    /// Its own outcome.
    Final(Result<Appended>),
    /// To be judged again, before everything that came later: it builds on a repeated append.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "SQLite judges in turn"))]
    Deferred,
}

/// An append in a batch.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) append: Append,
    /// Appends that build on each other have the same group: if one fails, so do those after it.
    pub(crate) group: usize,
    /// For each stream of the append: whether its expectation is met by an earlier append of the
    /// batch, so that the store need not look.
    pub(crate) linked: Vec<bool>,
}

/// Commits batches. One at a time.
#[async_trait]
pub(crate) trait Writer: Send + 'static {
    /// A verdict for each entry, in order.
    async fn commit(&mut self, batch: &[Entry]) -> Vec<Verdict>;
}

struct Waiting {
    append: Append,
    reply: oneshot::Sender<Result<Appended>>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    closed: bool,
    ended: bool,
}

impl State {
    /// Whether nothing is left to do, and nothing will come.
    fn is_over(&self) -> bool {
        self.closed && self.waiting.is_empty()
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Notify,
    ended: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way into the queue. When the last one is dropped, the writer ends after what is waiting.
pub(crate) struct GroupCommit(Arc<Shared>);

impl GroupCommit {
    /// Starts the writer.
    pub(crate) fn start(writer: impl Writer, meter: Meter) -> Self {
        let shared = Arc::new(Shared::default());
        tokio::spawn(write(Ending(Arc::clone(&shared)), writer, meter));
        Self(shared)
    }

    /// Queues an append; its place in the order is taken now.
    pub(crate) fn submit(&self, append: Append) -> AppendFuture {
        let command = append.command;
        let (reply, answer) = oneshot::channel();
        let mut state = self.0.lock();
        if state.closed {
            return Box::pin(async { Err(Unavailable::Closed.into()) });
        }
        state.waiting.push_back(Waiting { append, reply });
        drop(state);
        self.0.wake.notify_one();
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(abandoned(command))) })
    }
}

impl GroupCommit {
    /// Refuses what comes from now on, and waits until everything in the queue has its outcome.
    pub(crate) async fn close(&self) {
        self.refuse();
        let ended = self.0.ended.notified();
        if !self.0.lock().ended {
            ended.await;
        }
    }

    fn refuse(&self) {
        self.0.lock().closed = true;
        self.0.wake.notify_one();
    }
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        self.refuse();
    }
}

/// The writer ended (the runtime is shutting down) while the append was with it.
fn abandoned(command: CommandId) -> Error {
    let source = highwater_core::error::Source::new("the writer ended before it answered");
    Error::UnknownOutcome { command, source }
}

/// However the writer ends, be it that it panics or that the runtime shuts down before it has begun,
/// nobody waits for it any longer: what is in the queue is answered, and what comes later is refused.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        (state.closed, state.ended) = (true, true);
        state.waiting.clear();
        drop(state);
        self.0.ended.notify_waiters();
    }
}

async fn write(ending: Ending, mut writer: impl Writer, meter: Meter) {
    let shared = &ending.0;
    loop {
        let (batch, replies) = take(&mut shared.lock().waiting);
        if batch.is_empty() {
            if shared.lock().is_over() {
                return;
            }
            shared.wake.notified().await;
            continue;
        }
        let (size, began) = (batch.len(), Instant::now());
        let verdicts = writer.commit(&batch).await;
        meter.committed(size, began.elapsed());
        let mut deferred = Vec::new();
        for ((entry, reply), verdict) in batch.into_iter().zip(replies).zip(verdicts) {
            match verdict {
                Verdict::Final(outcome) => {
                    meter.answered(entry.append.events().count(), &outcome);
                    // Nobody waits any more: the append has happened all the same.
                    drop(reply.send(outcome));
                }
                Verdict::Deferred => deferred.push(Waiting { append: entry.append, reply }),
            }
        }
        if !deferred.is_empty() {
            let mut state = shared.lock();
            deferred.into_iter().rev().for_each(|waiting| state.waiting.push_front(waiting));
        }
        gather(shared, size).await;
    }
}

/// Gives those who have been answered the time to come again. Without that the next batch would be
/// the few that came meanwhile, the one after it all the others, and half of the flushes would be
/// for next to nothing. An append alone is not followed by a look at others.
async fn gather(shared: &Shared, size: usize) {
    const LOOKS: usize = 8;
    for _ in 0..LOOKS {
        if size == 1 || shared.lock().waiting.len() >= size {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Takes as many appends as can be judged together, in order, up to the first that can't.
fn take(waiting: &mut VecDeque<Waiting>) -> (Vec<Entry>, Vec<oneshot::Sender<Result<Appended>>>) {
    let mut forming = Forming::default();
    let mut replies = Vec::new();
    while let Some(next) = waiting.front() {
        if !forming.admits(&next.append) {
            break;
        }
        let Some(next) = waiting.pop_front() else { break };
        forming.add(next.append);
        replies.push(next.reply);
    }
    (forming.entries, replies)
}

#[derive(Default)]
struct Forming {
    entries: Vec<Entry>,
    commands: HashSet<CommandId>,
    /// Where the batch leaves each stream it writes to, as far as that is known before it is
    /// committed, and which entry leaves it there.
    heads: HashMap<StreamId, (Option<Head>, usize)>,
    /// The last entry of each group. Groups are chains: whoever joins builds on the last.
    tails: HashMap<usize, usize>,
    events: usize,
    bytes: usize,
    alone: bool,
}

impl Forming {
    fn admits(&self, append: &Append) -> bool {
        self.entries.is_empty()
            || (!self.alone
                && append.hook.is_none()
                && self.entries.len() < APPENDS
                && self.events + append.events().count() <= EVENTS
                && self.bytes + bytes(append) <= BYTES
                && !self.commands.contains(&append.command)
                && self.can_judge(append))
    }

    /// Whether what the batch appends before leaves no doubt about this append's expectations.
    fn can_judge(&self, append: &Append) -> bool {
        let known = append.streams.iter().all(|part| match self.heads.get(&part.stream) {
            None => true,
            Some((head, writer)) => self.is_tail(*writer) && is_link(part.expected, *head),
        });
        known && self.groups(append).len() <= 1 && self.condition_is_free(append)
    }

    /// The groups that the append builds on.
    fn groups(&self, append: &Append) -> HashSet<usize> {
        let writers = append.streams.iter().filter_map(|part| self.heads.get(&part.stream));
        writers
            .filter_map(|(_, writer)| self.entries.get(*writer))
            .map(|entry| entry.group)
            .collect()
    }

    /// Whether the entry is the last of its group: then all that its group does is before it.
    fn is_tail(&self, entry: usize) -> bool {
        self.entries.get(entry).and_then(|found| self.tails.get(&found.group)) == Some(&entry)
    }

    /// Whether no event of the batch matches the append's condition.
    fn condition_is_free(&self, append: &Append) -> bool {
        let Some(condition) = &append.condition else { return true };
        let mut events = self.entries.iter().flat_map(|entry| entry.append.events());
        !events.any(|(stream, event)| {
            condition.query.matches(stream, event.event_type.name, &event.tags)
        })
    }

    fn add(&mut self, append: Append) {
        let place = self.entries.len();
        let is_linked = |part: &StreamAppend| self.heads.contains_key(&part.stream);
        let linked: Vec<bool> = append.streams.iter().map(is_linked).collect();
        let group = self.groups(&append).into_iter().next().unwrap_or(place);
        // A stream that is only checked stays as it is, whatever becomes of the append.
        for part in append.streams.iter().filter(|part| !part.events.is_empty()) {
            self.heads.insert(part.stream.clone(), (head_after(part), place));
        }
        self.tails.insert(group, place);
        self.commands.insert(append.command);
        self.events += append.events().count();
        self.bytes += bytes(&append);
        self.alone = append.hook.is_some();
        self.entries.push(Entry { append, group, linked });
    }
}

/// The version of a stream and its last event.
type Head = (Version, EventId);

/// Where a part leaves its stream if its expectation is met; `None` if that doesn't follow from it.
fn head_after(part: &StreamAppend) -> Option<Head> {
    let version = match part.expected {
        Expected::Any | Expected::StreamExists => return None,
        Expected::NoStream => Version::NONE,
        Expected::Version(version) | Expected::Head(version, _) => version,
    };
    Some((version.plus(part.events.len()), part.events.last()?.id))
}

/// Only an expectation that names the very event, at its version, can be judged before the event is
/// committed.
fn is_link(expected: Expected, head: Option<Head>) -> bool {
    matches!(expected, Expected::Head(version, event) if head == Some((version, event)))
}

fn bytes(append: &Append) -> usize {
    append.events().map(|(_, event)| event.payload.len()).sum()
}
