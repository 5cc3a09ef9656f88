//! The metric handles of commands, created on first use and kept.

use std::{sync::OnceLock, time::Duration};

use ::metrics::{Counter, Histogram};

use super::{
    COMMAND_DURATION, CONFLICTS, HandleCache, REJECTIONS, STATE_LOOKUPS, UNKNOWN_OUTCOMES,
};
use crate::error::{Conflict, Error};

/// The metrics of an engine.
#[derive(Default)]
pub(crate) struct CommandMeter {
    durations: HandleCache<(&'static str, &'static str), Histogram>,
    rejections: HandleCache<(&'static str, &'static str), Counter>,
    failures: HandleCache<(&'static str, &'static str), Counter>,
    hit: OnceLock<Counter>,
    miss: OnceLock<Counter>,
}

const RETRIED: &str = "retried";
const RETURNED: &str = "returned";

impl CommandMeter {
    /// Records a command that was answered; `Ok(true)` if events were appended.
    pub(crate) fn answered(
        &self,
        command: &'static str,
        took: Duration,
        answer: Result<bool, &Error>,
    ) {
        let key = (command, outcome(answer));
        let make = || COMMAND_DURATION.distribution(&[key.0, key.1]);
        self.durations.with(key, make, |durations| durations.record(took));
        match answer {
            Err(Error::Rejected(rejection)) => {
                let key = (command, rejection.rule());
                let make = || REJECTIONS.count(&[key.0, key.1]);
                self.rejections.with(key, make, |rejections| rejections.increment(1));
            }
            Err(error) => self.count_failure(error, RETURNED),
            Ok(_) => {}
        }
    }

    /// Counts a command that is decided or sent again after this error.
    pub(crate) fn retried(&self, error: &Error) {
        self.count_failure(error, RETRIED);
    }

    fn count_failure(&self, error: &Error, outcome: &'static str) {
        let kind = match error {
            Error::Conflict(conflict) => match **conflict {
                Conflict::Stream { .. } => "stream",
                Conflict::Boundary { .. } => "boundary",
                _ => return,
            },
            Error::UnknownOutcome { .. } => "unknown",
            _ => return,
        };
        let make = || match kind {
            "unknown" => UNKNOWN_OUTCOMES.count(&[outcome]),
            kind => CONFLICTS.count(&[kind, outcome]),
        };
        self.failures.with((kind, outcome), make, |failures| failures.increment(1));
    }

    /// Counts a state that was found in memory.
    pub(crate) fn hit(&self) {
        self.hit.get_or_init(|| STATE_LOOKUPS.count(&["hit"])).increment(1);
    }

    /// Counts a state that was not in memory.
    pub(crate) fn missed(&self) {
        self.miss.get_or_init(|| STATE_LOOKUPS.count(&["miss"])).increment(1);
    }
}

/// The outcome as a label.
fn outcome(answer: Result<bool, &Error>) -> &'static str {
    match answer {
        Ok(false) => "unchanged",
        Ok(true) => "appended",
        Err(Error::Rejected(_)) => "rejected",
        Err(Error::Conflict(_)) => "conflict",
        Err(Error::Unavailable(_)) => "unavailable",
        Err(Error::UnknownOutcome { .. }) => "unknown",
        Err(Error::Invalid(_)) => "invalid",
        Err(Error::Corrupt(_)) => "corrupt",
        Err(Error::Panicked(_)) => "panicked",
    }
}
