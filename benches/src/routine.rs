//! What the routines that are measured are made of: each does what it is told so many times, and says
//! how long that took.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::runtime::Handle;

/// Does its work so many times.
pub trait Routine: FnMut(u64) -> Duration {}

impl<F: FnMut(u64) -> Duration> Routine for F {}

/// Waits on the thread of the harness, which is none of the runtime's.
pub fn wait<T>(work: impl Future<Output = T>) -> T {
    Handle::current().block_on(work)
}

/// Where the work of a service is done, on either side of a comparison.
pub async fn in_a_task<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    tokio::spawn(work).await.unwrap()
}

/// So many times, whoever of many tasks takes them.
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
