//! Reading the views: waiting for them, and many rows at once.

use std::{collections::BTreeMap, time::Duration};

use highwater::{
    Error, Position, Token,
    error::{Corrupt, Source, Unavailable},
    port::ViewName,
    prelude::*,
};

use crate::problem::Problem;

/// How many rows are read at a time.
const ROWS: usize = 1_000;
/// How long a view may stand still before that is an error.
const STANDSTILL: Duration = Duration::from_secs(30);

/// Waits until a view has seen what a token stands for, for as long as it gets on.
pub(crate) async fn caught_up<V: View>(
    highwater: &Highwater,
    token: &Token,
) -> Result<(), Problem> {
    let mut before = None;
    loop {
        let lookup = highwater.view::<V>().get("any").after(token).within(STANDSTILL);
        match lookup.find().await {
            Ok(_) => return Ok(()),
            Err(error) => match position_behind(&error) {
                Some(position) if before < Some(position) => before = Some(position),
                _ => return Err(error.into()),
            },
        }
    }
}

fn position_behind(error: &Error) -> Option<Position> {
    let Error::Unavailable(unavailable) = error else { return None };
    let Unavailable::Behind { reached, .. } = **unavailable else { return None };
    Some(reached)
}

/// The rows that a view has of these keys, all as of `head`.
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
        if stored.checkpoint.position != head {
            return Err(Problem::StillRecording);
        }
        for (key, row) in keys.iter().zip(stored.rows) {
            if let Some(row) = row {
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
