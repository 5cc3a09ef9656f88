//! A worker of one of the programs in another process, to be killed.

use std::{path::Path, process::Command, time::Duration};

use highwater::{
    Result,
    direct::DirectSource,
    prelude::*,
    worker::{OnChange, ProjectionOptions, ProjectionState, WorkerHandle},
};
use highwater_test_support::{fleet::WorkerProgram, process, worker};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::programs::{by_city, first, with_column, with_field, with_type, with_version};

/// The lease of a shard. Short, so that many takeovers happen.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Program {
    First,
    WithField,
    WithVersion,
    WithColumn,
    WithType,
    ByCity,
}

/// The program of a process, and its store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ProgramProcess {
    pub(crate) program: Program,
    pub(crate) url: String,
}

impl WorkerProgram for ProgramProcess {
    fn command(&self, log: &Path) -> Command {
        process::child_logging_to(log, "program_process::works_until_it_is_killed", self)
    }

    fn uses_kafka(&self) -> bool {
        false
    }
}

/// Runs as the child process.
#[test]
fn works_until_it_is_killed() {
    if let Some(task) = process::task::<ProgramProcess>() {
        process::run(work(task));
    }
}

async fn work(task: ProgramProcess) {
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let working = async {
        let app = worker::retry(|| worker::open(&task.url, None)).await;
        worker::retry(|| begin(task.program, &app)).await
    };
    let working = tokio::select! {
        working = working => working,
        _ = terminate.recv() => return,
    };
    let mut status = working.statuses()[0].clone();
    tokio::select! {
        stopped = status.until(ProjectionState::is_stopped) => panic!("it has stopped: {stopped}"),
        _ = terminate.recv() => {}
    }
    if let Err(error) = working.stop().await {
        assert!(error.is_retryable(), "{error}");
    }
}

async fn begin(program: Program, app: &Highwater) -> Result<WorkerHandle> {
    match program {
        Program::First => build::<first::Address>(app).await,
        Program::WithField => build::<with_field::Address>(app).await,
        Program::WithVersion => build::<with_version::Address>(app).await,
        Program::WithColumn => build::<with_column::Address>(app).await,
        Program::WithType => build::<with_type::Address>(app).await,
        Program::ByCity => build::<by_city::Address>(app).await,
    }
}

async fn build<V: View>(app: &Highwater) -> Result<WorkerHandle> {
    // With a large cache the owner of a row would overwrite what a worker of the other program has done to it.
    let options = ProjectionOptions { cached_rows: 5, ..ProjectionOptions::default() };
    let options = options.shards(2).batch(50).on_change(OnChange::Rebuild);
    let source = DirectSource::new(app).lease(LEASE);
    Worker::new(app).fed_by(source).view_with::<V>(options).start().await
}
