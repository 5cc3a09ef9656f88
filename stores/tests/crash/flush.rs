//! W7: an append is flushed before it is acknowledged, at every setting of the server for commits.

use std::sync::Arc;

use highwater_core::{
    port::{Append, EventStore as _},
    value::Expected,
};
use highwater_stores::{PostgresHook, PostgresOptions, PostgresStore, testing::build};
use highwater_test_support::postgres::PostgresCluster;
use sqlx::{Connection as _, Executor as _, PgConnection, types::Uuid};
use tokio::runtime::Runtime;

/// The paths of an append to the server, each with its own commit.
#[derive(Debug, Clone, Copy)]
enum AppendPath {
    /// One event, in a single statement.
    Alone,
    /// A batch that is accepted as a whole, without concurrent appends.
    Whole,
    /// A batch that is accepted as a whole while another process appends: visible first, and
    /// flushed in a second transaction.
    InCompany,
    /// A batch that is checked append by append.
    Judged,
    /// An append with a hook, which turns the flush off again.
    WithWork,
}

impl AppendPath {
    const ALL: [Self; 5] =
        [Self::Alone, Self::Whole, Self::InCompany, Self::Judged, Self::WithWork];

    fn append(self) -> Append {
        let stream = build::stream(&build::command().to_string());
        let (expected, events) = match self {
            Self::Alone => (Expected::NoStream, 1),
            Self::Whole | Self::InCompany => (Expected::NoStream, 2),
            Self::Judged | Self::WithWork => (Expected::Any, 1),
        };
        let mut append = build::append_to(&stream, expected, build::events(events));
        if let Self::WithWork = self {
            append.hook = Some(Arc::new(PostgresHook::new(|connection, _| {
                Box::pin(async move {
                    connection.execute("set local synchronous_commit = off").await?;
                    Ok(())
                })
            })));
        }
        append
    }
}

/// Turns the flush off on every level, and keeps the server from flushing soon by itself.
const ASYNCHRONOUS: [&str; 5] = [
    "create table by_hand (command uuid)",
    "alter system set wal_writer_delay = '10s'",
    "alter system set synchronous_commit = off",
    "alter database postgres set synchronous_commit = off",
    "alter role postgres set synchronous_commit = off",
];

/// The number of appends. The first append after a start writes whole pages to the log of the
/// server, and full pages of that log go to disk by themselves. The second is small.
const APPENDS: usize = 2;

async fn connect(cluster: &PostgresCluster) -> PgConnection {
    PgConnection::connect(&cluster.url()).await.unwrap()
}

async fn open(cluster: &PostgresCluster) -> PostgresStore {
    let options = PostgresOptions::new(&cluster.url()).unwrap().schema("fire").unwrap();
    PostgresStore::connect(options).await.unwrap()
}

async fn prepare(cluster: &PostgresCluster) {
    drop(open(cluster).await);
    let mut connection = connect(cluster).await;
    for statement in ASYNCHRONOUS {
        connection.execute(statement).await.unwrap();
    }
}

/// Appends until each is acknowledged, and then commits a row by hand, which is not flushed.
async fn append(cluster: &PostgresCluster, path: AppendPath) -> Vec<Uuid> {
    let store = open(cluster).await;
    let mut by_hand = connect(cluster).await;
    let mut commands = Vec::new();
    for _ in 0..APPENDS {
        let append = path.append();
        commands.push(*append.command.as_uuid());
        if let AppendPath::InCompany = path {
            in_company(cluster, &store, append).await;
        } else {
            store.append(append).await.unwrap();
        }
    }
    let insert = sqlx::query("insert into by_hand select unnest($1)").bind(&commands);
    insert.execute(&mut by_hand).await.unwrap();
    commands
}

/// Appends while another session holds the advisory lock, until that session sees a waiting
/// session.
async fn in_company(cluster: &PostgresCluster, store: &PostgresStore, append: Append) {
    let mut other = connect(cluster).await;
    let mut holding = other.begin().await.unwrap();
    let lock = "select pg_advisory_xact_lock(1751738216, 'fire.events'::regclass::oid::integer)";
    holding.execute(lock).await.unwrap();
    let release = async {
        let waits = "select exists (select from pg_locks \
            where locktype = 'advisory' and not granted)";
        while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut *holding).await.unwrap() {}
        holding.rollback().await.unwrap();
    };
    let (appended, ()) = tokio::join!(store.append(append), release);
    appended.unwrap();
}

/// Returns the numbers of these commands that have events, and that have a row by hand.
async fn count_stored(cluster: &PostgresCluster, commands: &[Uuid]) -> (i64, i64) {
    let sql = "select \
        (select count(distinct command_id) from fire.events where command_id = any($1)), \
        (select count(*) from by_hand where command = any($1))";
    let query = sqlx::query_as(sql).bind(commands);
    query.fetch_one(&mut connect(cluster).await).await.unwrap()
}

/// Returns true if a crash after some appends is conclusive: it has lost the rows that were not flushed.
fn crash_shows(runtime: &Runtime, cluster: &PostgresCluster, path: AppendPath) -> bool {
    let commands = runtime.block_on(append(cluster, path));
    cluster.crash();
    cluster.restart();
    let (appended, by_hand) = runtime.block_on(count_stored(cluster, &commands));
    assert_eq!(appended, APPENDS as i64, "{path:?}: every acknowledged append is stored");
    by_hand == 0
}

#[test]
fn w7_postgres_keeps_what_it_acknowledged_where_synchronous_commit_is_off() {
    let Some(cluster) = PostgresCluster::start("w7_postgres_where_synchronous_commit_is_off")
    else {
        return;
    };
    let runtime = Runtime::new().unwrap();
    runtime.block_on(prepare(&cluster));
    cluster.crash();
    cluster.restart();
    for path in AppendPath::ALL {
        // The server flushes by itself every ten seconds.
        let shown = (0..5).filter(|_| crash_shows(&runtime, &cluster, path)).take(2).count();
        assert_eq!(
            shown, 2,
            "{path:?}: no crash has lost an unflushed row, so the test is inconclusive"
        );
    }
}
