//! Columns and indexes of large views on PostgreSQL, added while the views are in use.

use std::{sync::Arc, time::Duration};

use highwater_core::{
    Code, NextStep,
    domain::{Column, ColumnKind, Index, ViewName, ViewSpec},
    port::ViewCommit,
    value::Sharding,
};
use sqlx::Executor as _;

use super::{commit, error_messages, open_any, outbox::Outbox};

/// The number of rows, and the bytes of each: beyond them a table is large.
const ROWS: usize = 1_200;
const ROW_SIZE: usize = 6_000;

fn spec() -> ViewSpec {
    let text = |name| Column { name, kind: ColumnKind::Text };
    let columns = vec![text("owner"), Column { name: "cents", kind: ColumnKind::Integer }];
    let indexes: Vec<Index> = vec![&["owner"], &["cents", "owner"]];
    ViewSpec { columns, indexes, ..ViewSpec::rows(ViewName::new("balances").unwrap()) }
}

/// Returns an outbox with a view of many rows, without columns.
async fn large(test: &str) -> Option<Outbox> {
    let outbox = Outbox::on_postgres(test).await?;
    let mut random = fastrand::Rng::with_seed(7);
    let mut row = |number: usize| {
        let pad: String = std::iter::repeat_with(|| random.alphanumeric()).take(ROW_SIZE).collect();
        let row = format!(r#"{{"owner":"owner {}","cents":{number},"pad":"{pad}"}}"#, number % 10);
        (format!("key {number:05}"), Some(row.into()))
    };
    let rows = (0..ROWS).map(&mut row).collect();
    let commit = ViewCommit { rows, ..commit(&*outbox.store, "balances").await };
    outbox.store.commit_view(commit).await.unwrap();
    Some(outbox)
}

/// Writes one more row, as a worker does.
async fn write(outbox: &Outbox, key: &str, row: &'static str) -> highwater_core::Result<()> {
    let rows = vec![(key.to_owned(), Some(row.as_bytes().into()))];
    let commit = ViewCommit { rows, ..commit(&*outbox.store, "balances").await };
    outbox.store.commit_view(commit).await
}

/// Returns the number of rows whose columns differ from their fields.
async fn differences(outbox: &Outbox) -> String {
    let sql = "select count(*)::text from live_balances where \
               owner is distinct from value ->> 'owner' \
               or cents is distinct from (value ->> 'cents')::bigint";
    outbox.texts(sql).await.remove(0)
}

/// Waits until a statement waits for a lock.
async fn until_waiting(outbox: &Outbox, statement: &str) {
    let sql = format!(
        "select count(*)::text from pg_stat_activity \
         where wait_event_type = 'Lock' and query like '%{statement}%' \
         and query not like '%pg_stat_activity%'"
    );
    while outbox.texts(&sql).await == ["0"] {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r1_columns_and_indexes_are_added_to_a_large_view_while_it_is_used_on_postgres() {
    let test = "r1_columns_and_indexes_are_added_to_a_large_view_while_it_is_used_on_postgres";
    let Some(outbox) = large(test).await else { return };
    let outbox = Arc::new(outbox);
    let file = "select distinct pg_relation_filenode(tableoid)::text from rows_balances";
    let before = outbox.texts(file).await;
    let mut reader = outbox.idle_after("select count(*) from live_balances").await;
    let opening = tokio::spawn({
        let outbox = Arc::clone(&outbox);
        async move { outbox.store.open_view(&spec(), Sharding::SINGLE).await }
    });
    until_waiting(&outbox, "alter table").await;
    // The reader stays, and the change gives way: others wait behind it until its time-out.
    let used = async {
        write(&outbox, "key 00001", r#"{"owner":"new","cents":-1}"#).await.unwrap();
        let view = spec().name;
        let read = outbox.store.read_view(&view, &["key 00001".to_owned()]).await.unwrap();
        assert!(read.rows[0].value.is_some());
    };
    tokio::time::timeout(Duration::from_secs(30), used).await.unwrap();
    reader.execute("commit").await.unwrap();
    opening.await.unwrap().unwrap();
    assert_eq!(outbox.texts(file).await, before, "the table was rewritten under a lock");
    assert_eq!(differences(&outbox).await, "0");
    write(&outbox, "key 00002", r#"{"owner":null,"cents":7}"#).await.unwrap();
    write(&outbox, "later", r#"{"owner":"later","other":[1]}"#).await.unwrap();
    write(&outbox, "text", r#""no object""#).await.unwrap();
    assert_eq!(differences(&outbox).await, "0");
    assert_eq!(outbox.indexes("rows_balances").await.len(), 2);
    let plan = outbox.plan("select key from live_balances where owner = 'later'").await;
    assert!(plan.contains("index_balances_by_owner"), "{plan}");

    // Opened again, also by another process, it has everything.
    let other = open_any(outbox.url()).await.unwrap();
    other.open_view(&spec(), Sharding::SINGLE).await.unwrap();
    let of_another_kind = Column { name: "cents", kind: ColumnKind::Text };
    let wrong = ViewSpec { columns: vec![of_another_kind], indexes: Vec::new(), ..spec() };
    let error = other.open_view(&wrong, Sharding::SINGLE).await.unwrap_err();
    error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &["cents", "bigint"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn r1_rows_are_written_while_an_index_of_a_large_view_is_built_on_postgres() {
    let test = "r1_rows_are_written_while_an_index_of_a_large_view_is_built_on_postgres";
    let Some(outbox) = large(test).await else { return };
    let outbox = Arc::new(outbox);
    let first = ViewSpec { indexes: Vec::new(), ..spec() };
    outbox.store.open_view(&first, Sharding::SINGLE).await.unwrap();
    let update = "update rows_balances set value = value where key = 'key 00001'";
    let mut writer = outbox.idle_after(update).await;
    let opening = tokio::spawn({
        let outbox = Arc::clone(&outbox);
        async move { outbox.store.open_view(&spec(), Sharding::SINGLE).await }
    });
    until_waiting(&outbox, "create index").await;
    let used = write(&outbox, "key 00002", r#"{"owner":"new","cents":-1}"#);
    tokio::time::timeout(Duration::from_secs(20), used).await.unwrap().unwrap();
    writer.execute("commit").await.unwrap();
    opening.await.unwrap().unwrap();
    assert_eq!(outbox.indexes("rows_balances").await.len(), 2);
}

#[tokio::test]
async fn r1_what_was_interrupted_on_a_large_view_is_continued_on_postgres() {
    let test = "r1_what_was_interrupted_on_a_large_view_is_continued_on_postgres";
    let Some(outbox) = large(test).await else { return };
    let first = ViewSpec { indexes: Vec::new(), ..spec() };
    outbox.store.open_view(&first, Sharding::SINGLE).await.unwrap();
    // As if the process had died while it filled the rows, and another one while it built an index.
    outbox
        .execute(
            "alter table rows_balances disable trigger fill_columns; \
             update rows_balances set owner = null, cents = null where key > 'key 00100'; \
             alter table rows_balances enable trigger fill_columns; \
             comment on column rows_balances.owner is 'Highwater is filling this column'",
        )
        .await;
    outbox
        .fail("create unique index concurrently index_balances_by_owner on rows_balances (owner)")
        .await;
    let other = open_any(outbox.url()).await.unwrap();
    other.open_view(&spec(), Sharding::SINGLE).await.unwrap();
    assert_eq!(differences(&outbox).await, "0");
    assert_eq!(outbox.indexes("rows_balances").await.len(), 2);
    let plan = outbox.plan("select key from live_balances where owner = 'owner 1'").await;
    assert!(plan.contains("index_balances_by_owner"), "{plan}");
}

#[tokio::test]
async fn r1_a_large_view_that_does_not_fit_a_column_is_left_as_it_is_on_postgres() {
    let test = "r1_a_large_view_that_does_not_fit_a_column_is_left_as_it_is_on_postgres";
    let Some(outbox) = large(test).await else { return };
    write(&outbox, "bad", r#"{"cents":"many"}"#).await.unwrap();
    let error = outbox.store.open_view(&spec(), Sharding::SINGLE).await.unwrap_err();
    error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &["balances", "many"]);
    let columns = "select count(*)::text from information_schema.columns \
                   where table_name = 'rows_balances' and column_name in ('owner', 'cents')";
    assert_eq!(outbox.texts(columns).await, ["0"]);
    write(&outbox, "bad", r#"{"cents":"still many"}"#).await.unwrap();
}
