//! R1, R4: a view keeps its data when its name or its columns change.

use highwater_core::{
    Code, Position, Result,
    domain::{Column, ColumnKind, Index, ViewSpec},
    port::ViewCommit,
    value::{ShardId, Sharding},
};

use super::{
    refused::long_text,
    worker::{LONG_LEASE, Worker, found, is_missing, name, park, some, spec, state},
};
use crate::testing::{Fixture, race::race};

/// Returns the specification of a view with former names.
fn renamed(view: &str, formerly: &[&str]) -> ViewSpec {
    ViewSpec { formerly: formerly.iter().map(|view| name(view)).collect(), ..spec(view) }
}

pub(super) async fn r1_r4_a_view_is_renamed_with_all_that_belongs_to_it(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "old").await;
    let parked = vec![park("b", 4, "broken", 2)];
    let commit = ViewCommit { parked, ..worker.to(5, &[("a", Some("1"))]) };
    worker.send(commit).await.unwrap();
    store.heartbeat(&worker.view, &worker.id, LONG_LEASE).await.unwrap();
    let before = store.parked_keys(&worker.view, None, 9).await.unwrap();
    let new = renamed("new", &["older", "old"]);
    let other = fixture.reopen().await;
    for store in [&store, &other, &store] {
        let opened = store.open_view(&new, Sharding::by_key(4)).await.unwrap();
        assert_eq!(opened, state(Sharding::SINGLE, &[5]));
        assert_eq!(found(&**store, &new.name, &["a"]).await, (vec![5], vec![some("1")]));
        assert_eq!(store.parked_keys(&new.name, None, 9).await.unwrap(), before);
        let queued = store.queued_events(&new.name, "b", Position::START, 9).await.unwrap();
        assert_eq!(queued, [Position::new(4)]);
    }
    assert!(is_missing(store.read_view(&worker.view, &[]).await));
    let roll = store.heartbeat(&new.name, &worker.id, LONG_LEASE).await.unwrap();
    assert_eq!(roll.holders, [Some(worker.id.clone())]);
    worker.view = new.name;
    worker.write(6, &[("a", Some("2"))]).await;
}

pub(super) async fn r1_a_view_renamed_by_eight_at_once_is_renamed(fixture: Fixture) {
    let handles = [fixture.store(), fixture.reopen().await];
    Worker::on(&handles[0], "old").await.write(5, &[("a", Some("1"))]).await;
    let openers = (0..8).map(|n| {
        let store = handles[n % 2].clone();
        async move { store.open_view(&renamed("new", &["old"]), Sharding::SINGLE).await.unwrap() }
    });
    assert!(race(openers).await.into_iter().all(|found| found == state(Sharding::SINGLE, &[5])));
    assert_eq!(found(&*handles[1], &name("new"), &["a"]).await, (vec![5], vec![some("1")]));
}

pub(super) async fn r1_a_former_name_does_not_replace_a_view_that_is_there(fixture: Fixture) {
    let store = fixture.store();
    let mut new = Worker::on(&store, "new").await;
    let mut old = Worker::on(&store, "old").await;
    new.write(5, &[("a", Some("new"))]).await;
    old.write(3, &[("a", Some("old"))]).await;
    store.open_view(&renamed("new", &["old"]), Sharding::SINGLE).await.unwrap();
    assert_eq!(found(&*store, &new.view, &["a"]).await, (vec![5], vec![some("new")]));
    assert_eq!(found(&*store, &old.view, &["a"]).await, (vec![3], vec![some("old")]));
}

