//! Building blocks of the measured routines: each repeats an operation a number of times, and returns the time
//! that this took.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::runtime::Handle;

/// A work that is repeated a given number of times.
pub trait Routine: FnMut(u64) -> Duration {}

impl<F: FnMut(u64) -> Duration> Routine for F {}

/// Waits on the thread of the harness, which is not one of the runtime's.
pub fn wait<T>(work: impl Future<Output = T>) -> T {
    Handle::current().block_on(work)
}

/// Runs work in a task, as a service does, on both sides of a comparison.
pub async fn in_a_task<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    tokio::spawn(work).await.unwrap()
}

/// Distributes a number of repetitions over many tasks.
#[derive(Clone)]
pub struct Budget(Arc<AtomicU64>);

impl Budget {
    pub fn of(times: u64) -> Self {
        Self(Arc::new(AtomicU64::new(times)))
    }

    /// Takes one, if any are left.
    pub fn take(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }
}
