//! Errors of files that can't be opened, are no databases, or break while they are open.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use highwater_core::{
    Code, Error, NextStep, Query, ReadFrom, SchemaVersion, Version,
    domain::ViewSpec,
    port::{
        Append, EventStore as _, LeaseStore as _, ParkedStore as _, Snapshot, SnapshotStore as _,
        ViewStore as _,
    },
    value::{Epoch, Expected, ShardId, Sharding},
};
use highwater_stores::{SqliteHook, SqliteStore, testing::build};
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use std::sync::Arc;

use super::{append, commit, error_messages, open_sqlite as open, processes};

/// A database file in a temporary folder.
struct DatabaseFile {
    folder: tempfile::TempDir,
}

impl DatabaseFile {
    fn new() -> Self {
        error_messages::record_log();
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("log.db")
    }

    fn url(&self) -> String {
        url(&self.file())
    }

    /// Opens another connection, as another application does.
    async fn other(&self) -> SqliteConnection {
        SqliteConnection::connect(&format!("{}?mode=rwc", self.url())).await.unwrap()
    }

    async fn execute(&self, sql: &'static str) {
        let mut other = self.other().await;
        other.execute(sql).await.unwrap();
        other.close().await.unwrap();
    }

    /// Creates a store with some pages of events, and closes it: all data is then in one file.
    async fn fill(&self) {
        let store = open(&self.url()).await.unwrap();
        for _ in 0..20 {
            let event = build::with_payload(vec![b'x'; 2_000]);
            store.append(build::append_one(&build::stream("a"), event)).await.unwrap();
        }
        store.close().await;
        drop(store);
        self.execute("pragma wal_checkpoint(truncate)").await;
    }
}

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

async fn refused(url: &str) -> Error {
    open(url).await.unwrap_err()
}

#[tokio::test]
async fn a_file_in_a_missing_folder_is_refused_with_the_folder() {
    let place = DatabaseFile::new();
    let error = refused(&url(&place.folder.path().join("nowhere/log.db"))).await;
    let words = ["there is no folder", "nowhere"];
    error_messages::check(&error, Code::BAD_DATABASE, NextStep::FixRequest, &words);
}

#[tokio::test]
async fn a_folder_instead_of_a_file_is_refused() {
    let place = DatabaseFile::new();
    let error = refused(&url(place.folder.path())).await;
    error_messages::check(&error, Code::BAD_DATABASE, NextStep::FixRequest, &["it is a folder"]);
}

#[tokio::test]
async fn a_missing_file_is_refused_if_it_must_be_there() {
    let place = DatabaseFile::new();
    let error = refused(&format!("{}?mode=rw", place.url())).await;
    error_messages::check(&error, Code::BAD_DATABASE, NextStep::FixRequest, &["it doesn't exist"]);
    assert!(!place.file().exists());
}

#[tokio::test]
async fn a_folder_that_must_not_be_written_to_is_refused() {
    let place = DatabaseFile::new();
    processes::let_in(place.folder.path(), 0o555);
    let Some(said) = processes::opened_by_other_user(&place.url()) else {
        return processes::report_skipped("a_folder_that_must_not_be_written_to_is_refused");
    };
    assert!(said.starts_with("HW608 ") && said.contains("log.db"), "{said}");
}

#[tokio::test]
async fn a_file_that_must_not_be_written_to_is_refused() {
    let place = DatabaseFile::new();
    place.fill().await;
    processes::let_in(place.folder.path(), 0o777);
    processes::let_in(&place.file(), 0o444);
    let Some(said) = processes::opened_by_other_user(&place.url()) else {
        return processes::report_skipped("a_file_that_must_not_be_written_to_is_refused");
    };
    assert!(said.starts_with("HW608 ") && said.contains("must be allowed to write"), "{said}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    for garbage in [&b"hello"[..], &[7; 10_000]] {
        let place = DatabaseFile::new();
        fs::write(place.file(), garbage).unwrap();
        let error = refused(&place.url()).await;
        let words = ["not a SQLite database"];
        error_messages::check(&error, Code::FOREIGN_DATABASE, NextStep::FixRequest, &words);
        assert_eq!(fs::read(place.file()).unwrap(), garbage);
    }
}

#[tokio::test]
async fn an_empty_file_is_a_fresh_database() {
    let place = DatabaseFile::new();
    fs::write(place.file(), "").unwrap();
    let store = open(&place.url()).await.unwrap();
    assert_eq!(store.append(append()).await.unwrap().position.get(), 1);
    assert!(error_messages::logged().contains("migrated"), "the test records the log");
}

#[tokio::test]
async fn a_truncated_file_is_an_error_for_the_operator() {
    let place = DatabaseFile::new();
    place.fill().await;
    let file = fs::OpenOptions::new().write(true).open(place.file()).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let error = match open(&place.url()).await {
        Err(error) => error,
        Ok(store) => read_all(&store).await.unwrap_err(),
    };
    error_messages::check(&error, Code::UNDECODABLE, NextStep::AskOperator, &["the database file"]);
}

