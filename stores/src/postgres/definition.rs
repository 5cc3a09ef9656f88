//! The definition of a view, and its change under the fence of all shards (R5).

use std::sync::Arc;

use highwater_core::{
    Position, Result,
    domain::{DefinitionHash, ViewDefinition, ViewName},
};
use sqlx::{PgConnection, Row as _};

use super::{PostgresInner, commit::begin, error::classify, options::Schema, row::signed};
use crate::{
    fencing::view_missing,
    sql::{
        view::{decode_hash, stored_hash},
        view_changes::ViewChange,
    },
};

pub(super) const REPLACING: &str = "replacing the definition of a view";

/// Takes the locks in the order of a reshard: the view, then its shards. Each is a statement of its own, which sees
/// all that the transactions have left for which it waited.
pub(super) async fn replace(
    inner: Arc<PostgresInner>,
    view: ViewName,
    from: Option<DefinitionHash>,
    to: ViewDefinition,
    through: Position,
) -> Result<bool> {
    let schema = &inner.schema;
    let mut connection = inner.view_connections.take().await.map_err(classify(REPLACING))?;
    let mut transaction = begin(&mut connection, REPLACING).await?;
    let lock = "select definition_hash from @schema@.views where view = $1 for update";
    let found = sqlx::query(schema.sql(lock)).bind(view.as_str());
    let found = found.fetch_optional(&mut *transaction).await.map_err(classify(REPLACING))?;
    let found = found.ok_or_else(|| view_missing(&view))?;
    let is_from = decode_hash(&found, 0).map_err(classify(REPLACING))? == from;
    let shards = lock_shards(&mut transaction, schema, &view).await;
    let is_searched =
        shards.map_err(classify(REPLACING))?.iter().all(|at| *at <= signed(through.get()));
    if !is_from || !is_searched {
        return Ok(false);
    }
    write(&mut transaction, schema, &view, &to).await.map_err(classify(REPLACING))?;
    transaction.commit().await.map_err(classify(REPLACING))?;
    inner.follower.changed(ViewChange::Other(view));
    Ok(true)
}

/// Locks the shards of a view, and returns their positions.
async fn lock_shards(
    connection: &mut PgConnection,
    schema: &Schema,
    view: &ViewName,
) -> sqlx::Result<Vec<i64>> {
    let lock = "select position from @schema@.shards where view = $1 order by shard for update";
    let shards = sqlx::query(schema.sql(lock)).bind(view.as_str()).fetch_all(connection).await?;
    shards.iter().map(|shard| shard.try_get(0)).collect()
}

async fn write(
    connection: &mut PgConnection,
    schema: &Schema,
    view: &ViewName,
    to: &ViewDefinition,
) -> sqlx::Result<()> {
    let sql = schema.sql(
        "with replaced as ( \
             update @schema@.views set definition = $2, definition_hash = $3, \
                 former_hashes = case when definition_hash is null then former_hashes \
                     else (former_hashes::jsonb || to_jsonb(definition_hash))::text end \
             where view = $1 \
         ) update @schema@.shards \
         set epoch = epoch + 1, owner = null, lease_until = null, definition_hash = $3 \
         where view = $1",
    );
    let write =
        sqlx::query(sql).bind(view.as_str()).bind(to.to_json()).bind(stored_hash(to.hash()));
    write.execute(connection).await.map(drop)
}
