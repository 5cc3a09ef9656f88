//! Clients that take time to drop: they say goodbye to brokers, and wait for their threads.

use std::{
    ops::Deref,
    sync::{Arc, mpsc},
    thread,
};

/// A shared value that is dropped in a separate thread, so that no task of the runtime waits for it.
pub(super) struct DropInThread<T: Send + Sync + 'static> {
    value: Arc<T>,
    /// Dropped after `value`: the thread then knows that this share is gone.
    dropped: Option<mpsc::Sender<()>>,
}

impl<T: Send + Sync + 'static> DropInThread<T> {
    pub(super) fn new(value: T) -> Self {
        Self::shared(Arc::new(value))
    }

    /// Wraps a value that others share.
    pub(super) fn shared(value: Arc<T>) -> Self {
        Self { value, dropped: None }
    }
}

impl<T: Send + Sync + 'static> Deref for DropInThread<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.value
    }
}

impl<T: Send + Sync + 'static> Drop for DropInThread<T> {
    fn drop(&mut self) {
        let (sender, dropped) = mpsc::channel();
        let last = Arc::clone(&self.value);
        self.dropped = Some(sender);
        // If no thread can be started, the value is dropped here after all.
        let _ = thread::Builder::new().name("kafka goodbye".into()).spawn(move || {
            // Nothing is ever sent: the result is always that the sender is gone.
            let _: Result<(), _> = dropped.recv();
            drop(last);
        });
    }
}
