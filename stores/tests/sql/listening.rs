//! A connection that listens over a network that went silent: it stays open, and no byte passes.

use std::time::Duration;

use highwater_core::{Position, Query, ReadFrom, port::EventStore};
use highwater_stores::PostgresStore;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::{sync::watch, time::timeout};

use super::{
    append,
    network::{BehindProxy, until_it_listens},
    server::Server,
};

/// The longest wait. The store gives a silent connection up after two seconds; without a bound it never does.
const ENDS: Duration = Duration::from_secs(120);

/// Follows the log, and publishes how far it has read. A read on a connection that is silent fails once.
async fn follow(store: PostgresStore, read: watch::Sender<Position>) {
    let mut position = Position::START;
    loop {
        store.wait_for_append(position).await.unwrap();
        match store.read_log(&Query::all(), ReadFrom::After(position), 100).await {
            Ok(page) => position = page.through,
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
        read.send_replace(position);
    }
}

async fn until_read(read: &mut watch::Receiver<Position>, position: u64) {
    let reaching = read.wait_for(|read| read.get() >= position);
    let told = timeout(ENDS, reaching).await;
    assert!(told.is_ok_and(|read| read.is_ok()), "the follower is not told of event {position}");
}

/// Returns the session that listens; `None` if there is none.
async fn listener(owner: &mut PgConnection, server: &Server) -> Option<i32> {
    let sql = format!(
        "select pid from pg_stat_activity where usename = '{}' and query like 'LISTEN%' \
         order by backend_start desc limit 1",
        server.name
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_optional(owner).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w3_a_follower_on_a_silent_network_is_told_and_listens_again_on_postgres() {
    let test = "w3_a_follower_on_a_silent_network_is_told_and_listens_again_on_postgres";
    let Some(BehindProxy { server, proxy, store }) = BehindProxy::start(test).await else { return };
    let elsewhere = server.open().await.unwrap();
    let (reads, mut read) = watch::channel(Position::START);
    let following = tokio::spawn(follow(store, reads));
    until_it_listens(&server, true).await;
    until_read(&mut read, 1).await;
    let mut owner = server.owner().await;
    let silent = listener(&mut owner, &server).await.unwrap();

    proxy.silence();
    elsewhere.append(append()).await.unwrap();
    until_read(&mut read, 2).await;
    let again = async { while listener(&mut owner, &server).await == Some(silent) {} };
    timeout(ENDS, again).await.expect("the silent connection is not replaced");
    elsewhere.append(append()).await.unwrap();
    until_read(&mut read, 3).await;
    following.abort();
}
