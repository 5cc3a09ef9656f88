//! Views at every state, made by hand as workers make them.

use std::time::Duration;

use highwater::{
    Highwater, Position,
    domain::{GenerationSpec, ViewDefinition, ViewName, ViewSpec},
    port::{Claim, ClaimMode, ParkChange, Progress, ShardClaim, ShardStop, ViewCommit, WorkerId},
    value::{ShardId, Sharding, Timestamp},
};

/// 2026-11-30T21:00:00Z, in seconds.
const RECENTLY: i64 = 1_796_072_400;

pub(crate) fn name(view: &str) -> ViewName {
    ViewName::new(view).unwrap()
}

/// The spec of a generation. Each has another definition.
pub(crate) fn spec(view: &str, number: u32, complete_at: u64) -> ViewSpec {
    let definition = ViewDefinition {
        row: format!("{{field_{number}:i64}}"),
        keyed_by: "stream".to_owned(),
        types: Vec::new(),
        scope: String::new(),
        version: 1,
    };
    ViewSpec {
        generation: GenerationSpec { number, complete_at: Position::new(complete_at) },
        definition: Some(definition),
        ..ViewSpec::rows(name(view))
    }
}

/// A worker that has one shard.
pub(crate) struct ShardWorker<'a> {
    app: &'a Highwater,
    view: ViewName,
    id: WorkerId,
    claim: Claim,
}

impl<'a> ShardWorker<'a> {
    /// Opens a view, and takes one of its shards.
    pub(crate) async fn of(
        app: &'a Highwater,
        spec: &ViewSpec,
        sharding: Sharding,
        shard: u32,
    ) -> Self {
        let views = app.views();
        let state = views.open_view(spec, sharding).await.unwrap();
        let view = spec.stored_name();
        let id = WorkerId::new("worker").unwrap();
        let claim = ShardClaim {
            view: view.clone(),
            sharding,
            shard: ShardId::new(shard),
            worker: id.clone(),
            mode: ClaimMode::Always,
            lease: Duration::from_secs(600),
            definition: state.definition,
        };
        let claim = views.claim_shard(claim).await.unwrap().unwrap();
        Self { app, view, id, claim }
    }

    /// Moves the shard to a position, with changes of parked keys.
    pub(crate) async fn move_to(&mut self, position: u64, parked: Vec<ParkChange>) {
        let to = Progress {
            position: Position::new(position),
            as_of: Timestamp::from_second(RECENTLY).unwrap(),
            ..Progress::default()
        };
        let commit = ViewCommit::new(self.view.clone(), &self.claim, to.clone());
        self.app.views().commit_view(ViewCommit { parked, ..commit }).await.unwrap();
        self.claim.progress = to;
    }

    pub(crate) async fn stop(&self, error: &str) {
        let stop = ShardStop {
            shard: self.claim.shard,
            at: Timestamp::from_second(RECENTLY).unwrap(),
            error: error.to_owned(),
        };
        self.app.views().stop_shard(&self.view, self.claim.epoch, stop).await.unwrap();
    }

    pub(crate) async fn is_alive(&self) {
        let lease = Duration::from_secs(600);
        self.app.views().heartbeat(&self.view, &self.id, lease).await.unwrap();
    }

    pub(crate) async fn leave(self) {
        self.app.views().leave(&self.view, &self.id).await.unwrap();
    }
}

/// Opens a view of one shard, which has every event up to a position.
pub(crate) async fn at<'a>(app: &'a Highwater, spec: &ViewSpec, position: u64) -> ShardWorker<'a> {
    let mut worker = ShardWorker::of(app, spec, Sharding::SINGLE, 0).await;
    worker.move_to(position, Vec::new()).await;
    worker
}

pub(crate) fn park(key: &str, since: u64, error: &str) -> ParkChange {
    let since = Position::new(since);
    ParkChange::Park { key: key.to_owned(), since, error: error.to_owned(), attempts: 3 }
}

pub(crate) fn queue(key: &str, position: u64) -> ParkChange {
    ParkChange::Queue { key: key.to_owned(), position: Position::new(position) }
}