#[tokio::test]
async fn a_broken_page_is_an_error_for_the_operator() {
    let place = DatabaseFile::new();
    place.fill().await;
    let mut bytes = fs::read(place.file()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xff);
    fs::write(place.file(), bytes).unwrap();
    let store = open(&place.url()).await.unwrap();
    let error = read_all(&store).await.unwrap_err();
    error_messages::check(&error, Code::UNDECODABLE, NextStep::AskOperator, &["the database file"]);
}

async fn read_all(store: &SqliteStore) -> highwater_core::Result<usize> {
    let page =
        store.read_stream(&build::stream("a"), ReadFrom::After(Version::NONE), 1_000).await?;
    Ok(page.events.len())
}

#[tokio::test]
async fn tables_of_another_application_are_left_alone() {
    let place = DatabaseFile::new();
    place.execute("create table events (id integer); insert into events values (7)").await;
    let store = open(&place.url()).await.unwrap();
    store.append(append()).await.unwrap();
    let id: i64 = sqlx::query_scalar("select id from events")
        .fetch_one(&mut place.other().await)
        .await
        .unwrap();
    assert_eq!(id, 7);
}

#[tokio::test]
async fn foreign_tables_with_highwaters_names_are_refused_and_left_alone() {
    for (sql, name) in [
        ("create table highwater_events (id integer)", "highwater_events"),
        ("create table highwater_migrations (id integer)", "highwater_migrations"),
        ("create table highwater_snapshots (id integer)", "highwater_snapshots"),
        (
            "create table highwater_migrations (name text); create table highwater_events (id)",
            "highwater_migrations",
        ),
        (
            "create table highwater_migrations (version text); create table highwater_events (id);
             insert into highwater_migrations values ('2024_first')",
            "highwater_migrations",
        ),
    ] {
        let place = DatabaseFile::new();
        place.execute(sql).await;
        let error = refused(&place.url()).await;
        error_messages::check(&error, Code::FOREIGN_DATABASE, NextStep::FixRequest, &[name]);
        let tables: i64 =
            sqlx::query_scalar("select count(*) from sqlite_master where type = 'table'")
                .fetch_one(&mut place.other().await)
                .await
                .unwrap();
        assert_eq!(tables as usize, sql.matches("create table").count());
    }
}

#[tokio::test]
async fn a_file_whose_text_is_utf_16_is_refused() {
    let place = DatabaseFile::new();
    place.execute("pragma encoding = 'UTF-16'; create table mine (id integer)").await;
    let error = refused(&place.url()).await;
    error_messages::check(
        &error,
        Code::BAD_DATABASE,
        NextStep::FixRequest,
        &["UTF-16", "must be in UTF-8"],
    );
}

#[tokio::test]
async fn a_file_from_a_newer_highwater_is_refused() {
    let place = DatabaseFile::new();
    place.fill().await;
    place.execute("insert into highwater_migrations (version) values (99)").await;
    let error = refused(&place.url()).await;
    let words = ["of Highwater's schema", "use a newer Highwater"];
    error_messages::check(&error, Code::NEWER_DATABASE, NextStep::FixRequest, &words);
}

#[tokio::test]
async fn a_file_without_its_table_of_migrations_is_refused() {
    let place = DatabaseFile::new();
    place.fill().await;
    place.execute("drop table highwater_migrations").await;
    let error = refused(&place.url()).await;
    let words = ["highwater_migrations", "dropped"];
    error_messages::check(&error, Code::FOREIGN_DATABASE, NextStep::FixRequest, &words);
}

