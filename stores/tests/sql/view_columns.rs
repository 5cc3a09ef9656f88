//! Columns and indexes of views, in plain SQL.

use highwater_core::{
    Code, NextStep,
    domain::{Column, ColumnKind, ViewName, ViewSpec},
    port::ViewCommit,
    value::Sharding,
};

use super::{
    commit, error_messages,
    outbox::{Outbox, outboxes},
};

const COLUMNS: &[(&str, ColumnKind)] = &[
    ("owner", ColumnKind::Text),
    ("cents", ColumnKind::Integer),
    ("ratio", ColumnKind::Real),
    ("open", ColumnKind::Boolean),
];

fn spec(view: &str, columns: &[(&'static str, ColumnKind)]) -> ViewSpec {
    let columns = columns.iter().map(|&(name, kind)| Column { name, kind }).collect();
    ViewSpec { columns, ..ViewSpec::rows(ViewName::new(view).unwrap()) }
}

async fn open(outbox: &Outbox, spec: &ViewSpec) {
    outbox.store.open_view(spec, Sharding::SINGLE).await.unwrap();
}

/// Writes these rows over existing ones.
async fn write(
    outbox: &Outbox,
    view: &str,
    rows: &[(&str, &'static str)],
) -> highwater_core::Result<()> {
    let row = |&(key, row): &(&str, &'static str)| (key.to_owned(), Some(row.as_bytes().into()));
    let rows = rows.iter().map(row).collect();
    outbox.store.commit_view(ViewCommit { rows, ..commit(&*outbox.store, view).await }).await
}

const ROWS: &[(&str, &str)] = &[
    ("a", r#"{"owner":"alice's \"ü\"","cents":-9007199254740993,"ratio":0.1,"open":true}"#),
    ("b", r#"{"owner":"bob","cents":2,"ratio":2e10,"open":false,"other":[1]}"#),
    ("c", r#"{"owner":null,"cents":null,"open":null}"#),
    ("d", r#"{}"#),
];

/// A query for the content of the columns, as text.
const SELECT: &str = "select key || ':' || coalesce(owner, '-') || ':' || \
     coalesce(cast(cents as text), '-') || ':' || coalesce(cast(ratio > 1 as integer), 9) || ':' || \
     coalesce(cast(cast(open as integer) as text), '-') from live_balances order by key";

const SELECTED: [&str; 4] =
    ["a:alice's \"ü\":-9007199254740993:0:1", "b:bob:2:1:0", "c:-:-:9:-", "d:-:-:9:-"];

#[tokio::test]
async fn columns_hold_the_fields_of_rows_written_after_them() {
    for outbox in outboxes("columns_hold_the_fields_after").await {
        open(&outbox, &spec("balances", COLUMNS)).await;
        write(&outbox, "balances", ROWS).await.unwrap();
        assert_eq!(outbox.texts(SELECT).await, SELECTED);
    }
}

#[tokio::test]
async fn columns_hold_the_fields_of_rows_that_were_there_before_them() {
    for outbox in outboxes("columns_hold_the_fields_before").await {
        write(&outbox, "balances", ROWS).await.unwrap();
        open(&outbox, &spec("balances", &COLUMNS[..2])).await;
        open(&outbox, &spec("balances", COLUMNS)).await;
        assert_eq!(outbox.texts(SELECT).await, SELECTED);
    }
}

#[tokio::test]
async fn an_index_is_used_and_named_by_its_columns() {
    for outbox in outboxes("an_index_is_used_and_named_by_its_columns").await {
        let indexes: Vec<highwater_core::domain::Index> = vec![&["owner"], &["open", "cents"]];
        open(&outbox, &ViewSpec { indexes, ..spec("balances", COLUMNS) }).await;
        write(&outbox, "balances", ROWS).await.unwrap();
        let by_owner = "select key from live_balances where owner = 'bob'";
        let by_both = "select key from live_balances where open = true and cents > 1";
        assert_eq!(outbox.texts(by_owner).await, ["b"]);
        assert!(outbox.plan(by_owner).await.contains("index_balances_by_owner"));
        let plan = outbox.plan(by_both).await;
        assert!(plan.contains("index_balances_by_open_cents"), "{plan}");
    }
}

#[tokio::test]
async fn indexes_with_colliding_names_are_kept_apart() {
    for outbox in outboxes("indexes_of_views").await {
        let text = ColumnKind::Text;
        for (view, columns, index) in [
            ("a", &[("b", text), ("b_c", text), ("c", text)][..], &["b"][..]),
            ("a_by_b", &[("c", text)], &["c"]),
            ("a_by_b_by_c", &[("c", text)], &["c"]),
            ("a", &[("b", text), ("b_c", text), ("c", text)], &["b_c"]),
            ("a", &[("b", text), ("b_c", text), ("c", text)], &["b", "c"]),
        ] {
            let index: highwater_core::domain::Index = Box::leak(Box::from(index));
            open(&outbox, &ViewSpec { indexes: vec![index], ..spec(view, columns) }).await;
        }
        assert_eq!(outbox.indexes("rows_a").await.len(), 3);
        assert_eq!(outbox.indexes("rows_a_by_b").await.len(), 1);
    }
}

#[tokio::test]
async fn a_renamed_view_keeps_its_columns_and_indexes_without_duplicates() {
    for outbox in outboxes("a_renamed_view_keeps_its_columns_and_indexes_without_duplicates").await
    {
        let indexes: Vec<highwater_core::domain::Index> = vec![&["owner"]];
        let old = ViewSpec { indexes, ..spec("accounts", COLUMNS) };
        open(&outbox, &old).await;
        write(&outbox, "accounts", ROWS).await.unwrap();
        let name = ViewName::new("balances").unwrap();
        let new = ViewSpec { formerly: vec![old.name.clone()], name, ..old.clone() };
        open(&outbox, &new).await;
        assert_eq!(outbox.indexes("rows_balances").await.len(), 1);
        assert_eq!(outbox.texts(SELECT).await, SELECTED);
        let back = ViewSpec { formerly: vec![new.name.clone()], ..old };
        open(&outbox, &back).await;
        assert_eq!(outbox.indexes("rows_accounts").await.len(), 1);
    }
}

#[tokio::test]
async fn a_column_maintained_by_hand_is_refused() {
    for outbox in outboxes("a_column_maintained_by_hand_is_refused").await {
        open(&outbox, &spec("balances", &[])).await;
        outbox.execute("alter table rows_balances add column owner text").await;
        let wanted = spec("balances", COLUMNS);
        let error = outbox.store.open_view(&wanted, Sharding::SINGLE).await.unwrap_err();
        let words = ["owner", "balances", "an ordinary one", "drop the existing one"];
        error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &words);
    }
}

#[tokio::test]
async fn r1_a_row_that_a_column_cannot_hold_is_refused_with_all_of_its_commit_on_postgres() {
    let Some(outbox) = Outbox::on_postgres("r1_a_row_that_a_column_cannot_hold").await else {
        return;
    };
    // The columns are of a newer program, which this one doesn't know.
    let newer = super::open_any(outbox.url()).await.unwrap();
    newer.open_view(&spec("balances", COLUMNS), Sharding::SINGLE).await.unwrap();
    for bad in [
        r#"{"cents":"many"}"#,
        r#"{"cents":9223372036854775808}"#,
        r#"{"cents":0.5}"#,
        r#"{"open":"perhaps"}"#,
        r#"{"owner":"\u0000"}"#,
    ] {
        let rows = [("a", "{}"), ("b", bad)];
        let error = write(&outbox, "balances", &rows).await.unwrap_err();
        error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &["balances"]);
        assert!(outbox.texts("select key from live_balances").await.is_empty());
    }
}

#[tokio::test]
async fn a_column_that_rows_do_not_fit_is_refused_and_leaves_the_view_unchanged_on_postgres() {
    let Some(outbox) = Outbox::on_postgres(
        "a_column_that_rows_do_not_fit_is_refused_and_leaves_the_view_unchanged_on_postgres",
    )
    .await
    else {
        return;
    };
    write(&outbox, "balances", &[("a", r#"{"cents":"many"}"#)]).await.unwrap();
    let wanted = spec("balances", COLUMNS);
    let error = outbox.store.open_view(&wanted, Sharding::SINGLE).await.unwrap_err();
    error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &["balances", "many"]);
    open(&outbox, &spec("balances", &COLUMNS[..1])).await;
}
