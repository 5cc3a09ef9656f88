//! A store that holds the answers to chosen calls back until the test lets them go.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use highwater::{
    Result, StreamId, Version,
    port::{Append, AppendFuture, ReadFrom, Store, StreamPage},
};
use tokio::sync::oneshot;

use crate::intercept::Intercept;

/// The answers that are to be held back, in the order of their calls.
pub(crate) struct LateAnswers {
    store: Arc<dyn Store>,
    appends: Mutex<VecDeque<Hold>>,
    reads: Mutex<VecDeque<Hold>>,
    /// The number of reads of streams so far.
    count: AtomicUsize,
}

struct Hold {
    answered: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

/// An answer that is held back.
pub(crate) struct HeldAnswer {
    answered: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
}

impl HeldAnswer {
    /// Waits until the store has answered.
    pub(crate) async fn is_there(&mut self) {
        (&mut self.answered).await.unwrap();
    }

    /// Passes the answer on to the caller.
    pub(crate) fn release(self) {
        self.release.send(()).unwrap();
    }
}

impl Hold {
    fn next_of(queue: &Mutex<VecDeque<Self>>) -> Option<Self> {
        queue.lock().unwrap().pop_front()
    }

    fn add_to(queue: &Mutex<VecDeque<Self>>) -> HeldAnswer {
        let (answered, is_answered) = oneshot::channel();
        let (release, released) = oneshot::channel();
        queue.lock().unwrap().push_back(Self { answered, released });
        HeldAnswer { answered: is_answered, release }
    }

    async fn hold(self) {
        let _ = self.answered.send(());
        let _ = self.released.await;
    }
}

impl LateAnswers {
    pub(crate) fn of(store: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            store,
            appends: Mutex::default(),
            reads: Mutex::default(),
            count: AtomicUsize::new(0),
        })
    }

    /// Returns the number of reads of streams so far.
    pub(crate) fn reads(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Holds the answer to the next append back.
    pub(crate) fn hold_append(&self) -> HeldAnswer {
        Hold::add_to(&self.appends)
    }

    /// Holds the answer to the next read of a stream back.
    pub(crate) fn hold_read(&self) -> HeldAnswer {
        Hold::add_to(&self.reads)
    }
}

#[async_trait]
impl Intercept for LateAnswers {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn append(&self, append: Append) -> AppendFuture {
        let hold = Hold::next_of(&self.appends);
        let answer = self.store.append(append);
        async move {
            let answer = answer.await;
            if let Some(hold) = hold {
                hold.hold().await;
            }
            answer
        }
        .boxed()
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: ReadFrom<Version>,
        limit: usize,
    ) -> Result<StreamPage> {
        self.count.fetch_add(1, Ordering::SeqCst);
        let hold = Hold::next_of(&self.reads);
        let page = self.store.read_stream(stream, from, limit).await;
        if let Some(hold) = hold {
            hold.hold().await;
        }
        page
    }
}
