//! Batches reads of single rows. If so many reads of a view are running that there is no connection for
//! another one, the later reads wait and share one statement.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use highwater_core::{
    Result,
    domain::ViewName,
    error::{Source, Unavailable},
    port::StoredView,
};
use tokio::{runtime::Handle, sync::oneshot};

use super::PostgresInner;
use crate::sql::view;

/// The most keys of one statement.
const MAX_KEYS: usize = 500;

/// The running and the queued reads of single rows.
pub(super) struct RowReadBatcher {
    views: Mutex<HashMap<ViewName, ViewReads>>,
    /// The most reads of one view that run at once.
    limit: usize,
}

#[derive(Default)]
struct ViewReads {
    running: usize,
    queued: Vec<QueuedRead>,
}

struct QueuedRead {
    key: String,
    answer: oneshot::Sender<Result<StoredView>>,
}

impl RowReadBatcher {
    pub(super) fn new(limit: u32) -> Self {
        Self { views: Mutex::default(), limit: limit as usize }
    }

    /// Takes a permit if one is free. Otherwise queues the read and returns its answer. The statement that
    /// answers it is started afterwards.
    fn enter(&self, view: &ViewName, key: &str) -> Option<oneshot::Receiver<Result<StoredView>>> {
        let mut views = self.views();
        let reads = views.entry(view.clone()).or_default();
        if reads.running < self.limit {
            reads.running += 1;
            return None;
        }
        let (answer, answered) = oneshot::channel();
        reads.queued.push(QueuedRead { key: key.to_owned(), answer });
        Some(answered)
    }

    /// Returns queued reads, which inherit the permit. Releases the permit if there are none, or if nothing
    /// can answer them.
    fn leave(&self, view: &ViewName, can_answer: bool) -> Vec<QueuedRead> {
        let mut views = self.views();
        let Some(reads) = views.get_mut(view) else { return Vec::new() };
        let count = reads.queued.len().min(MAX_KEYS);
        let queued: Vec<QueuedRead> = reads.queued.drain(..count).collect();
        if queued.is_empty() || !can_answer {
            reads.running -= 1;
        }
        queued
    }

    fn views(&self) -> MutexGuard<'_, HashMap<ViewName, ViewReads>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads rows. A read of a single row is batched with others if there are many at once.
pub(super) async fn read(
    inner: &Arc<PostgresInner>,
    view: &ViewName,
    keys: &[String],
) -> Result<StoredView> {
    let [key] = keys else { return view::read(&**inner, view, keys).await };
    match inner.row_reads.enter(view, key) {
        None => {
            let _permit = ReadPermit { inner, view };
            view::read(&**inner, view, keys).await
        }
        Some(answer) => answer.await.unwrap_or_else(|gone| {
            Err(Unavailable::unreachable("reading a view", Source::new(gone)).into())
        }),
    }
}

/// A permit for a running read. When it is dropped, the queued reads get it.
struct ReadPermit<'a> {
    inner: &'a Arc<PostgresInner>,
    view: &'a ViewName,
}

impl Drop for ReadPermit<'_> {
    fn drop(&mut self) {
        release(self.inner, self.view);
    }
}

/// The permit of a task that answers queued reads. It is returned although the runtime that shuts down drops the
/// task before it has begun.
struct InheritedPermit {
    inner: Arc<PostgresInner>,
    view: ViewName,
}

impl Drop for InheritedPermit {
    fn drop(&mut self) {
        release(&self.inner, &self.view);
    }
}

fn release(inner: &Arc<PostgresInner>, view: &ViewName) {
    let runtime = Handle::try_current();
    let queued = inner.row_reads.leave(view, runtime.is_ok());
    if let (Ok(runtime), false) = (runtime, queued.is_empty()) {
        let permit = InheritedPermit { inner: Arc::clone(inner), view: view.clone() };
        runtime.spawn(answer(permit, queued));
    }
}

/// Answers queued reads, in a task that no reader can cancel.
async fn answer(permit: InheritedPermit, queued: Vec<QueuedRead>) {
    let keys: Vec<&str> = queued.iter().map(|read| read.key.as_str()).collect();
    let rows = view::read(&*permit.inner, &permit.view, &keys).await;
    for (index, QueuedRead { answer, .. }) in queued.into_iter().enumerate() {
        // Fails if the reader was cancelled.
        let _ = answer.send(rows.as_ref().map(|rows| row_at(rows, index)).map_err(Clone::clone));
    }
}

/// Returns one row of a shared read.
fn row_at(read: &StoredView, index: usize) -> StoredView {
    let row = read.rows.get(index).cloned().unwrap_or_default();
    StoredView { rows: vec![row], state: read.state.clone(), head: read.head }
}
