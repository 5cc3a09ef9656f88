//! PostgreSQL by hand, as an application without a framework uses it: a table of the same columns, its primary key and
//! the one unique key that an event table needs.

use std::time::{Duration, Instant};

use futures_util::{TryStreamExt as _, future::join_all};
use serde::Deserialize;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool, Row as _,
    postgres::{PgListener, PgPoolOptions, PgRow},
};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::domain::{ACCOUNTS, memo};
use highwater_benches::{
    Board, Budget, Delivery, Pace, Paced, Routine, Seen, Spot, Writer, in_a_task, wait,
};

const TABLE: &str = "
    drop schema if exists by_hand cascade;
    create schema by_hand;
    create table by_hand.events (
        position bigint generated always as identity primary key,
        stream text collate \"C\" not null,
        version bigint not null,
        event_id uuid not null,
        command_id uuid not null,
        type text collate \"C\" not null,
        schema_version integer not null,
        recorded_at timestamptz not null default clock_timestamp(),
        tags text[],
        payload bytea not null,
        metadata bytea,
        unique (stream, version)
    )";

const INSERT: &str = "insert into by_hand.events \
    (stream, version, event_id, command_id, type, schema_version, payload) \
    values ($1, $2, $3, $4, 'account.deposited', 1, $5)";

/// The same row, with a notification at the commit.
const NOTIFY: &str = "with inserted as (insert into by_hand.events \
    (stream, version, event_id, command_id, type, schema_version, payload) \
    values ($1, $2, $3, $4, 'account.deposited', 1, $5) returning position) \
    select position, pg_notify('by_hand', '') from inserted";

/// Highwater's tables for the log that is read.
pub(crate) const SCHEMA: &str = "versus";

const COLUMNS: &str = "position, stream, version, event_id, command_id, type, schema_version, \
    recorded_at, tags, payload, metadata";

pub(crate) async fn prepare(url: &str) {
    run(url, TABLE).await;
}

/// Lets the server finish its maintenance after a bulk insert, which would otherwise disturb the first measurement.
pub(crate) async fn settle(url: &str, schema: &str) {
    run(url, &format!("vacuum (analyze) {schema}.events")).await;
    run(url, "checkpoint").await;
}

/// Removes the view, so that the next worker builds it from the start.
pub(crate) async fn forget(url: &str, schema: &str, view: &str) {
    let table = format!("drop table if exists {schema}.rows_{view} cascade");
    let shards = format!("delete from {schema}.shards where view = '{view}'");
    let view = format!("delete from {schema}.views where view = '{view}'");
    run(url, &format!("{table}; {shards}; {view}")).await;
}

async fn run(url: &str, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connect(url).await).await.unwrap();
}

pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

#[derive(serde::Serialize, Deserialize)]
pub(crate) struct Deposited {
    pub(crate) cents: i64,
    pub(crate) memo: String,
}

/// Returns transactions of one row each, from a number of clients with one connection each.
pub(crate) fn inserts(url: &str, clients: u64) -> impl Routine + use<> {
    let run = fastrand::u64(..);
    let client = async |client| Client {
        connection: connect(url).await,
        name: format!("{run:x}-{client}"),
        done: 0,
    };
    let mut clients = wait(join_all((0..clients).map(client)));
    move |transactions| {
        let budget = Budget::of(transactions);
        let began = Instant::now();
        let tasks = clients.drain(..).map(|client| tokio::spawn(client.spend(budget.clone())));
        let done = wait(join_all(tasks));
        let took = began.elapsed();
        clients.extend(done.into_iter().map(Result::unwrap));
        took
    }
}

/// A client that is the only writer of its streams.
pub(crate) struct Client {
    connection: PgConnection,
    name: String,
    done: u64,
}

impl Client {
    async fn spend(mut self, budget: Budget) -> Self {
        while budget.take() {
            self.bound(INSERT).execute(&mut self.connection).await.unwrap();
        }
        self
    }

    /// Binds the values of the next row to a statement.
    fn bound(&mut self, sql: &'static str) -> Query {
        let number = self.done;
        self.done += 1;
        bound(sql, &self.name, number)
    }
}

fn bound(sql: &'static str, name: &str, number: u64) -> Query {
    let payload = serde_json::to_vec(&Deposited { cents: 1, memo: memo(number) }).unwrap();
    let (stream, version) = key(name, number);
    sqlx::query(sql)
        .bind(stream)
        .bind(version)
        .bind(Uuid::now_v7())
        .bind(Uuid::now_v7())
        .bind(payload)
}

/// Returns the stream and the version of a row.
fn key(name: &str, number: u64) -> (String, i64) {
    (format!("{name}-{}", number % ACCOUNTS), (number / ACCOUNTS + 1).cast_signed())
}

type Query = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// A row with every column decoded.
struct Event {
    position: i64,
    version: i64,
    payload: Deposited,
    _rest: (String, Uuid, Uuid, String, i32, Option<Vec<String>>, Option<Vec<u8>>),
}

fn decode(row: &PgRow) -> Event {
    let payload: &[u8] = row.get(9);
    Event {
        position: row.get(0),
        version: row.get(2),
        payload: serde_json::from_slice(payload).unwrap(),
        _rest: (
            row.get(1),
            row.get(3),
            row.get(4),
            row.get(5),
            row.get(6),
            row.get(8),
            row.get(10),
        ),
    }
}

/// Selects one stream from Highwater's own table, and decodes it.
pub(crate) fn loads(url: &str, stream: &'static str, events: u64) -> impl Routine + use<> {
    let mut connection = Some(wait(connect(url)));
    move |loads| {
        let loading = load(connection.take().unwrap(), stream, events, loads);
        let (back, took) = wait(in_a_task(loading));
        connection = Some(back);
        took
    }
}

