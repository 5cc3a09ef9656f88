//! The shutdown signal of a worker.

use tokio::sync::watch;

/// Notifies tasks that the worker shuts down.
#[derive(Clone)]
pub(super) struct ShutdownSignal(watch::Receiver<bool>);

impl ShutdownSignal {
    pub(super) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Waits until the worker shuts down or its handle is dropped.
    pub(super) async fn wait(&mut self) {
        let _ = self.0.wait_for(|is_shutdown| *is_shutdown).await;
    }
}
