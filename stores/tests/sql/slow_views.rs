//! Work on views that holds all its connections: the log is read, and commands are stored, meanwhile.

use std::{ops::Bound, sync::Arc, time::Duration};

use highwater_core::{
    Error, Position, Query, ReadFrom, Result, SchemaVersion, Version,
    domain::ViewName,
    port::{KeyRange, Snapshot, Store},
    value::Expected,
};
use highwater_stores::testing::build;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tokio::{task::JoinHandle, time::timeout};

use super::{
    commit,
    server::{Server, open},
};

/// The number of reads; the store has fewer connections for them.
const READS: usize = 36;

/// Starts more reads of a view than there are connections for them.
fn read_the_view(store: &Arc<dyn Store>, view: &ViewName) -> Vec<JoinHandle<Result<()>>> {
    let all = || KeyRange { from: Bound::Unbounded, to: Bound::Unbounded };
    let start = |number: usize| {
        let store = Arc::clone(store);
        let view = view.clone();
        tokio::spawn(async move {
            let keys = ["a".to_owned(), number.to_string()];
            match number % 3 {
                0 => store.read_view(&view, &keys).await.map(drop),
                1 => store.read_view(&view, &keys[..1]).await.map(drop),
                _ => store.read_range(&view, &all(), 9).await.map(drop),
            }
        })
    };
    (0..READS).map(start).collect()
}

/// Makes every call of a command on an aggregate that is not in memory, and those of a follower.
async fn work_on_the_log(store: &dyn Store, stream: &str) {
    let stream = build::stream(stream);
    assert_eq!(store.load_snapshot(&stream).await.unwrap(), None);
    store.read_stream(&stream, ReadFrom::After(Version::NONE), 9).await.unwrap();
    let sent = build::append_to(&stream, Expected::NoStream, build::events(1));
    store.append(sent.clone()).await.unwrap();
    assert!(store.append(sent.clone()).await.unwrap().repeated);
    assert!(store.find_command(sent.command).await.unwrap().is_some());
    let snapshot = Snapshot {
        stream,
        version: Version::new(1),
        head: build::event_id(),
        schema: SchemaVersion::FIRST,
        state: b"{}"[..].into(),
    };
    store.save_snapshot(snapshot).await.unwrap();
    let head = store.head().await.unwrap();
    let all = Query::all();
    let page = store.read_log(&all, ReadFrom::After(Position::START), 9).await.unwrap();
    assert_eq!(page.through, head);
}

/// Waits until this many sessions of the user wait for a lock.
async fn until_sessions_wait(owner: &mut PgConnection, user: &str, sessions: i64) {
    let waiting = format!(
        "select count(*) from pg_stat_activity where usename = '{user}' and wait_event_type = 'Lock'"
    );
    let until = async {
        while sqlx::query_scalar::<_, i64>(AssertSqlSafe(waiting.as_str()))
            .fetch_one(&mut *owner)
            .await
            .unwrap()
            < sessions
        {}
    };
    timeout(Duration::from_secs(60), until).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_and_followers_go_on_while_every_read_of_a_view_waits_on_postgres() {
    let test = "commands_and_followers_go_on_while_every_read_of_a_view_waits_on_postgres";
    let Some(server) = Server::of(test).await else { return };
    for connections in [1, 2, 4] {
        let url = server.url().replace("connections=4", &format!("connections={connections}"));
        let store = open(&format!("{url}&connect_timeout=1")).await.unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let view = commit(&*store, "balances").await.view;
        let mut holder = server.owner().await;
        let lock =
            format!("begin; lock table {}.rows_balances in access exclusive mode", server.name);
        holder.execute(AssertSqlSafe(lock)).await.unwrap();
        let reads = read_the_view(&store, &view);
        until_sessions_wait(&mut server.owner().await, &server.name, connections).await;
        // Without a connection for it, the log fails after a second: the pool timed out.
        work_on_the_log(&*store, &format!("cold-{connections}")).await;
        holder.execute("rollback").await.unwrap();
        for read in reads {
            let read = read.await.unwrap();
            assert!(read.as_ref().map_or_else(Error::is_retryable, |()| true), "{read:?}");
        }
        store.read_view(&view, &["a".to_owned()]).await.unwrap();
    }
}
