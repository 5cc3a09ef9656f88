//! Tags added to stored events.

use highwater_core::{Result, port::AddedTags};

use super::{PostgresInner, error::classify, row::signed};

/// Adds the tags in one statement. The events are locked in log order, so that two runs can't wait for each other,
/// and neither loses what the other adds.
const ADD: &str = "with asked as ( \
         select a.position, a.tag from unnest($1::bigint[], $2::text[]) a(position, tag) \
     ), locked as ( \
         select e.position, e.tags from @schema@.events e \
         where e.position = any($1::bigint[]) order by e.position for update \
     ), indexed as ( \
         insert into @schema@.event_tags (tag, position) \
         select a.tag, a.position from asked a join locked l on l.position = a.position \
         on conflict do nothing \
     ), tagged as ( \
         select l.position, array_agg(distinct t.tag) as tags from locked l cross join lateral ( \
             select unnest(l.tags) as tag union \
             select a.tag from asked a where a.position = l.position \
         ) t group by l.position \
     ) \
     update @schema@.events e set tags = t.tags from tagged t where e.position = t.position";

pub(super) async fn add(inner: &PostgresInner, added: &[AddedTags]) -> Result<()> {
    let mut positions = Vec::new();
    let mut tags = Vec::new();
    for event in added {
        for tag in event.tags.as_slice() {
            positions.push(signed(event.position.get()));
            tags.push(tag.as_str().to_owned());
        }
    }
    if positions.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(inner.schema.sql(ADD)).bind(positions).bind(tags);
    inner.log_connections.execute(query).await.map(drop).map_err(classify("adding tags"))
}
