//! Snapshots of a view that can be compared with the log.

use highwater_core::{
    Position, Result,
    domain::View,
    error::{Corrupt, Invalid},
    port::{StoredRow, ViewState},
};

use crate::{
    projection::{is_key_sharding_known, progress_of},
    read::{RowScope, ViewSnapshot, ViewSource},
};

/// Reads a snapshot whose rows this program can fold again.
///
/// # Errors
/// [`Corrupt::OtherDefinition`] if another program folds the view; [`Invalid`] if the shard of a key is unknown.
pub(super) async fn read_snapshot<V: View>(
    source: &ViewSource,
    scope: &RowScope,
) -> Result<ViewSnapshot> {
    let snapshot = source.read(scope).await?;
    if snapshot.has_unknown_types {
        let change = "a newer program folds events into it that this one doesn't know".to_owned();
        return Err(Corrupt::OtherDefinition { view: V::NAME.to_owned(), change }.into());
    }
    let sharding = snapshot.state.sharding;
    if sharding.shards > 1 && !is_key_sharding_known(sharding, V::KEYED_BY) {
        let message = format!(
            "view {} is divided as {sharding}, and this program keys it {}, so it can't tell the shard of a row: \
             start a worker of this program, which reshards the view",
            V::NAME,
            V::KEYED_BY
        );
        return Err(Invalid::request(message).into());
    }
    Ok(snapshot)
}

/// Returns the position up to which a stored row has every event: that of its shard, or the one before the first event
/// that waits, if its key is parked.
pub(super) fn position_of<V: View>(state: &ViewState, key: &str, row: &StoredRow) -> Position {
    let position = progress_of(state, V::KEYED_BY, key).position;
    let parked = row.parked_since.map(|since| Position::new(since.get().saturating_sub(1)));
    parked.map_or(position, |parked| parked.min(position))
}