async fn load(
    mut connection: PgConnection,
    stream: &str,
    events: u64,
    loads: u64,
) -> (PgConnection, Duration) {
    let sql = format!("select {COLUMNS} from {SCHEMA}.events where stream = $1 order by version");
    let began = Instant::now();
    for _ in 0..loads {
        let query = sqlx::query(AssertSqlSafe(sql.as_str())).bind(stream);
        let rows = query.fetch_all(&mut connection).await.unwrap();
        let (mut balance, mut version) = (0, 0);
        for row in &rows {
            let event = decode(row);
            (balance, version) = (balance + event.payload.cents, event.version);
        }
        assert_eq!((balance, version), (events.cast_signed(), events.cast_signed()));
    }
    (connection, began.elapsed())
}

/// Scans the whole log, and decodes it.
pub(crate) fn scans(url: &str, events: u64) -> impl Routine + use<> {
    let url = url.to_owned();
    move |scans| {
        (0..scans)
            .map(|_| {
                let connection = wait(connect(&url));
                wait(in_a_task(scan(connection, events)))
            })
            .sum()
    }
}

async fn scan(mut connection: PgConnection, events: u64) -> Duration {
    let sql = format!("select {COLUMNS} from {SCHEMA}.events order by position");
    let began = Instant::now();
    let query = sqlx::query(AssertSqlSafe(sql.as_str()));
    let mut rows = query.fetch(&mut connection);
    let (mut balance, mut bytes) = (0, 0);
    while let Some(row) = rows.try_next().await.unwrap() {
        let event = decode(&row);
        balance += event.payload.cents;
        bytes += event.payload.memo.len();
    }
    assert!(balance == events.cast_signed() && bytes > 0);
    began.elapsed()
}

/// An insert that notifies a listener, which selects the new rows.
pub(crate) async fn delivery(url: &str) -> Delivery<Client> {
    let connection = connect(url).await;
    let writer = Client { connection, name: format!("{:x}", fastrand::u64(..)), done: 0 };
    let mut listener = PgListener::connect(url).await.unwrap();
    listener.listen("by_hand").await.unwrap();
    let reader = connect(url).await;
    Delivery::start(writer, |tell| select(listener, reader, tell))
}

impl Writer for Client {
    async fn write(&mut self, _: u64) -> u64 {
        let inserted = self.bound(NOTIFY).fetch_one(&mut self.connection).await.unwrap();
        inserted.get::<i64, _>(0).cast_unsigned()
    }
}

pub(crate) async fn select(
    mut listener: PgListener,
    mut reader: PgConnection,
    tell: mpsc::Sender<Seen>,
) {
    let sql = format!(
        "select {COLUMNS} from by_hand.events where position > $1 order by position limit 1000"
    );
    let newest = "select coalesce(max(position), 0) from by_hand.events";
    let mut seen: i64 = sqlx::query_scalar(newest).fetch_one(&mut reader).await.unwrap();
    // The loop ends when the receiver is dropped.
    while tokio::select! {
        notified = listener.recv() => notified.is_ok(),
        () = tell.closed() => false,
    } {
        let query = sqlx::query(AssertSqlSafe(sql.as_str())).bind(seen);
        for row in query.fetch_all(&mut reader).await.unwrap() {
            seen = decode(&row).position;
        }
        let _ = tell.send((seen.cast_unsigned(), Instant::now())).await;
    }
}

/// Connections that clients take in turn.
pub(crate) struct Pool {
    pool: PgPool,
    name: String,
}

impl Pool {
    pub(crate) async fn open(url: &str) -> Self {
        let pool = PgPoolOptions::new().max_connections(8).connect(url).await.unwrap();
        Self { pool, name: format!("{:x}", fastrand::u64(..)) }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Returns the stream and the version of the row with this number.
    pub(crate) fn key(&self, number: u64) -> (String, i64) {
        key(&self.name, number)
    }

    /// Commits one row with a notification; returns its position.
    pub(crate) async fn insert_and_notify(&self, number: u64) -> u64 {
        let inserted = bound(NOTIFY, &self.name, number).fetch_one(&self.pool).await.unwrap();
        inserted.get::<i64, _>(0).cast_unsigned()
    }

    /// Commits one row.
    #[cfg(feature = "kafka")]
    pub(crate) async fn insert(&self, number: u64) {
        bound(INSERT, &self.name, number).execute(&self.pool).await.unwrap();
    }
}

/// Inserts that notify a listener, which selects the new rows.
pub(crate) async fn paced(url: &str, per_second: u32) -> Pace<Pool> {
    let mut listener = PgListener::connect(url).await.unwrap();
    listener.listen("by_hand").await.unwrap();
    let (board, reader) = (Board::default(), connect(url).await);
    let ((tell, seen), notes) = (mpsc::channel(1_024), board.clone());
    Pace::start(per_second, Pool::open(url).await, &board, async move {
        tokio::join!(select(listener, reader, tell), note(seen, notes));
    })
}

/// Records all positions that are seen. The log has one lane.
pub(crate) async fn note(mut seen: mpsc::Receiver<Seen>, board: Board) {
    while let Some((position, _)) = seen.recv().await {
        board.sees([Spot { lane: 0, position }]);
    }
}

impl Paced for Pool {
    async fn write(&self, number: u64) -> Spot {
        Spot { lane: 0, position: self.insert_and_notify(number).await }
    }
}
