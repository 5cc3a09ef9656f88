//! The definition of a view, and its change under the fence of all shards (R5).

use std::sync::Arc;

use highwater_core::{
    Position, Result,
    domain::{DefinitionHash, ViewDefinition, ViewName},
};
use sqlx::{Row as _, SqliteConnection};

use super::{SqliteInner, error::classify, options::Prefix, row::signed};
use crate::{
    fencing::view_missing,
    sql::{
        view::{decode_hash, stored_hash},
        view_changes::ViewChange,
    },
};

const REPLACING: &str = "replacing the definition of a view";

/// Compares and sets in one transaction; no other process writes meanwhile.
pub(super) async fn replace(
    inner: Arc<SqliteInner>,
    view: ViewName,
    from: Option<DefinitionHash>,
    to: ViewDefinition,
    through: Position,
) -> Result<bool> {
    let mut connection = inner.writer().await?;
    let mut transaction = connection.begin().await.map_err(classify(REPLACING))?;
    let sql = inner.prefix.sql(
        "select definition_hash, not exists \
             (select 1 from @prefix@shards where view = ?1 and position > ?2) \
         from @prefix@views where view = ?1",
    );
    let found = sqlx::query(sql).bind(view.as_str()).bind(signed(through.get()));
    let found = found.fetch_all(&mut *transaction).await.map_err(classify(REPLACING))?;
    let found = found.first().ok_or_else(|| view_missing(&view))?;
    let is_from = decode_hash(found, 0).map_err(classify(REPLACING))? == from;
    let is_searched: bool = found.try_get(1).map_err(classify(REPLACING))?;
    if !is_from || !is_searched {
        return Ok(false);
    }
    write(&mut transaction, &inner.prefix, &view, &to).await.map_err(classify(REPLACING))?;
    transaction.commit().await.map_err(classify(REPLACING))?;
    inner.follower.changed(&ViewChange::Other(view));
    Ok(true)
}

async fn write(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    view: &ViewName,
    to: &ViewDefinition,
) -> sqlx::Result<()> {
    let replace = prefix.sql(
        "update @prefix@views set definition = ?2, definition_hash = ?3, \
             former_hashes = case when definition_hash is null then former_hashes \
                 else json_insert(former_hashes, '$[#]', definition_hash) end \
         where view = ?1",
    );
    let replace =
        sqlx::query(replace).bind(view.as_str()).bind(to.to_json()).bind(stored_hash(to.hash()));
    replace.execute(&mut *connection).await?;
    let fence = prefix.sql(
        "update @prefix@shards set epoch = epoch + 1, owner = null, lease_until = null \
         where view = ?",
    );
    sqlx::query(fence).bind(view.as_str()).execute(connection).await.map(drop)
}
