//! What `#[derive(View)]` writes of the columns of a view.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

use std::borrow::Cow;

use highwater_core::domain::{Column, ColumnKind, EventContext, View};
use highwater_macros::{Event, View};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

/// A column of every kind of type.
#[derive(Debug, Clone, Default, PartialEq, View)]
#[view(event = AccountEvent, by_stream = "account", index(r#type, out))]
#[serde(rename_all = "camelCase")]
struct Columns {
    #[view(column)]
    #[serde(rename = "type")]
    r#type: String,
    #[view(column)]
    #[serde(rename(serialize = "output", deserialize = "output"))]
    out: Option<Box<str>>,
    #[view(column)]
    #[serde(rename = "from")]
    from: Cow<'static, str>,
    #[view(column)]
    #[serde(rename = "cents")]
    cents: Cents,
    #[view(column)]
    #[serde(rename = "ratio")]
    ratio: Option<f32>,
    #[view(column)]
    #[serde(rename = "open")]
    open: bool,
    #[view(column = "text")]
    #[serde(rename = "limits")]
    limits: Vec<i64>,
    #[view(column = "real")]
    #[serde(rename = "whole")]
    whole: i64,
    not_a_column: u8,
}

type Cents = Option<u64>;

impl Columns {
    const fn fold(&mut self, _: &AccountEvent, _: &EventContext<'_>) {}
}

#[test]
fn the_kind_of_a_column_is_that_of_its_fields_type_or_as_written() {
    let column = |name, kind| Column { name, kind };
    let expected = [
        column("type", ColumnKind::Text),
        column("output", ColumnKind::Text),
        column("from", ColumnKind::Text),
        column("cents", ColumnKind::Integer),
        column("ratio", ColumnKind::Real),
        column("open", ColumnKind::Boolean),
        column("limits", ColumnKind::Text),
        column("whole", ColumnKind::Real),
    ];
    assert_eq!(Columns::COLUMNS, expected);
}

#[test]
fn an_index_has_the_columns_names_and_not_the_fields() {
    assert_eq!(Columns::INDEXES, [["type", "output"]]);
}

#[test]
fn every_column_is_a_member_of_the_rows_json() {
    let row = serde_json::to_value(Columns::default()).unwrap();
    let lacks = |column: &&Column| row.get(column.name).is_none();
    assert_eq!(Columns::COLUMNS.iter().find(lacks), None, "{row}");
    assert_eq!(row["notAColumn"], 0);
    assert_eq!(serde_json::from_value::<Columns>(row).unwrap(), Columns::default());
}
