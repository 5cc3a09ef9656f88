//! PostgreSQL by hand, as whoever needs no framework would write it: a table of the same columns,
//! its primary key and the one unique key that an event table can't do without.

use std::time::{Duration, Instant};

use futures_util::{TryStreamExt as _, future::join_all};
use serde::Deserialize;
use sqlx::{Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::{
    domain::{ACCOUNTS, memo},
    ours::in_a_task,
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

const COLUMNS: &str = "position, stream, version, event_id, command_id, type, schema_version, \
    recorded_at, tags, payload, metadata";

pub(crate) async fn prepare(url: &str) {
    let mut connection = connect(url).await;
    sqlx::raw_sql(TABLE).execute(&mut connection).await.unwrap();
}

/// After so many rows at once the server has work of its own to do, which would meet whoever is
/// measured first.
pub(crate) async fn settle(url: &str) {
    let mut connection = connect(url).await;
    for statement in ["vacuum (analyze) versus.events", "checkpoint"] {
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    }
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

#[derive(serde::Serialize, Deserialize)]
struct Deposited {
    cents: i64,
    memo: String,
}

/// Transactions per second of so many clients, each with a connection of its own and one row for
/// each transaction. Nobody else writes to the streams of a client.
pub(crate) async fn insert(url: &str, clients: u64, time: Duration) -> f64 {
    let connections = join_all((0..clients).map(|_| connect(url))).await;
    let run = fastrand::u64(..);
    let began = Instant::now();
    let client = |(client, mut connection): (usize, PgConnection)| {
        tokio::spawn(async move {
            let mut done: u64 = 0;
            while began.elapsed() < time {
                insert_one(&mut connection, format!("{run:x}-{client}-{}", done % ACCOUNTS), done)
                    .await;
                done += 1;
            }
            done
        })
    };
    let tasks = connections.into_iter().enumerate().map(client);
    let done: u64 = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
    done as f64 / began.elapsed().as_secs_f64()
}

async fn insert_one(connection: &mut PgConnection, stream: String, number: u64) {
    let payload = serde_json::to_vec(&Deposited { cents: 1, memo: memo(number) }).unwrap();
    sqlx::query(INSERT)
        .bind(stream)
        .bind((number / ACCOUNTS + 1).cast_signed())
        .bind(Uuid::now_v7())
        .bind(Uuid::now_v7())
        .bind(payload)
        .execute(connection)
        .await
        .unwrap();
}

/// A row, every column decoded.
struct Event {
    version: i64,
    payload: Deposited,
    _rest: (i64, String, Uuid, Uuid, String, i32, Option<Vec<String>>, Option<Vec<u8>>),
}

fn decode(row: &sqlx::postgres::PgRow) -> Event {
    let payload: &[u8] = row.get(9);
    Event {
        version: row.get(2),
        payload: serde_json::from_slice(payload).unwrap(),
        _rest: (
            row.get(0),
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

/// Events per second when one stream is selected from Highwater's own table and decoded.
pub(crate) async fn load(url: &str, stream: &'static str, events: u64, time: Duration) -> f64 {
    let connection = connect(url).await;
    in_a_task(loads(connection, stream, events, time)).await
}

async fn loads(mut connection: PgConnection, stream: &str, events: u64, time: Duration) -> f64 {
    let sql = format!("select {COLUMNS} from versus.events where stream = $1 order by version");
    let began = Instant::now();
    let mut loads = 0;
    while began.elapsed() < time {
        let query = sqlx::query(sqlx::AssertSqlSafe(sql.as_str())).bind(stream);
        let rows = query.fetch_all(&mut connection).await.unwrap();
        let (mut balance, mut version) = (0, 0);
        for row in &rows {
            let event = decode(row);
            (balance, version) = (balance + event.payload.cents, event.version);
        }
        assert_eq!((balance, version), (events.cast_signed(), events.cast_signed()));
        loads += 1;
    }
    (loads * events) as f64 / began.elapsed().as_secs_f64()
}

/// Events per second when the whole log is scanned and decoded.
pub(crate) async fn scan(url: &str, events: u64) -> f64 {
    let connection = connect(url).await;
    in_a_task(scan_all(connection, events)).await
}

async fn scan_all(mut connection: PgConnection, events: u64) -> f64 {
    let sql = format!("select {COLUMNS} from versus.events order by position");
    let began = Instant::now();
    let query = sqlx::query(sqlx::AssertSqlSafe(sql.as_str()));
    let mut rows = query.fetch(&mut connection);
    let (mut balance, mut bytes) = (0, 0);
    while let Some(row) = rows.try_next().await.unwrap() {
        let event = decode(&row);
        balance += event.payload.cents;
        bytes += event.payload.memo.len();
    }
    assert!(balance >= events.cast_signed() && bytes > 0);
    balance as f64 / began.elapsed().as_secs_f64()
}