#[tokio::test]
async fn a_lock_that_another_process_holds_too_long_is_named_and_stops_nothing() {
    let place = DatabaseFile::new();
    place.fill().await;
    let url = format!("{}?busy_timeout=200ms", place.url());
    let store = open(&url).await.unwrap();
    let begun = Instant::now();
    let holder = processes::hold(&place.url());
    for error in [refused(&url).await, store.append(append()).await.unwrap_err()] {
        error_messages::check(
            &error,
            Code::LOCKED,
            NextStep::Retry,
            &["locked by another process"],
        );
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(read_all(&store).await.unwrap(), 20, "readers are not blocked");
    drop(holder);
    assert_eq!(store.append(append()).await.unwrap().position.get(), 21);
}

#[tokio::test]
async fn a_table_dropped_while_the_store_is_open_is_named() {
    let place = DatabaseFile::new();
    let store = open(&place.url()).await.unwrap();
    store.append(append()).await.unwrap();
    let commit = commit(&store, "balances").await;
    let view = commit.view.clone();
    let snapshot = || Snapshot {
        stream: build::stream("a"),
        version: Version::new(1),
        head: build::event_id(),
        schema: SchemaVersion::FIRST,
        state: b"{}"[..].into(),
    };
    let stream = build::stream("a");
    place.execute("alter table highwater_rows_balances rename to elsewhere").await;
    named(store.commit_view(commit).await, "highwater_rows_balances");
    place.execute("alter table elsewhere rename to highwater_rows_balances").await;
    place.execute("drop table highwater_rows_balances").await;
    named(store.read_view(&view, &["a".into()]).await, "highwater_rows_balances");
    let spec = ViewSpec::rows(view.clone());
    store.open_view(&spec, Sharding::SINGLE).await.unwrap();
    place.execute("drop table highwater_parked_keys").await;
    named(store.read_view(&view, &["a".into()]).await, "highwater_parked_keys");
    named(store.parked_keys(&view, None, 1).await, "highwater_parked_keys");
    place.execute("drop table highwater_shards").await;
    named(store.read_view(&view, &[]).await, "highwater_shards");
    named(store.release_shard(&view, ShardId::FIRST, Epoch::new(1)).await, "highwater_shards");
    place.execute("drop table highwater_views").await;
    named(store.open_view(&spec, Sharding::SINGLE).await, "highwater_views");
    place.execute("drop table highwater_snapshots").await;
    named(store.load_snapshot(&stream).await, "highwater_snapshots");
    named(store.save_snapshot(snapshot()).await, "highwater_snapshots");
    place.execute("drop table highwater_commands").await;
    named(store.find_command(build::command()).await, "highwater_commands");
    named(store.append(append()).await, "highwater_commands");
    place.execute("drop table highwater_events").await;
    named(store.read_stream(&stream, ReadFrom::After(Version::NONE), 1).await, "highwater_events");
    let start = ReadFrom::After(highwater_core::Position::START);
    named(store.read_log(&Query::all(), start, 1).await, "highwater_events");
    named(store.head().await, "highwater_events");
    named(store.append(append()).await, "highwater_events");
}

#[track_caller]
fn named<T: std::fmt::Debug>(outcome: highwater_core::Result<T>, table: &str) {
    error_messages::check(
        &outcome.unwrap_err(),
        Code::BAD_DATABASE,
        NextStep::FixRequest,
        &[table],
    );
}

#[tokio::test]
async fn a_row_that_cannot_be_decoded_is_an_error_for_the_operator() {
    let place = DatabaseFile::new();
    let store = open(&place.url()).await.unwrap();
    store.append(append()).await.unwrap();
    let view = commit(&store, "balances").await.view;
    place.execute("update highwater_shards set position = -1").await;
    let error = store.read_view(&view, &["a".into()]).await.unwrap_err();
    error_messages::check(
        &error,
        Code::UNDECODABLE,
        NextStep::AskOperator,
        &["a row of the store"],
    );
    place.execute("update highwater_events set version = -1").await;
    let error =
        store.read_log(&Query::all(), ReadFrom::Before(highwater_core::Position::END), 9).await;
    error_messages::check(
        &error.unwrap_err(),
        Code::UNDECODABLE,
        NextStep::AskOperator,
        &["a row of the store"],
    );
}

/// Returns an append whose hook runs a statement on the writing connection.
fn on_the_writer(sql: &'static str) -> Append {
    let work = SqliteHook::new(move |connection, _| {
        Box::pin(async move {
            connection.execute(sql).await.unwrap();
            Ok(())
        })
    });
    Append { hook: Some(Arc::new(work)), ..append() }
}

#[tokio::test]
async fn w2_a_full_disk_loses_nothing_and_the_store_recovers() {
    let place = DatabaseFile::new();
    let store = open(&place.url()).await.unwrap();
    // SQLite rounds the limit up to the current size, and the limit ends with the connection.
    store.append(on_the_writer("pragma max_page_count = 1")).await.unwrap();
    let events = vec![build::event(), build::with_payload(vec![b'x'; 200_000])];
    let large = build::append_to(&build::stream("a"), Expected::Any, events);
    let error = store.append(large.clone()).await.unwrap_err();
    error_messages::check(&error, Code::UNREACHABLE, NextStep::Retry, &["full"]);
    assert_eq!(read_all(&store).await.unwrap(), 1);
    // SQLite has ended the transaction by itself: the store must have repaired the writing
    // connection.
    assert_eq!(store.append(large).await.unwrap().position.get(), 3);
    assert_eq!(read_all(&store).await.unwrap(), 3);
}

#[tokio::test]
async fn w4_an_append_to_a_full_disk_is_known_to_have_stored_nothing() {
    let place = DatabaseFile::new();
    let store = open(&place.url()).await.unwrap();
    store.append(on_the_writer("pragma max_page_count = 1")).await.unwrap();
    // One event at a known version is one statement without a transaction.
    let event = build::with_payload(vec![b'x'; 200_000]);
    let large = build::append_to(&build::stream("b"), Expected::NoStream, vec![event]);
    for _ in 0..2 {
        let error = store.append(large.clone()).await.unwrap_err();
        error_messages::check(&error, Code::UNREACHABLE, NextStep::Retry, &["appending", "full"]);
    }
    store.append(on_the_writer("pragma max_page_count = 1000000")).await.unwrap();
    let appended = store.append(large).await.unwrap();
    assert_eq!((appended.position.get(), appended.repeated), (3, false));
}
