//! The progress of views, their stops, parked keys and generations.

use highwater::{
    Code, Highwater, Result,
    stores::examine::{StoreFinding, ViewWorkers},
};

use super::super::report::{GenerationReport, StopReport, ViewReport};
use crate::output::counted;

/// Looks at every view. `workers` are theirs, if they are known.
pub(super) async fn findings(
    app: &Highwater,
    workers: Option<&[ViewWorkers]>,
) -> Result<Vec<StoreFinding>> {
    let mut views = Vec::new();
    let head = app.log().head().await?;
    for name in app.views().views().await? {
        views.push(ViewReport::of(app, &name, head).await?);
    }
    // Later than the progress, so that no view is ahead by what was appended meanwhile.
    let head = app.log().head().await?.get();
    let mut findings = Vec::new();
    for view in &views {
        for generation in &view.generations {
            let workers = workers.map(|workers| workers_of(workers, &generation.stored));
            let state = GenerationState { view, generation, head, workers };
            findings.extend(state.findings());
        }
    }
    Ok(findings)
}

fn workers_of<'a>(workers: &'a [ViewWorkers], stored: &str) -> Option<&'a ViewWorkers> {
    workers.iter().find(|workers| workers.view == stored)
}

/// A generation, with all that it is judged by.
struct GenerationState<'a> {
    view: &'a ViewReport,
    generation: &'a GenerationReport,
    head: u64,
    /// `None` if they aren't known; no workers if it has gone since.
    workers: Option<Option<&'a ViewWorkers>>,
}

impl GenerationState<'_> {
    fn findings(&self) -> Vec<StoreFinding> {
        let mut findings = Vec::new();
        findings.extend(self.ahead());
        findings.extend(self.generation.stops.iter().map(|stop| self.stopped(stop)));
        findings.extend(self.parked());
        findings.extend(self.expired());
        findings.extend(self.without_worker());
        findings
    }

    fn name(&self) -> String {
        format!("generation {} of view {}", self.generation.number, self.view.name)
    }

    fn ahead(&self) -> Option<StoreFinding> {
        let furthest = self.generation.furthest.get();
        if furthest <= self.head {
            return None;
        }
        let name = self.name();
        let message = format!(
            "{name} is at position {furthest}, and the log ends at {}: the log was restored from a backup that is older \
             than the view, or is another one",
            self.head
        );
        let to_do = "stop its workers, and restore the view of the same backup, or build the view anew as another generation";
        Some(StoreFinding::error(message, to_do).with_code(Code::AHEAD_OF_LOG))
    }

    fn stopped(&self, stop: &StopReport) -> StoreFinding {
        let name = self.name();
        let StopReport { shard, at, error } = stop;
        let message = format!("{name} has stopped at shard {shard} since {at}: {error}");
        let to_do = "end the cause, and start its worker again";
        let finding = StoreFinding::error(message, to_do);
        let code = Code::ALL.iter().find(|code| error.starts_with(code.as_str()));
        StoreFinding { code: code.copied(), ..finding }
    }

    fn parked(&self) -> Option<StoreFinding> {
        let parked = self.generation.parked;
        if parked == 0 {
            return None;
        }
        let view = &self.view.name;
        let option = match self.generation.live {
            true => String::new(),
            false => format!(" --generation {}", self.generation.number),
        };
        let message = format!("{} has {}", self.name(), counted(parked, "parked key"));
        let to_do = format!(
            "see the errors with `highwater parked list {view}{option}`, and after a fix run `highwater parked retry \
             {view} --all{option}`"
        );
        Some(StoreFinding::warning(message, to_do).with_code(Code::PARKED))
    }

    /// A worker that ended well has given its shards back.
    fn expired(&self) -> Option<StoreFinding> {
        let expired = &self.workers??.expired;
        if expired.is_empty() {
            return None;
        }
        let shards: Vec<_> = expired.iter().map(u32::to_string).collect();
        let message = format!(
            "the worker that has shard {} of {} let its lease run out: it crashed, or can't reach the store",
            shards.join(", "),
            self.name()
        );
        let to_do = "start a worker of the view, which takes the shard over, and find out what became of the other one";
        Some(StoreFinding::warning(message, to_do))
    }

    fn without_worker(&self) -> Option<StoreFinding> {
        let alive = self.workers??.alive;
        if alive > 0 || self.view.kind == "relay" && self.generation.lag == 0 {
            return None;
        }
        let view = &self.view.name;
        let GenerationReport { number, live, is_complete, lag, position, complete_at, .. } =
            self.generation;
        let name = self.name();
        let (message, to_do) = match (*live, *is_complete, *lag) {
            (true, true, 0) => return None,
            (true, true, lag) => (
                format!("{name} lacks {}, and no worker of it is alive", counted(lag, "event")),
                format!("start the worker of {view}"),
            ),
            (_, false, _) => (
                format!(
                    "{name} is being rebuilt, and no worker of it is alive: it is at position {position}, and complete from \
                     {complete_at} on"
                ),
                format!(
                    "start the program of this definition, or run `highwater remove {view} {number}` unless it is live"
                ),
            ),
            (false, true, _) => (
                format!("{name} is not the live one, and no worker of it is alive"),
                format!("if no program needs it any more, run `highwater remove {view} {number}`"),
            ),
        };
        let finding = StoreFinding::warning(message, to_do);
        Some(if *is_complete { finding } else { finding.with_code(Code::REBUILDING) })
    }
}
