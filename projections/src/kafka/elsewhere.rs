//! Clients whose end takes time: they say goodbye to brokers, and wait for their threads.

use std::{
    ops::Deref,
    sync::{Arc, mpsc},
    thread,
};

/// A share of something that is dropped in a thread of its own, so that no task of the runtime waits
/// for it.
pub(super) struct Elsewhere<T: Send + Sync + 'static> {
    it: Arc<T>,
    /// Dropped after `it`: then the thread knows that it has the last share.
    gone: Option<mpsc::Sender<()>>,
}

impl<T: Send + Sync + 'static> Elsewhere<T> {
    pub(super) fn new(it: T) -> Self {
        Self::shared(Arc::new(it))
    }

    /// A share of what others hold too.
    pub(super) fn shared(it: Arc<T>) -> Self {
        Self { it, gone: None }
    }
}

impl<T: Send + Sync + 'static> Deref for Elsewhere<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.it
    }
}

impl<T: Send + Sync + 'static> Drop for Elsewhere<T> {
    fn drop(&mut self) {
        let (gone, here_gone) = mpsc::channel();
        let last = self.it.clone();
        self.gone = Some(gone);
        // If there is no thread to be had, it is dropped here after all.
        let _ = thread::Builder::new().name("kafka goodbye".into()).spawn(move || {
            // The answer is always that the other end is gone.
            let _: Result<(), _> = here_gone.recv();
            drop(last);
        });
    }
}
