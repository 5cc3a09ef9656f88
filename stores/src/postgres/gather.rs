//! Reads of single rows that meet: who finds so many under way that there is no connection for another goes
//! with all the others who wait, in one statement.

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

use super::{Inner, view};

/// For so many keys rows are read in one statement at the most.
const CHUNK: usize = 500;

/// The reads of single rows that are under way.
pub(super) struct Gathering {
    views: Mutex<HashMap<ViewName, Meeting>>,
    /// As many may be under way for one view.
    places: usize,
}

#[derive(Default)]
struct Meeting {
    under_way: usize,
    waiting: Vec<Waiting>,
}

/// Who waits for a row.
struct Waiting {
    key: String,
    answer: oneshot::Sender<Result<StoredView>>,
}

impl Gathering {
    pub(super) fn new(places: u32) -> Self {
        Self { views: Mutex::default(), places: places as usize }
    }

    /// Takes a place, if one is free; else waits with the others for the answer that this gives. A
    /// statement that answers is begun after this.
    fn enter(&self, view: &ViewName, key: &str) -> Option<oneshot::Receiver<Result<StoredView>>> {
        let mut views = self.views();
        let meeting = views.entry(view.clone()).or_default();
        if meeting.under_way < self.places {
            meeting.under_way += 1;
            return None;
        }
        let (answer, answered) = oneshot::channel();
        meeting.waiting.push(Waiting { key: key.to_owned(), answer });
        Some(answered)
    }

    /// Gives a place back; or hands it to those who wait and are given here, if somebody can answer them.
    fn leave(&self, view: &ViewName, can_answer: bool) -> Vec<Waiting> {
        let mut views = self.views();
        let Some(meeting) = views.get_mut(view) else { return Vec::new() };
        let many = meeting.waiting.len().min(CHUNK);
        let waiting: Vec<Waiting> = meeting.waiting.drain(..many).collect();
        if waiting.is_empty() || !can_answer {
            meeting.under_way -= 1;
        }
        waiting
    }

    fn views(&self) -> MutexGuard<'_, HashMap<ViewName, Meeting>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads one row.
pub(super) async fn read(inner: &Arc<Inner>, view: &ViewName, key: &str) -> Result<StoredView> {
    match inner.gathering.enter(view, key) {
        None => {
            let _place = Place { inner, view };
            view::rows(inner, view, &[key]).await
        }
        Some(answer) => answer.await.unwrap_or_else(|gone| {
            Err(Unavailable::unreachable("reading a view", Source::new(gone)).into())
        }),
    }
}

/// A place among the reads that are under way. However it is given up, those who wait get it.
struct Place<'a> {
    inner: &'a Arc<Inner>,
    view: &'a ViewName,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let runtime = Handle::try_current();
        let waiting = self.inner.gathering.leave(self.view, runtime.is_ok());
        if let (Ok(runtime), false) = (runtime, waiting.is_empty()) {
            runtime.spawn(answer(Arc::clone(self.inner), self.view.clone(), waiting));
        }
    }
}

/// Reads the rows of all of these, in a task that none of them can cancel.
async fn answer(inner: Arc<Inner>, view: ViewName, waiting: Vec<Waiting>) {
    let _place = Place { inner: &inner, view: &view };
    let keys: Vec<&str> = waiting.iter().map(|waiting| waiting.key.as_str()).collect();
    let read = view::rows(&inner, &view, &keys).await;
    for (place, Waiting { answer, .. }) in waiting.into_iter().enumerate() {
        // Who doesn't wait any more hears nothing.
        let _ = answer.send(read.as_ref().map(|read| share(read, place)).map_err(Clone::clone));
    }
}

/// The part of an answer that is for one of many.
fn share(read: &StoredView, place: usize) -> StoredView {
    let row = read.rows.get(place).cloned().unwrap_or_default();
    StoredView { rows: vec![row], state: read.state.clone(), head: read.head }
}
