//! Generations of views (R5).

use std::sync::Arc;

use highwater_core::{
    Result,
    domain::{DefinitionHash, ViewName},
    port::Generation,
};

use super::{
    row::SqlRow,
    store::{SqlStore, SqlValue::Text},
    view::decode_hash,
};

pub(crate) const PROMOTING: &str = "promoting a generation of a view";
pub(crate) const REMOVING: &str = "removing a generation of a view";

pub(crate) async fn views<S: SqlStore>(store: Arc<S>) -> Result<Vec<ViewName>> {
    let sql = store.sql("select distinct coalesce(generation_of, view) from @schema@.views");
    let rows = store.fetch(sql, &[]).await;
    let mut names = rows
        .and_then(|rows| rows.iter().map(decode_name).collect::<sqlx::Result<Vec<_>>>())
        .map_err(S::classify("reading the names of the views"))?;
    // Not by the collation of the database.
    names.sort_unstable();
    Ok(names)
}

fn decode_name(row: &impl SqlRow) -> sqlx::Result<ViewName> {
    ViewName::from_stored(row.text(0)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(crate) async fn list<S: SqlStore>(store: Arc<S>, view: ViewName) -> Result<Vec<Generation>> {
    let sql = store.sql(
        "select generation, definition_hash, definition, live, complete_at, created_at, \
             promoted_at is not null, removed_through, former_hashes, \
             (select coalesce(min(position), 0) from @schema@.shards s where s.view = v.view) \
         from @schema@.views v where coalesce(generation_of, view) = $1 order by generation",
    );
    let rows = store.fetch(sql, &[Text(view.as_str())]).await;
    rows.and_then(|rows| rows.iter().map(|row| decode(row, &view)).collect())
        .map_err(S::classify("reading the generations of a view"))
}

/// A definition that this version can't decode is one that it doesn't know.
fn decode(row: &impl SqlRow, view: &ViewName) -> sqlx::Result<Generation> {
    let number = small_number(row, 0)?;
    let former: Vec<i64> =
        serde_json::from_str(row.text(8)?).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let definition = row.optional_text(2)?;
    Ok(Generation {
        number,
        view: view.of_generation(number),
        hash: decode_hash(row, 1)?,
        definition: definition.and_then(|json| serde_json::from_str(json).ok()),
        is_live: row.flag(3)?,
        complete_at: row.position(4)?,
        created_at: row.time(5)?,
        was_promoted: row.flag(6)?,
        removed_through: small_number(row, 7)?,
        former: former.into_iter().map(|hash| DefinitionHash::new(hash.cast_unsigned())).collect(),
        position: row.position(9)?,
    })
}

fn small_number(row: &impl SqlRow, column: usize) -> sqlx::Result<u32> {
    u32::try_from(row.number(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
}
