//! A clock that tests set, and stores whose time it is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use highwater::{
    Highwater,
    port::Clock,
    stores::{MemoryStore, SqliteOptions, SqliteStore, SystemClock, SystemIds},
};
use jiff::{SignedDuration, Timestamp};

/// The clock of a machine that is set. Sleeping takes its real time.
#[derive(Debug, Clone, Default)]
pub struct SetClock(Arc<AtomicI64>);

impl SetClock {
    /// Sets the clock this much ahead of the real time, or behind it if that is negative. Returns how much ahead it was.
    pub fn set_ahead(&self, seconds: i64) -> i64 {
        self.0.swap(seconds, Ordering::SeqCst)
    }
}

#[async_trait]
impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_secs(self.0.load(Ordering::SeqCst))
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

/// Opens an empty store of each kind whose clock is that of the process. PostgreSQL has its own.
pub async fn banks_with_clocks(folder: &tempfile::TempDir) -> Vec<(SetClock, Highwater)> {
    let memory = SetClock::default();
    let sqlite = SetClock::default();
    let file = folder.path().join("bank.db");
    let options = SqliteOptions::new(&format!("sqlite:{}", file.display())).unwrap();
    let store = Arc::new(MemoryStore::new(Arc::new(memory.clone())));
    let in_memory = Highwater::with_store(&store, memory.clone(), SystemIds).build();
    let store = SqliteStore::open(options, Arc::new(sqlite.clone())).await.unwrap();
    let in_file = Highwater::with_store(&Arc::new(store), sqlite.clone(), SystemIds).build();
    vec![(memory, in_memory), (sqlite, in_file)]
}
