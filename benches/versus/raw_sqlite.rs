//! SQLite by hand, through rusqlite, on the calling thread: a table of the same columns, its primary key and the one
//! unique key that an event table needs.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, Row, params};
use serde::Deserialize;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::domain::{ACCOUNTS, BALANCES, memo};
use highwater_benches::{Delivery, Routine, Seen, Writer};

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

pub(crate) fn connect(file: &Path) -> Connection {
    let connection = Connection::open(file).unwrap();
    connection.execute_batch("pragma journal_mode = wal; pragma synchronous = full").unwrap();
    connection
}

#[derive(serde::Serialize, Deserialize)]
struct Deposited {
    cents: i64,
    memo: String,
}

/// Removes the view, so that the next worker builds it from the start.
pub(crate) fn forget(file: &Path) {
    let table = format!(
        "drop view if exists highwater_live_{BALANCES}; drop table if exists highwater_rows_{BALANCES}"
    );
    let shards = format!("delete from highwater_shards where view = '{BALANCES}'");
    let view = format!("delete from highwater_views where view = '{BALANCES}'");
    connect(file).execute_batch(&format!("{table}; {shards}; {view}")).unwrap();
}

/// Returns inserts of rows, with a number of them in each transaction.
pub(crate) fn inserts(file: &Path, batch: u64) -> impl Routine + use<> {
    let mut client = Client::open(file);
    move |rows| {
        let began = Instant::now();
        let mut left = rows;
        while left > 0 {
            let rows = batch.min(left);
            client.insert(rows);
            left -= rows;
        }
        began.elapsed()
    }
}

/// A client that is the only writer of its streams.
pub(crate) struct Client {
    connection: Connection,
    name: String,
    done: u64,
}

impl Client {
    fn open(file: &Path) -> Self {
        let connection = connect(file);
        connection.execute_batch(TABLE).unwrap();
        Self { connection, name: format!("{:x}", fastrand::u64(..)), done: 0 }
    }

    /// Commits a number of rows in one transaction.
    fn insert(&mut self, rows: u64) {
        if rows > 1 {
            self.connection.execute_batch("begin immediate").unwrap();
        }
        for _ in 0..rows {
            self.insert_one();
        }
        if rows > 1 {
            self.connection.execute_batch("commit").unwrap();
        }
    }

    fn insert_one(&mut self) {
        let number = self.done;
        self.done += 1;
        let stream = format!("{}-{}", self.name, number % ACCOUNTS);
        let payload = serde_json::to_vec(&Deposited { cents: 1, memo: memo(number) }).unwrap();
        let (id, command) = (Uuid::now_v7(), Uuid::now_v7());
        let now = jiff::Timestamp::now().as_microsecond();
        let version = (number / ACCOUNTS + 1).cast_signed();
        self.connection
            .prepare_cached(INSERT)
            .unwrap()
            .execute(params![stream, version, id.as_bytes(), command.as_bytes(), now, payload])
            .unwrap();
    }
}

/// A row with every column decoded.
struct Event {
    position: i64,
    version: i64,
    payload: Deposited,
    _rest: (String, [u8; 16], [u8; 16], String, i32, i64, Option<String>, Option<Vec<u8>>),
}

fn decode(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        position: row.get(0)?,
        version: row.get(2)?,
        payload: serde_json::from_slice(row.get_ref(9)?.as_blob().unwrap()).unwrap(),
        _rest: (
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

/// Selects one stream from Highwater's own table, and decodes it.
pub(crate) fn loads(file: &Path, stream: &'static str, events: u64) -> impl Routine + use<> {
    let connection = connect(file);
    let sql = format!("select {COLUMNS} from highwater_events where stream = ? order by version");
    move |loads| {
        let began = Instant::now();
        for _ in 0..loads {
            let mut statement = connection.prepare_cached(&sql).unwrap();
            let (mut balance, mut version) = (0, 0);
            for event in statement.query_map([stream], decode).unwrap() {
                let event = event.unwrap();
                (balance, version) = (balance + event.payload.cents, event.version);
            }
            assert_eq!((balance, version), (events.cast_signed(), events.cast_signed()));
        }
        began.elapsed()
    }
}

/// Scans the whole log, and decodes it.
pub(crate) fn scans(file: &Path, events: u64) -> impl Routine + use<> {
    let file = file.to_owned();
    move |scans| (0..scans).map(|_| scan(&connect(&file), events)).sum()
}

fn scan(connection: &Connection, events: u64) -> Duration {
    let sql = format!("select {COLUMNS} from highwater_events order by position");
    let began = Instant::now();
    let mut statement = connection.prepare(&sql).unwrap();
    let (mut balance, mut bytes) = (0, 0);
    for event in statement.query_map([], decode).unwrap() {
        let event = event.unwrap();
        balance += event.payload.cents;
        bytes += event.payload.memo.len();
    }
    assert!(balance == events.cast_signed() && bytes > 0);
    began.elapsed()
}

/// A committed insert that wakes a waiter in the same process, which selects the new rows.
pub(crate) fn delivery(file: &Path) -> Delivery<Waking> {
    let (wake, woken) = mpsc::channel(1_024);
    let (writer, reader) = (Client::open(file), connect(file));
    Delivery::start(Waking { writer, wake }, |tell| select(woken, reader, tell))
}

/// A client that wakes a waiter after each commit.
pub(crate) struct Waking {
    writer: Client,
    wake: mpsc::Sender<()>,
}

impl Writer for Waking {
    async fn write(&mut self, _: u64) -> u64 {
        self.writer.insert(1);
        self.wake.send(()).await.unwrap();
        self.writer.connection.last_insert_rowid().cast_unsigned()
    }
}

async fn select(mut woken: mpsc::Receiver<()>, reader: Connection, tell: mpsc::Sender<Seen>) {
    let newest = "select coalesce(max(position), 0) from by_hand";
    let mut seen = reader.query_row(newest, [], |row| row.get(0)).unwrap();
    // The loop ends when the writer is dropped.
    while woken.recv().await.is_some() {
        seen = select_after(&reader, seen);
        let _ = tell.send((seen.cast_unsigned(), Instant::now())).await;
    }
}

/// Decodes all rows after this position, and returns the position of the last one.
fn select_after(reader: &Connection, seen: i64) -> i64 {
    let sql = format!("select {COLUMNS} from by_hand where position > ? order by position");
    let mut statement = reader.prepare_cached(&sql).unwrap();
    let events = statement.query_map([seen], decode).unwrap();
    events.last().map_or(seen, |event| event.unwrap().position)
}