/// Returns the specification of a view with columns.
fn with_columns(view: &str, columns: &[(&'static str, ColumnKind)]) -> ViewSpec {
    let columns = columns.iter().map(|&(name, kind)| Column { name, kind }).collect();
    ViewSpec { columns, ..spec(view) }
}

pub(super) async fn r1_columns_and_indexes_can_be_added_to_a_view_with_rows(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "grown").await;
    worker.write(1, &[("a", Some("no object at all"))]).await;
    let columns = with_columns(
        "grown",
        &[
            ("owner", ColumnKind::Text),
            ("cents", ColumnKind::Integer),
            ("ratio", ColumnKind::Real),
            ("open", ColumnKind::Boolean),
            ("select", ColumnKind::Text),
        ],
    );
    let indexed =
        ViewSpec { indexes: vec![&["owner"], &["open", "cents"], &["select"]], ..columns.clone() };
    for spec in [&columns, &indexed, &indexed, &columns, &spec("grown")] {
        for store in [&store, &fixture.reopen().await] {
            let opened = store.open_view(spec, Sharding::SINGLE).await.unwrap();
            assert_eq!(opened, state(Sharding::SINGLE, &[1]));
        }
    }
    assert_eq!(
        found(&*store, &worker.view, &["a"]).await,
        (vec![1], vec![some("no object at all")])
    );
    worker.write(2, &[("b", Some("still no object"))]).await;
}

pub(super) async fn r1_a_column_that_is_there_as_another_kind_is_refused(fixture: Fixture) {
    let store = fixture.store();
    let cents = with_columns("kinds", &[("cents", ColumnKind::Integer)]);
    store.open_view(&cents, Sharding::SINGLE).await.unwrap();
    let mut worker = Worker::taking(&store, &cents.name, ShardId::FIRST, "first").await;
    let other = with_columns("kinds", &[("owner", ColumnKind::Text), ("cents", ColumnKind::Text)]);
    let error = store.open_view(&other, Sharding::SINGLE).await.unwrap_err();
    assert_eq!(error.code(), Code::BAD_REQUEST);
    let message = error.to_string();
    assert!(message.contains("cents") && message.contains("kinds"), "{message}");
    store.open_view(&cents, Sharding::SINGLE).await.unwrap();
    worker.write(1, &[("a", Some("1"))]).await;
}

/// Columns of every kind.
const KINDS: &[(&str, ColumnKind)] = &[
    ("owner", ColumnKind::Text),
    ("city", ColumnKind::Text),
    ("cents", ColumnKind::Integer),
    ("ratio", ColumnKind::Real),
    ("open", ColumnKind::Boolean),
];

/// Opens a view with columns of every kind and these indexes, and returns its worker.
async fn indexed(fixture: &Fixture, view: &str, indexes: &[Index]) -> Worker {
    let store = fixture.store();
    let spec = ViewSpec { indexes: indexes.to_vec(), ..with_columns(view, KINDS) };
    store.open_view(&spec, Sharding::SINGLE).await.unwrap();
    Worker::taking(&store, &spec.name, ShardId::FIRST, "first").await
}

/// Writes a row of JSON under the key `a`.
async fn write_json(worker: &mut Worker, json: &str) -> Result<()> {
    let position = worker.claim.progress.position.get() + 1;
    let rows = vec![("a".to_owned(), Some(json.to_owned().into()))];
    worker.send(ViewCommit { rows, ..worker.to(position, &[]) }).await
}

pub(super) async fn r1_a_row_that_its_columns_cannot_hold_is_refused(fixture: Fixture) {
    let mut worker = indexed(&fixture, "held", &[]).await;
    let refused = "the row \"a\" of view held can't be stored: ";
    let nul = "a row with columns may have no NUL in its texts";
    let integer = "the column cents holds an integer of 64 bits, and the field is ";
    for (json, why) in [
        (r#"{"owner":"a\u0000"}"#, nul.to_owned()),
        (r#"{"other":[{"text":"\\\u0000"}]}"#, nul.to_owned()),
        (r#"{"\u0000":1}"#, nul.to_owned()),
        (r#"{"cents":9223372036854775808}"#, format!("{integer}another number")),
        (r#"{"cents":-9223372036854775809}"#, format!("{integer}another number")),
        (r#"{"cents":0.5}"#, format!("{integer}another number")),
        (r#"{"cents":"many"}"#, format!("{integer}a text")),
        (r#"{"owner":7}"#, "the column owner holds a text, and the field is an integer".to_owned()),
        (
            r#"{"ratio":[1]}"#,
            "the column ratio holds a floating-point number, and the field is an array or an object"
                .to_owned(),
        ),
        (r#"{"open":1}"#, "the column open holds a boolean, and the field is an integer".to_owned()),
    ] {
        let error = write_json(&mut worker, json).await.unwrap_err();
        assert_eq!(error.code(), Code::BAD_REQUEST, "{json}");
        assert_eq!(error.to_string(), format!("{refused}{why}"), "{json}");
    }
    assert_eq!(found(&*fixture.store(), &worker.view, &["a"]).await, (vec![0], vec![None]));
    for json in [
        r#"{"owner":"\\u0000","cents":9223372036854775807,"ratio":18446744073709551615,"open":true}"#,
        r#"{"owner":null,"cents":-9223372036854775808,"ratio":-0.5,"open":null,"other":{"cents":"x"}}"#,
        r#" {"cents":0} "#,
        "{}",
        "[1]",
        "null",
        "\"text\"",
    ] {
        write_json(&mut worker, json).await.unwrap();
    }
}

pub(super) async fn r1_a_text_too_long_for_its_index_is_refused(fixture: Fixture) {
    let mut worker = indexed(&fixture, "indexed", &[&["cents"], &["city", "cents", "owner"]]).await;
    let half = long_text(1_200);
    let longer = long_text(1_201);
    let longest = long_text(2_400);
    let too_long = long_text(2_401);
    for json in [
        format!(r#"{{"owner":"{half}","city":"{longer}"}}"#),
        format!(r#"{{"owner":"{too_long}","cents":1}}"#),
    ] {
        let error = write_json(&mut worker, &json).await.unwrap_err();
        assert_eq!(error.code(), Code::TOO_LARGE);
        let message = "the row \"a\" of view indexed can't be indexed: city, cents, owner has 2401 \
                       bytes; the limit is 2400";
        assert_eq!(error.to_string(), message);
    }
    for json in [
        format!(r#"{{"owner":"{half}","city":"{half}","cents":-1}}"#),
        format!(r#"{{"owner":"{longest}","cents":1}}"#),
        format!(r#"{{"other":"{too_long}"}}"#),
    ] {
        write_json(&mut worker, &json).await.unwrap();
    }
}

pub(super) async fn r1_columns_and_indexes_that_rows_do_not_fit_are_refused(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "fitted").await;
    let integer = |name| with_columns("fitted", &[(name, ColumnKind::Integer)]);
    let text = |name| with_columns("fitted", &[(name, ColumnKind::Text)]);
    let long = long_text(2_800);
    let row = format!(r#"{{"cents":9223372036854775808,"name":"many","long":"{long}"}}"#);
    write_json(&mut worker, &row).await.unwrap();
    for spec in
        [integer("cents"), integer("name"), ViewSpec { indexes: vec![&["long"]], ..text("long") }]
    {
        let error = store.open_view(&spec, Sharding::SINGLE).await.unwrap_err();
        assert!(error.is_invalid(), "{error}");
        assert!(error.to_string().contains("fitted"), "{error}");
    }
    store.open_view(&text("name"), Sharding::SINGLE).await.unwrap();
    write_json(&mut worker, &row).await.unwrap();
}

pub(super) async fn r1_a_view_that_contradicts_itself_is_refused(fixture: Fixture) {
    let store = fixture.store();
    let text = ColumnKind::Text;
    for columns in [&[("value", text)][..], &[("a", text), ("a", text)], &[("A", text)]] {
        let spec = with_columns("malformed", columns);
        assert!(store.open_view(&spec, Sharding::SINGLE).await.unwrap_err().is_invalid());
    }
    let unknown = ViewSpec { indexes: vec![&["a"]], ..spec("malformed") };
    assert!(store.open_view(&unknown, Sharding::SINGLE).await.unwrap_err().is_invalid());
    assert!(is_missing(store.read_view(&unknown.name, &[]).await));
}
