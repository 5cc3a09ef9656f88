//! Tags added to stored events.

use std::sync::Arc;

use highwater_core::{Position, Result, Tags, port::AddedTags};
use sqlx::{Row, SqliteConnection};

use super::{
    SqliteInner,
    error::classify,
    options::Prefix,
    row::{json, signed, tags_of},
};

const ADDING: &str = "adding tags";

/// Adds the tags in one transaction, which has the file's write lock, so that no other adds tags meanwhile.
pub(super) async fn add(inner: Arc<SqliteInner>, added: Vec<AddedTags>) -> Result<()> {
    let mut connection = inner.writer().await?;
    let mut transaction = connection.begin().await.map_err(classify(ADDING))?;
    for AddedTags { position, tags } in &added {
        let added = add_to_event(&mut transaction, &inner.prefix, *position, tags).await;
        added.map_err(classify(ADDING))?;
    }
    transaction.commit().await.map_err(classify(ADDING))
}

async fn add_to_event(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    position: Position,
    tags: &Tags,
) -> Result<(), sqlx::Error> {
    let Some(stored) = stored_tags(connection, prefix, position).await? else { return Ok(()) };
    let update = prefix.sql("update @prefix@events set tags = ? where position = ?");
    let query = sqlx::query(update).bind(json(&stored.union(tags))?);
    query.bind(signed(position.get())).execute(&mut *connection).await?;
    for tag in tags.as_slice() {
        let insert =
            prefix.sql("insert or ignore into @prefix@event_tags (tag, position) values (?, ?)");
        let query = sqlx::query(insert).bind(tag.as_str()).bind(signed(position.get()));
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Returns the tags of an event; `None` if there is no event at this position.
async fn stored_tags(
    connection: &mut SqliteConnection,
    prefix: &Prefix,
    position: Position,
) -> Result<Option<Tags>, sqlx::Error> {
    let select = prefix.sql("select tags from @prefix@events where position = ?");
    let query = sqlx::query(select).bind(signed(position.get()));
    let Some(row) = query.fetch_optional(connection).await? else { return Ok(None) };
    let stored: Option<String> = row.try_get(0)?;
    stored.map_or_else(|| Ok(Some(Tags::none())), |tags| tags_of(&tags).map(Some))
}
