//! Views: opening them, and reading rows with the progress of the same snapshot (R1).

use std::sync::Arc;

use highwater_core::{
    Code, Error, Position, Result,
    domain::{DefinitionHash, StoredDefinition, ViewName, ViewSpec},
    error::{Corrupt, Source},
    port::{StoredRow, StoredView, ViewState},
    value::Sharding,
};
use sqlx::AssertSqlSafe;

use super::{
    row::{SqlRow, StoredShards},
    store::{
        SqlStore,
        SqlValue::{Flag, Keys, Text},
    },
};
use crate::fencing::view_missing;

const READING: &str = "reading a view";

pub(crate) async fn open<S: SqlStore>(
    store: Arc<S>,
    spec: ViewSpec,
    sharding: Sharding,
) -> Result<ViewState> {
    spec.validate()?;
    if store.specs().contains(&spec)
        && let Some(state) = cached_state(&*store, &spec).await?
    {
        return Ok(state);
    }
    store.open_table(&spec, sharding).await?;
    store.specs().insert(&spec);
    read_state(&*store, &spec.stored_name()).await
}

/// Returns the state of a view that this process has opened before, if it still exists with its table.
async fn cached_state<S: SqlStore>(store: &S, spec: &ViewSpec) -> Result<Option<ViewState>> {
    let name = spec.stored_name();
    let AssertSqlSafe(table) = store.view_sql("@schema@.rows_@view@", &name);
    let values = [Text(name.as_str()), Flag(spec.rows), Text(&table)];
    let found = store.fetch(store.sql(S::OPENED), &values).await;
    let found = found.map_err(S::classify(READING))?;
    found.first().map(|row| decode_state::<S>(row, 0)).transpose()
}

pub(crate) async fn read_state<S: SqlStore>(store: &S, view: &ViewName) -> Result<ViewState> {
    Ok(read_progress(store, view).await?.state)
}

async fn read_progress<S: SqlStore>(store: &S, view: &ViewName) -> Result<StoredView> {
    let found = store.fetch(store.sql(S::PROGRESS), &[Text(view.as_str())]).await;
    let found = found.map_err(S::classify(READING))?;
    let row = found.first().ok_or_else(|| view_missing(view))?;
    decode_view::<S>(row, 0, Vec::new())
}

/// Reads with one statement, so rows and progress are of one snapshot.
pub(crate) async fn read<S: SqlStore, K: AsRef<str> + Sync>(
    store: &S,
    view: &ViewName,
    keys: &[K],
) -> Result<StoredView> {
    let mut tries = TableTries::default();
    loop {
        let read = match keys {
            [] => return read_progress(store, view).await,
            [key] => store.read_row(view, key.as_ref()).await,
            keys => read_rows(store, view, keys).await,
        };
        match read {
            Ok(read) => return read,
            Err(error) => tries.look(store, view, error, READING).await?,
        }
    }
}

/// The tries to read a table. It may be made by another process while the first one is under way.
#[derive(Default)]
pub(crate) struct TableTries {
    has_looked: bool,
}

impl TableTries {
    /// Looks for the view after an error. Returns if it is there now, so that it is read again, once.
    ///
    /// # Errors
    /// That of a view that is missing, or the error itself.
    pub(crate) async fn look<S: SqlStore>(
        &mut self,
        store: &S,
        view: &ViewName,
        error: sqlx::Error,
        doing: &'static str,
    ) -> Result<()> {
        if self.has_looked || !S::is_missing_table(&error) {
            return Err(S::classify(doing)(error));
        }
        self.has_looked = true;
        match read_state(store, view).await {
            Err(missing) if missing.code() == Code::VIEW_MISSING => Err(missing),
            Err(_) => Err(S::classify(doing)(error)),
            Ok(_) => Ok(()),
        }
    }
}

async fn read_rows<S: SqlStore, K: AsRef<str> + Sync>(
    store: &S,
    view: &ViewName,
    keys: &[K],
) -> sqlx::Result<Result<StoredView>> {
    let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
    let sql = store.view_sql(S::ROWS, view);
    let rows = store.fetch(sql, &[Text(view.as_str()), Keys(&keys)]).await?;
    let mut found = vec![StoredRow::default(); keys.len()];
    let mut first = None;
    for row in &rows {
        let index = row.number(0)? as usize;
        if index == 0 {
            first = Some(row);
        }
        if let Some(slot) = found.get_mut(index) {
            *slot = decode_stored(row, 1)?;
        }
    }
    Ok(match first {
        Some(row) => decode_view::<S>(row, 3, found),
        None if rows.is_empty() => Err(view_missing(view)),
        None => return Err(sqlx::Error::RowNotFound),
    })
}

/// Decodes the columns of the progress, which begin at `first`, and adds the rows of the same snapshot.
pub(crate) fn decode_view<S: SqlStore>(
    row: &S::Row,
    first: usize,
    rows: Vec<StoredRow>,
) -> Result<StoredView> {
    let head = decode_head(row, first + 1).map_err(S::classify(READING))?;
    Ok(StoredView { rows, state: decode_state::<S>(row, first)?, head: Some(head) })
}

fn decode_state<S: SqlStore>(row: &S::Row, first: usize) -> Result<ViewState> {
    let sharding = row.text(first).map_err(S::classify(READING))?;
    let definition = decode_hash(row, first + 2).map_err(S::classify(READING))?;
    let StoredShards { progress, stops } = row.shards(first + 3).map_err(S::classify(READING))?;
    Ok(ViewState { sharding: sharding.parse()?, shards: progress, stops, definition })
}

/// Decodes the hash of a definition, which may be null.
pub(crate) fn decode_hash(
    row: &impl SqlRow,
    column: usize,
) -> sqlx::Result<Option<DefinitionHash>> {
    let hash = row.optional_integer(column)?;
    Ok(hash.map(|hash| DefinitionHash::new(hash.cast_unsigned())))
}

/// Returns the number that is stored for the hash of a definition.
pub(crate) fn stored_hash(hash: DefinitionHash) -> i64 {
    hash.get().cast_signed()
}

/// Reads the definition of a view; `None` if it isn't known.
pub(crate) async fn definition<S: SqlStore>(
    store: &S,
    view: &ViewName,
) -> Result<Option<StoredDefinition>> {
    let sql = store.sql("select definition, definition_hash from @schema@.views where view = $1");
    let found = store.fetch(sql, &[Text(view.as_str())]).await.map_err(S::classify(READING))?;
    let row = found.first().ok_or_else(|| view_missing(view))?;
    let hash = decode_hash(row, 1).map_err(S::classify(READING))?;
    let json = row.optional_text(0).map_err(S::classify(READING))?;
    let Some((hash, json)) = hash.zip(json) else { return Ok(None) };
    let what = || format!("the definition of view {view}");
    let undecodable = |error| Error::from(Corrupt::value(what(), Source::new(error)));
    let definition = serde_json::from_str(json).map_err(undecodable)?;
    Ok(Some(StoredDefinition { definition, hash }))
}

/// Decodes the head, which may be null if the log is empty.
pub(crate) fn decode_head(row: &impl SqlRow, column: usize) -> sqlx::Result<Position> {
    Ok(row.optional_position(column)?.unwrap_or_default())
}

/// Decodes the value and the position since which the key is parked, in two columns.
pub(crate) fn decode_stored(row: &impl SqlRow, first: usize) -> sqlx::Result<StoredRow> {
    Ok(StoredRow { value: row.json(first)?, parked_since: row.optional_position(first + 1)? })
}
