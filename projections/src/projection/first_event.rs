//! The first event of a query.

use highwater_core::{
    Position, Query, Result,
    port::{EventStore, ReadFrom},
};

/// Returns the position and the type of the first event after a position that matches.
pub(crate) async fn first_event(
    log: &dyn EventStore,
    query: &Query,
    after: Position,
) -> Result<Option<(Position, String)>> {
    let page = log.read_log(query, ReadFrom::After(after), 1).await?;
    Ok(page.events.first().map(|event| (event.position, event.type_name.to_string())))
}
