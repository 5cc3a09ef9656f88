//! The SQL stores beyond the conformance suite: startup errors, errors of an open store, hooks, columns, migrations. Each
//! error names the mistake and the next step, and none shows a password.
//!
//! | File | Content |
//! |---|---|
//! | `error_messages` | the code, the next step and the words of an error; no secrets |
//! | `examine` | rights that the user of a database lacks |
//! | `processes` | other processes: another user, another holder of a lock, another writer |
//! | `server` | a PostgreSQL that asks for passwords |
//! | `slow_views` | work on views that holds all its connections, beside the log |
//! | `sqlite_errors` | files that can't be opened, are no databases, or break while they are open |
//! | `listening` | a connection that listens over a network that went silent |
//! | `network` | networks that go silent, connections that are cut, servers that become standbys |
//! | `postgres_errors` | servers that can't be reached, refuse, lack something, or go away |
//! | `outbox` | a store beside a table of the application |
//! | `append_hook` | hooks in the transaction of an append |
//! | `view_hook` | hooks in the commit of a view |
//! | `view_columns` | columns and indexes of views, in plain SQL |
//! | `large_views` | columns and indexes of large views, added while they are in use |
//! | `generations` | the generation that plain SQL sees |
//! | `kept_rows` | rows that are not deleted by hand |
//! | `tls` | servers that offer TLS, demand it, or have another certificate |
//! | `upgrade` | databases of earlier versions |
//! | `migrate` | several processes open a fresh database at once; two schemas side by side |
//! | `closed_store` | stores that have been closed |
//! | `batched_reads` | more readers than connections |
//! | `cancelled_reads` | callers that cancel reads |
#![cfg(all(feature = "postgres", feature = "sqlite", feature = "testing"))]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod append_hook;
mod batched_reads;
mod cancelled_reads;
mod closed_store;
mod error_messages;
mod examine;
mod generations;
mod kept_rows;
mod large_views;
mod listening;
mod migrate;
mod network;
mod outbox;
mod postgres_errors;
mod processes;
mod server;
mod slow_views;
mod sqlite_errors;
#[cfg(any(feature = "tls-rustls", feature = "tls-native"))]
mod tls;
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

/// Opens the store of a URL, on any database.
async fn open_any(url: &str) -> Result<Arc<dyn Store>> {
    Ok(match url.starts_with("sqlite:") {
        true => Arc::new(open_sqlite(url).await?),
        false => Arc::new(server::open(url).await?),
    })
}

/// Returns an append of one event.
fn append() -> Append {
    build::append_one(&build::stream("a"), build::event())
}

/// Opens and claims a view, and returns a commit of one row to the next position.
async fn commit(store: &dyn Store, view: &str) -> ViewCommit {
    let spec = ViewSpec::rows(ViewName::new(view).unwrap());
    store.open_view(&spec, Sharding::SINGLE).await.unwrap();
    let worker = WorkerId::new("worker").unwrap();
    let lease = std::time::Duration::from_secs(3_600);
    let claim = store.claim_shard(ShardClaim {
        view: spec.name.clone(),
        sharding: Sharding::SINGLE,
        shard: ShardId::FIRST,
        worker: worker.clone(),
        mode: ClaimMode::Always,
        lease,
        definition: None,
    });
    let claim = claim.await.unwrap().unwrap();
    let position = Position::new(claim.progress.position.get() + 1);
    let to = Progress { position, ..Progress::default() };
    let rows = vec![("a".to_owned(), Some(b"1"[..].into()))];
    ViewCommit { rows, ..ViewCommit::new(spec.name, &claim, to) }
}
