//! The arguments of the procedure that checks a batch append by append.

use highwater_core::{
    Category, Position, StreamId, Tag, Version, domain::QueryItem, port::Condition, value::Expected,
};
use sqlx::{PgConnection, SqlStr, postgres::PgRow};
use uuid::Uuid;

use super::super::row::signed;
use crate::sql::group_commit::BatchEntry;

/// A batch as arrays: `a_` of the appends, `p_` of their streams, `e_` of the events, `c_` of the
/// conditions.
#[derive(Default)]
pub(super) struct CheckedBatch<'a> {
    a_id: Vec<Uuid>,
    a_fingerprint: Vec<i64>,
    a_group: Vec<i32>,
    a_count: Vec<i32>,
    p_append: Vec<i32>,
    p_stream: Vec<&'a str>,
    p_kind: Vec<i16>,
    p_version: Vec<i64>,
    p_event: Vec<Uuid>,
    e_append: Vec<i32>,
    e_part: Vec<i32>,
    e_id: Vec<Uuid>,
    e_type: Vec<&'a str>,
    e_schema: Vec<i32>,
    e_tags: Vec<Option<String>>,
    e_payload: Vec<&'a [u8]>,
    e_metadata: Vec<Option<&'a [u8]>>,
    c_append: Vec<i32>,
    c_after: Vec<i64>,
    c_categories: Vec<Option<String>>,
    c_types: Vec<Option<String>>,
    c_tags: Vec<Option<String>>,
    c_lacked: Vec<Option<String>>,
}

impl<'a> CheckedBatch<'a> {
    pub(super) fn new(batch: &'a [BatchEntry]) -> Self {
        let mut arrays = Self::default();
        for entry in batch {
            arrays.push(entry);
        }
        arrays
    }

    fn push(&mut self, entry: &'a BatchEntry) {
        let append = &entry.append;
        self.a_id.push(*append.command.as_uuid());
        self.a_fingerprint.push(append.fingerprint.bits().cast_signed());
        self.a_group.push(entry.group as i32);
        self.a_count.push(append.events().count() as i32);
        let number = self.a_id.len() as i32;
        for (part, chained) in append.streams.iter().zip(&entry.chained) {
            self.push_expected(number, &part.stream, part.expected, *chained);
            let part_number = self.p_append.len() as i32;
            for event in &part.events {
                self.e_append.push(number);
                self.e_part.push(part_number);
                self.e_id.push(*event.id.as_uuid());
                self.e_type.push(event.event_type.name);
                self.e_schema.push(event.event_type.version.get().cast_signed());
                self.e_tags.push(array(event.tags.as_slice().iter().map(Tag::as_str)));
                self.e_payload.push(&event.payload);
                self.e_metadata.push(append.metadata.as_deref());
            }
        }
        if let Some(condition) = &append.condition {
            self.push_condition(number, condition);
        }
    }

    fn push_expected(
        &mut self,
        append: i32,
        stream: &'a StreamId,
        expected: Expected,
        chained: bool,
    ) {
        let (kind, version, event) = match expected {
            Expected::Any => (0, Version::NONE, None),
            Expected::NoStream => (1, Version::NONE, None),
            Expected::StreamExists => (2, Version::NONE, None),
            Expected::Version(version) => (3, version, None),
            Expected::Head(version, event) => (4, version, Some(event)),
        };
        self.p_append.push(append);
        self.p_stream.push(stream.as_str());
        self.p_kind.push(if chained { 5 } else { kind });
        self.p_version.push(signed(version.get()));
        self.p_event.push(event.map_or(Uuid::nil(), |event| *event.as_uuid()));
    }

    fn push_condition(&mut self, append: i32, condition: &Condition) {
        let all = [QueryItem::default()];
        let items = &condition.query.items;
        for item in if items.is_empty() { &all[..] } else { items } {
            self.push_item(append, condition.after, item, None);
        }
        for missing in &condition.lacking {
            let item = QueryItem { types: missing.types.clone(), ..QueryItem::default() };
            self.push_item(append, condition.after, &item, Some(missing.prefix()));
        }
    }

    /// Adds an item of a condition. With a prefix, it is for events of which no tag begins so.
    fn push_item(
        &mut self,
        append: i32,
        after: Position,
        item: &QueryItem,
        lacked: Option<String>,
    ) {
        self.c_append.push(append);
        self.c_after.push(signed(after.get()));
        self.c_categories.push(array(item.categories.iter().map(Category::as_str)));
        self.c_types.push(array(item.types.iter().map(String::as_str)));
        self.c_tags.push(array(item.tags.as_slice().iter().map(Tag::as_str)));
        self.c_lacked.push(lacked);
    }

    /// Calls the procedure.
    pub(super) async fn call(
        &self,
        connection: &mut PgConnection,
        call: SqlStr,
        durable: bool,
    ) -> Result<PgRow, sqlx::Error> {
        sqlx::query(call)
            .bind(&self.a_id)
            .bind(&self.a_fingerprint)
            .bind(&self.a_group)
            .bind(&self.a_count)
            .bind(&self.p_append)
            .bind(&self.p_stream)
            .bind(&self.p_kind)
            .bind(&self.p_version)
            .bind(&self.p_event)
            .bind(&self.e_append)
            .bind(&self.e_part)
            .bind(&self.e_id)
            .bind(&self.e_type)
            .bind(&self.e_schema)
            .bind(&self.e_tags)
            .bind(&self.e_payload)
            .bind(&self.e_metadata)
            .bind(&self.c_append)
            .bind(&self.c_after)
            .bind(&self.c_categories)
            .bind(&self.c_types)
            .bind(&self.c_tags)
            .bind(&self.c_lacked)
            .bind(durable)
            .fetch_one(connection)
            .await
    }
}

/// Returns an array literal, because an array of arrays must be rectangular; `None` if there are no items.
pub(in crate::postgres) fn array<'a>(items: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut literal = String::new();
    for item in items {
        literal.push(if literal.is_empty() { '{' } else { ',' });
        literal.push('"');
        for c in item.chars() {
            if matches!(c, '"' | '\\') {
                literal.push('\\');
            }
            literal.push(c);
        }
        literal.push('"');
    }
    if literal.is_empty() { None } else { Some(literal + "}") }
}
