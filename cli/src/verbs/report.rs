//! Views and their generations, as they are printed.

use std::sync::Arc;

use highwater::{
    Code, Highwater, Position, Result,
    domain::{ViewDefinition, ViewName},
    port::{Generation, ViewState, ViewStore},
};
use jiff::Timestamp;
use serde::Serialize;

use super::PAGE;

/// A view, or the checkpoint of a relay.
#[derive(Serialize)]
pub(super) struct ViewReport {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) generations: Vec<GenerationReport>,
}

#[derive(Serialize)]
pub(super) struct GenerationReport {
    pub(super) number: u32,
    pub(super) live: bool,
    pub(super) state: &'static str,
    pub(super) position: Position,
    /// The name under which it is stored.
    #[serde(skip)]
    pub(super) stored: String,
    /// The position of the furthest of its shards.
    #[serde(skip)]
    pub(super) furthest: Position,
    /// The number of events of the log that it lacks.
    pub(super) lag: u64,
    pub(super) complete_at: Position,
    pub(super) is_complete: bool,
    /// The time of the event at its position.
    pub(super) as_of: Option<Timestamp>,
    pub(super) sharding: String,
    pub(super) parked: u64,
    pub(super) stops: Vec<StopReport>,
    pub(super) created_at: Option<Timestamp>,
    pub(super) was_promoted: bool,
    /// The hash of the definition, in hexadecimal digits.
    pub(super) hash: Option<String>,
    pub(super) definition: Option<ViewDefinition>,
}

#[derive(Serialize)]
pub(super) struct StopReport {
    pub(super) shard: u32,
    pub(super) at: Timestamp,
    pub(super) error: String,
}

impl ViewReport {
    /// Reads the state of a view. It has no generations if there is no such view.
    pub(super) async fn of(app: &Highwater, view: &ViewName, head: Position) -> Result<Self> {
        let found = app.views().generations(view).await?;
        // A relay keeps its checkpoint as a projection without rows, so without a definition.
        let is_relay =
            view.as_str().starts_with("relay_") && found.iter().all(|one| one.hash.is_none());
        let mut generations = Vec::with_capacity(found.len());
        for generation in found {
            let stored = match app.views().read_view(&generation.view, &[]).await {
                // It has been removed since.
                Err(error) if error.code() == Code::VIEW_MISSING => continue,
                read => read?,
            };
            let parked = parked(app.views(), &generation.view).await?;
            generations.push(GenerationReport::new(generation, &stored.state, parked, head));
        }
        let kind = if is_relay { "relay" } else { "view" };
        Ok(Self { name: view.as_str().to_owned(), kind, generations })
    }
}

impl GenerationReport {
    fn new(generation: Generation, state: &ViewState, parked: u64, head: Position) -> Self {
        let least = state.least();
        let lag = head.since(least.position);
        let is_complete = least.position >= generation.complete_at;
        let stop = |stop: &highwater::port::ShardStop| StopReport {
            shard: stop.shard.get(),
            at: stop.at,
            error: stop.error.clone(),
        };
        Self {
            number: generation.number,
            live: generation.is_live,
            state: state_name(!state.stops.is_empty(), is_complete, lag),
            position: least.position,
            stored: generation.view.as_str().to_owned(),
            furthest: state.shards.iter().map(|shard| shard.position).max().unwrap_or_default(),
            lag,
            complete_at: generation.complete_at,
            is_complete,
            as_of: known(least.as_of),
            sharding: state.sharding.to_string(),
            parked,
            stops: state.stops.iter().map(stop).collect(),
            created_at: known(generation.created_at),
            was_promoted: generation.was_promoted,
            hash: generation.hash.map(|hash| format!("{:016x}", hash.get())),
            definition: generation.definition,
        }
    }
}

fn state_name(is_stopped: bool, is_complete: bool, lag: u64) -> &'static str {
    match lag {
        _ if is_stopped => "stopped",
        _ if !is_complete => "rebuilding",
        0 => "current",
        _ => "converging",
    }
}

/// Returns no time for the Unix epoch, which stands for one that isn't known.
fn known(time: Timestamp) -> Option<Timestamp> {
    (time != Timestamp::UNIX_EPOCH).then_some(time)
}

/// Counts the parked keys of a generation, page by page.
async fn parked(views: &Arc<dyn ViewStore>, stored: &ViewName) -> Result<u64> {
    let mut count = 0;
    let mut after: Option<String> = None;
    loop {
        let page = views.parked_keys(stored, after.as_deref(), PAGE).await?;
        count += page.len() as u64;
        match page.into_iter().last() {
            Some(last) => after = Some(last.key),
            None => return Ok(count),
        }
    }
}
