//! Bad input at the doors of the SQL stores, and while they are open: each case has the error that
//! says what is wrong and whose move it is, and no password is ever shown.
//!
//! | File | What is in it |
//! |---|---|
//! | `error_messages` | what an error must and must not say |
//! | `processes` | a process of its own: another user, another holder of a lock |
//! | `server` | a PostgreSQL that asks for passwords |
//! | `sqlite_errors` | files that can't be opened, are no databases, or break while they are open |
//! | `postgres_errors` | servers that can't be reached, refuse, lack something, or go away |
//! | `outbox` | a store with a table of the application's own beside it |
//! | `append_hook` | an application's own work in the append's transaction |
//! | `view_hook` | an application's own work in the commit of a view |
//! | `view_columns` | columns and indexes of views, in plain SQL |
//! | `upgrade` | databases of earlier versions |
//! | `migrate` | several processes open a fresh database at once; two schemas side by side |
//! | `closed_store` | stores that have been closed |
//! | `batched_reads` | more readers than connections |
//! | `cancelled_reads` | callers that go away in the middle of reads |
#![cfg(all(feature = "postgres", feature = "sqlite", feature = "testing"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod append_hook;
mod batched_reads;
mod cancelled_reads;
mod closed_store;
mod error_messages;
mod migrate;
mod outbox;
mod postgres_errors;
mod processes;
mod server;
mod sqlite_errors;
mod upgrade;
mod view_columns;
mod view_hook;

use std::sync::Arc;

use highwater_core::{
    Position, Result,
    domain::{ViewName, ViewSpec},
    port::{Append, ClaimMode, Progress, ShardClaim, Store, ViewCommit, WorkerId},
    value::{ShardId, Sharding},
};
use highwater_stores::{SqliteOptions, SqliteStore, SystemClock, testing::build};

/// Opens the store of a URL.
async fn open_sqlite(url: &str) -> Result<SqliteStore> {
    SqliteStore::open(SqliteOptions::new(url)?, Arc::new(SystemClock)).await
}

/// Opens the store of a URL, whichever it is.
async fn open_any(url: &str) -> Result<Arc<dyn Store>> {
    Ok(match url.starts_with("sqlite:") {
        true => Arc::new(open_sqlite(url).await?),
        false => Arc::new(server::open(url).await?),
    })
}

/// An append of one event.
fn append() -> Append {
    build::append_one(&build::stream("a"), build::event())
}

/// Opens a view, claims it, and gives a commit to the next position that writes one row.
async fn commit(store: &dyn Store, view: &str) -> ViewCommit {
    let spec = ViewSpec::rows(ViewName::new(view).unwrap());
    store.open_view(&spec, Sharding::SINGLE).await.unwrap();
    let (worker, lease) = (WorkerId::new("worker").unwrap(), std::time::Duration::from_secs(3_600));
    let claim = store.claim_shard(ShardClaim {
        view: spec.name.clone(),
        sharding: Sharding::SINGLE,
        shard: ShardId::FIRST,
        worker: worker.clone(),
        mode: ClaimMode::Always,
        lease,
    });
    let claim = claim.await.unwrap().unwrap();
    let position = Position::new(claim.progress.position.get() + 1);
    let to = Progress { position, ..Progress::default() };
    let rows = vec![("a".to_owned(), Some(b"1"[..].into()))];
    ViewCommit { rows, ..ViewCommit::new(spec.name, &claim, to) }
}
