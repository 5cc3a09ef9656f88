//! Reading many rows of a view at once.

use std::collections::BTreeMap;

use highwater::{
    Error, Position,
    domain::ViewName,
    error::{Corrupt, Source},
    prelude::*,
};

use crate::problem::Problem;

/// The number of rows in a page.
const ROWS: usize = 1_000;

/// The rows that a view has of these keys, all as of `head`. Had another run gone on recording
/// meanwhile, they would be of different moments, and could not be compared with anything.
pub(crate) async fn rows<'k, V: View>(
    highwater: &Highwater,
    keys: impl Iterator<Item = &'k str>,
    head: Position,
) -> Result<BTreeMap<&'k str, V>, Problem> {
    let view = ViewName::new(V::NAME)?;
    let keys: Vec<&str> = keys.collect();
    let mut rows = BTreeMap::new();
    for keys in keys.chunks(ROWS) {
        let owned: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let stored = highwater.views().read_view(&view, &owned).await?;
        if stored.state.least().position != head {
            return Err(Problem::StillRecording);
        }
        for (key, row) in keys.iter().zip(stored.rows) {
            if let Some(row) = row.value {
                rows.insert(*key, decode(key, &row)?);
            }
        }
    }
    Ok(rows)
}

fn decode<V: View>(key: &str, row: &[u8]) -> Result<V, Error> {
    serde_json::from_slice(row).map_err(|error| {
        let what = format!("the row {key:?} of view {}", V::NAME);
        Corrupt::value(what, Source::new(error)).into()
    })
}
