//! SQLite by hand, through rusqlite, on the thread that asks: a table of the same columns, its
//! primary key and the one unique key that an event table can't do without.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, Row, params};
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::{ACCOUNTS, memo};

const TABLE: &str = "
    create table if not exists by_hand (
        position integer primary key,
        stream text not null,
        version integer not null,
        event_id blob not null,
        command_id blob not null,
        type text not null,
        schema_version integer not null,
        recorded_at integer not null,
        tags text,
        payload blob not null,
        metadata blob,
        unique (stream, version)
    )";

const INSERT: &str = "insert into by_hand \
    (stream, version, event_id, command_id, type, schema_version, recorded_at, payload) \
    values (?, ?, ?, ?, 'account.deposited', 1, ?, ?)";

const COLUMNS: &str = "position, stream, version, event_id, command_id, type, schema_version, \
    recorded_at, tags, payload, metadata";

fn connect(file: &Path) -> Connection {
    let connection = Connection::open(file).unwrap();
    connection.execute_batch("pragma journal_mode = wal; pragma synchronous = full").unwrap();
    connection
}

#[derive(serde::Serialize, Deserialize)]
struct Deposited {
    cents: i64,
    memo: String,
}

/// Rows per second, so many in a transaction.
pub(crate) fn insert(file: &Path, batch: u64, time: Duration) -> f64 {
    let connection = connect(file);
    connection.execute_batch(TABLE).unwrap();
    let run = fastrand::u64(..);
    let began = Instant::now();
    let mut done = 0;
    while began.elapsed() < time {
        if batch > 1 {
            connection.execute_batch("begin immediate").unwrap();
        }
        for number in done..done + batch {
            insert_one(&connection, &format!("{run:x}-{}", number % ACCOUNTS), number);
        }
        if batch > 1 {
            connection.execute_batch("commit").unwrap();
        }
        done += batch;
    }
    done as f64 / began.elapsed().as_secs_f64()
}

fn insert_one(connection: &Connection, stream: &str, number: u64) {
    let payload = serde_json::to_vec(&Deposited { cents: 1, memo: memo(number) }).unwrap();
    let (id, command) = (Uuid::now_v7(), Uuid::now_v7());
    let now = jiff::Timestamp::now().as_microsecond();
    let version = (number / ACCOUNTS + 1).cast_signed();
    connection
        .prepare_cached(INSERT)
        .unwrap()
        .execute(params![stream, version, id.as_bytes(), command.as_bytes(), now, payload])
        .unwrap();
}

/// A row, every column decoded.
struct Event {
    version: i64,
    payload: Deposited,
    _rest: (i64, String, [u8; 16], [u8; 16], String, i32, i64, Option<String>, Option<Vec<u8>>),
}

fn decode(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        version: row.get(2)?,
        payload: serde_json::from_slice(row.get_ref(9)?.as_blob().unwrap()).unwrap(),
        _rest: (
            row.get(0)?,
            row.get(1)?,
            row.get(3)?,
            row.get(4)?,
            row.get(5)?,
            row.get(6)?,
            row.get(7)?,
            row.get(8)?,
            row.get(10)?,
        ),
    })
}

/// Events per second when one stream is selected from Highwater's own table and decoded.
pub(crate) fn load(file: &Path, stream: &str, events: u64, time: Duration) -> f64 {
    let connection = connect(file);
    let sql = format!("select {COLUMNS} from highwater_events where stream = ? order by version");
    let began = Instant::now();
    let mut loads = 0;
    while began.elapsed() < time {
        let mut statement = connection.prepare_cached(&sql).unwrap();
        let (mut balance, mut version) = (0, 0);
        for event in statement.query_map([stream], decode).unwrap() {
            let event = event.unwrap();
            (balance, version) = (balance + event.payload.cents, event.version);
        }
        assert_eq!((balance, version), (events.cast_signed(), events.cast_signed()));
        loads += 1;
    }
    (loads * events) as f64 / began.elapsed().as_secs_f64()
}

/// Events per second when the whole log is scanned and decoded.
pub(crate) fn scan(file: &Path, events: u64) -> f64 {
    let connection = connect(file);
    let sql = format!("select {COLUMNS} from highwater_events order by position");
    let began = Instant::now();
    let mut statement = connection.prepare(&sql).unwrap();
    let (mut balance, mut bytes) = (0, 0);
    for event in statement.query_map([], decode).unwrap() {
        let event = event.unwrap();
        balance += event.payload.cents;
        bytes += event.payload.memo.len();
    }
    assert!(balance >= events.cast_signed() && bytes > 0);
    balance as f64 / began.elapsed().as_secs_f64()
}
