//! Snapshots of a view that can be compared with the log.

use highwater_core::{
    Result,
    domain::View,
    error::{Corrupt, Invalid},
};

use crate::{
    projection::is_key_sharding_known,
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
